"""`ArchSpec` -> the operations of its network, in closed form; the lowerings of the MobileViT family.

Each part of a network (stem, stage, head) has one lowering, listed in `_LOWERINGS`; another family
adds its own. A part is planned as a row of segments (an inverted residual, a transformer layer, ...),
which are lowered once and shared by all networks that hold the same one at the same place. The sequence
of operations is that of the program that coremltools makes of our torch network, so that what a latency
predictor sees here is what Core ML will see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil, prod
from typing import Any, NamedTuple

from mvsearch.costs import efficientformer
from mvsearch.costs.op import Op, Shape
from mvsearch.costs.trace import Plan, Segment, Trace
from mvsearch.errors import InputError
from mvsearch.spec.arch import (
    LAYER_NORM,
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    expanded_width,
)

Resolution = int | tuple[int, int]
MIN_RESOLUTION, MAX_RESOLUTION = 32, 2048
NETWORK_CACHE = 256
"""Networks whose parts are remembered: what is counted is predicted and estimated next."""
PART_CACHE = 4096
"""Parts that are remembered; neighbours in a search share most of theirs."""
Lowering = Callable[[Plan, str, Any, Shape, int], Shape]
"""(plan, name, part, shape that it reads, classes) -> shape that it writes."""


class Form(NamedTuple):
    """How a block's transformer is computed: from a map to tokens, a layer, and back after the last norm."""

    unfold: Callable[..., Shape]
    layer: Callable[..., Shape]
    fold: Callable[..., Shape]


def image_size(resolution: Resolution) -> tuple[int, int]:
    """(height, width) in pixels.

    Raises:
        InputError: not within 32 to 2048 pixels.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else tuple(resolution)
    if len(size) != 2 or not all(isinstance(s, int) and MIN_RESOLUTION <= s <= MAX_RESOLUTION for s in size):
        raise InputError(f"resolution `{resolution}`", f"{MIN_RESOLUTION} to {MAX_RESOLUTION} pixels, e.g. `256`")
    return size[0], size[1]


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Part:
    """A stem, stage or head with its operations.

    Parts are shared between networks that hold the same stage at the same place and compare by
    identity, so that what is derived from a part can be remembered per part.

    Attributes:
        name: e.g. `stages.2`.
        block: kind of block, e.g. `v3-v1`.
        segments: in order, each with how often it is run one after the other (alike transformer layers share theirs).
        output: shape of what it writes.
    """

    name: str
    block: str
    segments: tuple[tuple[Segment, int], ...]
    output: Shape

    @property
    def ops(self) -> tuple[Op, ...]:
        """All operations in order."""
        return tuple(op for segment, times in self.segments for op in segment.ops * times)


def lower(spec: ArchSpec, resolution: Resolution) -> tuple[Part, ...]:
    """The network's parts from stem to head at batch size 1.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.

    Returns:
        Stem, stages and head, each with its operations in order.
    """
    return _lower(spec, *image_size(resolution))


@lru_cache(maxsize=NETWORK_CACHE)
def _lower(spec: ArchSpec, height: int, width: int) -> tuple[Part, ...]:
    return chain(spec, height, width, lower_part if spec.norm == LAYER_NORM else partial(lower_part, norm=spec.norm))


def chain(spec: ArchSpec, height: int, width: int, lowered: Callable[[str, Any, Shape, str, int], Part]) -> tuple[Part, ...]:
    """Stem, stages and head by `lowered(name, part, shape, activation, num_classes)`, each on what the one before it writes."""
    shape: Shape = (1, spec.in_channels, height, width)
    parts = []
    for name, part in (("stem", spec.stem), *((f"stages.{i}", s) for i, s in enumerate(spec.stages))):
        parts.append(lowered(name, part, shape, spec.activation, 0))
        shape = parts[-1].output
    parts.append(lowered("head", spec.head, shape, spec.activation, spec.num_classes))
    return tuple(parts)


@lru_cache(maxsize=PART_CACHE)
def lower_part(name: str, part: Any, shape: Shape, activation: str, num_classes: int, norm: str = LAYER_NORM) -> Part:
    """One stem, stage or head, shared between networks."""
    return planned(_LOWERINGS[type(part)], name, part, shape, activation, num_classes, norm)


def planned(
    lowering: Lowering, name: str, part: Any, shape: Shape, activation: str, num_classes: int, norm: str = LAYER_NORM
) -> Part:
    """A part by this lowering, made anew; `norm` as of a `Trace`."""
    plan = Plan(activation, norm)
    output = lowering(plan, name, part, shape, num_classes)
    return Part(name, getattr(part, "block", part.kind), tuple(plan.segments), output)


def _stem(p: Plan, name: str, stem: ConvStem, x: Shape, _: int) -> Shape:
    return p.run(_conv_act, name, f"{name}.conv", x, stem.channels, 3, 2)


def _conv_act(t: Trace, name: str, conv: str, x: Shape, channels: int, kernel: int = 1, stride: int = 1) -> Shape:
    return t.act(name, t.conv(conv, x, channels, kernel=kernel, stride=stride))


def _elementwise(t: Trace, name: str, *inputs: Shape) -> Shape:
    return t.elementwise(name, *inputs)


def _concat(t: Trace, name: str, *inputs: Shape) -> Shape:
    return t.concat(name, *inputs)


def _resize(t: Trace, name: str, x: Shape, height: int, width: int) -> Shape:
    return t.resize(name, x, height, width)


def _inverted_residual(t: Trace, name: str, x: Shape, channels: int, expansion: float, stride: int) -> Shape:
    hidden = x[1] if expansion == 1 else expanded_width(x[1], expansion)
    skip = stride == 1 and x[1] == channels
    with t.hold(x if skip else (0,)):
        y = x
        if expansion != 1:
            y = t.act(name, t.conv(f"{name}.conv1_1x1", y, hidden))
        y = t.act(name, t.conv(f"{name}.conv2_kxk", y, hidden, kernel=3, stride=stride, groups=hidden))
        y = t.conv(f"{name}.conv3_1x1", y, channels)
    return t.elementwise(name, y, x) if skip else y


def _inverted_residuals(p: Plan, name: str, stage: InvertedResidualStage, x: Shape, _: int) -> Shape:
    for i in range(stage.num_blocks):
        x = p.run(_inverted_residual, f"{name}.{i}", x, stage.channels, stage.expansion, stage.stride if i == 0 else 1)
    return x


def _tiled(x: Shape, patch: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map rounded up to whole patches."""
    return ceil(x[2] / patch[0]) * patch[0], ceil(x[3] / patch[1]) * patch[1]


def _local(t: Trace, name: str, x: Shape, dim: int, depthwise: bool) -> Shape:
    """Local representation: k x k convolution, then to the transformer's width."""
    y = t.act(name, t.conv(f"{name}.conv_kxk", x, x[1], kernel=3, groups=x[1] if depthwise else 1))
    return t.conv(f"{name}.conv_1x1", y, dim, norm=False)


def mobilevit(p: Plan, name: str, stage: MobileViTStage, x: Shape, form: Form) -> Shape:
    """An inverted residual and a block with softmax attention."""
    x = p.run(_inverted_residual, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, channels = f"{name}.1", stage.channels
    with p.hold(x if stage.residual or not stage.concat_local else None):
        local = p.run(_local, name, x, stage.dim, stage.dw_local)
        with p.hold(local if stage.concat_local else None):
            y = _softmax_transformer(p, name, stage, local, form)
            y = p.run(_conv_act, name, f"{name}.conv_proj", y, channels)
        y = p.run(_concat, name, local if stage.concat_local else x, y)
        y = p.run(_conv_act, name, f"{name}.conv_fusion", y, channels, 1 if stage.fuse_1x1 else 3)
    return p.run(_elementwise, name, y, x) if stage.residual else y


def _softmax_transformer(p: Plan, name: str, stage: MobileViTStage, local: Shape, form: Form) -> Shape:
    size, tiled = local[2:], _tiled(local, stage.patch)
    y = local if tiled == size else p.run(_resize, name, local, *tiled)
    y = p.run(form.unfold, name, y, stage.patch)
    y = p.run(form.layer, f"{name}.transformer.*", y, stage.heads, stage.ffn_dim, times=stage.depth)
    y = p.run(form.fold, name, y, stage.patch, tiled)
    return y if tiled == size else p.run(_resize, name, y, *size)


def _unfold(t: Trace, name: str, x: Shape, patch: tuple[int, int]) -> Shape:
    """(1, d, h, w) -> (pixels of a patch, patches, d)."""
    (_, d, h, w), (ph, pw) = x, patch
    rows, columns, pixels = h // ph, w // pw, ph * pw
    y = t.reshape(name, x, (d * rows, ph, columns, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    y = t.reshape(name, y, (1, d, rows * columns, pixels))
    y = t.transpose(name, y, 0, 3, 2, 1)
    return t.reshape(name, y, (pixels, rows * columns, d))


def _softmax_layer(t: Trace, layer: str, y: Shape, heads: int, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _softmax_attention(t, f"{layer}.attn", t.layer_norm(f"{layer}.norm1", y), heads)
    y = t.elementwise(layer, y, a)
    with t.hold(y):
        a = t.linear(f"{layer}.mlp.fc1", t.layer_norm(f"{layer}.norm2", y), ffn_dim)
        a = t.linear(f"{layer}.mlp.fc2", t.act(layer, a), y[-1])
    return t.elementwise(layer, y, a)


def _fold(t: Trace, name: str, x: Shape, patch: tuple[int, int], size: tuple[int, int]) -> Shape:
    """Last norm, then back to (1, d, h, w)."""
    (pixels, tokens, d), (ph, pw), (h, w) = x, patch, size
    y = t.layer_norm(f"{name}.norm", x)
    y = t.reshape(name, y, (1, pixels, tokens, d))
    y = t.transpose(name, y, 0, 3, 2, 1)
    y = t.reshape(name, y, (d * (h // ph), w // pw, ph, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    return t.reshape(name, y, (1, d, h, w))


def _softmax_attention(t: Trace, name: str, x: Shape, heads: int) -> Shape:
    b, n, d = x
    per_head = d // heads
    head: Shape = (b, heads, n, per_head)
    score: Shape = (b, heads, n, n)
    y = t.linear(f"{name}.qkv", x, 3 * d)
    y = t.reshape(name, y, (b, n, 3, heads, per_head))
    y = t.transpose(name, y, 2, 0, 3, 1, 4)
    t.add("slice", name, (y,), (1, *head), (1, *head), (1, *head))
    with t.hold((2, *head)):
        t.reshape(name, (1, *head), head)
        t.reshape(name, (1, *head), head)
        t.reshape(name, (1, *head), head)
        t.elementwise(name, head)
    macs = prod(score) * per_head
    with t.hold(head):
        t.add("matmul", name, (head, head), score, macs=macs)
        t.add("softmax", name, (score,), score)
    t.add("matmul", name, (score, head), head, macs=macs)
    y = t.transpose(name, head, 0, 2, 1, 3)
    return t.linear(f"{name}.proj", t.reshape(name, y, x), d)


def mobilevitv2(p: Plan, name: str, stage: MobileViTV2Stage, x: Shape, form: Form) -> Shape:
    """An inverted residual and a block with separable attention."""
    x = p.run(_inverted_residual, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, tiled = f"{name}.1", _tiled(x, stage.patch)
    if tiled != x[2:]:
        x = p.run(_resize, name, x, *tiled)
    with p.hold(x if stage.residual else None):
        local = p.run(_local, name, x, stage.dim, True)
        with p.hold(local if stage.concat_local else None):
            y = p.run(form.unfold, name, local, stage.patch)
            y = p.run(form.layer, f"{name}.transformer.*", y, stage.ffn_dim, times=stage.depth)
            y = p.run(form.fold, name, y, stage.patch, tiled)
        y = p.run(_merge, name, y, local if stage.concat_local else None, stage.channels)
    return p.run(_elementwise, name, y, x) if stage.residual else y


def _unfold_separable(t: Trace, name: str, x: Shape, patch: tuple[int, int]) -> Shape:
    """(1, d, h, w) -> (1, d, pixels of a patch, patches)."""
    (_, d, h, w), (ph, pw) = x, patch
    y = t.reshape(name, x, (d, h // ph, ph, w // pw, pw))
    y = t.transpose(name, y, 0, 2, 4, 1, 3)
    return t.reshape(name, y, (1, d, ph * pw, (h // ph) * (w // pw)))


def _separable_layer(t: Trace, layer: str, y: Shape, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _separable_attention(t, f"{layer}.attn", t.group_norm(f"{layer}.norm1", y))
    y = t.elementwise(layer, y, a)
    with t.hold(y):
        a = t.group_norm(f"{layer}.norm2", y)
        a = t.act(layer, t.conv(f"{layer}.mlp.fc1", a, ffn_dim, norm=False, bias=True))
        a = t.conv(f"{layer}.mlp.fc2", a, y[1], norm=False, bias=True)
    return t.elementwise(layer, y, a)


def _fold_separable(t: Trace, name: str, x: Shape, patch: tuple[int, int], size: tuple[int, int]) -> Shape:
    """Last norm, then back to (1, d, h, w)."""
    (ph, pw), (h, w), d = patch, size, x[1]
    y = t.group_norm(f"{name}.norm", x, out=(d, ph, pw, h // ph, w // pw))
    y = t.transpose(name, y, 0, 3, 1, 4, 2)
    return t.reshape(name, y, (1, d, h, w))


def _merge(t: Trace, name: str, y: Shape, local: Shape | None, channels: int) -> Shape:
    return t.conv(f"{name}.conv_proj", t.concat(name, y, local) if local else y, channels)


def _separable_attention(t: Trace, name: str, x: Shape) -> Shape:
    _, d, p, n = x
    query, context = (1, 1, p, n), (1, d, p, 1)
    y = t.conv(f"{name}.qkv_proj", x, 1 + 2 * d, norm=False, bias=True)
    t.add("slice", name, (y,), query, x, x)
    with t.hold((2, *x)):
        t.add("softmax", name, (query,), query)
    with t.hold(x):
        t.add("elementwise", name, (x, query), x)
        t.add("reduce", name, (x,), context)
    with t.hold(context):
        t.add("relu", name, (x,), x)
    if context != x:  # A single patch needs no copies of its context.
        with t.hold(x):
            t.add("slice", name, (context,), x)
    t.elementwise(name, x, x)
    return t.conv(f"{name}.out_proj", x, d, norm=False, bias=True)


def _classifier(t: Trace, name: str, x: Shape, num_classes: int) -> Shape:
    pooled = t.add("reduce", name, (x,), (x[0], x[1], 1, 1))
    return t.linear(f"{name}.fc", t.reshape(name, pooled, x[:2]), num_classes)


def _expand_head(p: Plan, name: str, head: ExpandHead, x: Shape, num_classes: int) -> Shape:
    return p.run(_classifier, name, p.run(_conv_act, name, "final_conv", x, head.width(x[1])), num_classes)


def _pool_head(p: Plan, name: str, head: PoolHead, x: Shape, num_classes: int) -> Shape:
    return p.run(_classifier, name, x, num_classes)


_SOFTMAX = Form(_unfold, _softmax_layer, _fold)
_SEPARABLE = Form(_unfold_separable, _separable_layer, _fold_separable)
_LOWERINGS: dict[type, Lowering] = {
    ConvStem: _stem,
    InvertedResidualStage: _inverted_residuals,
    MobileViTStage: lambda p, name, stage, x, _: mobilevit(p, name, stage, x, _SOFTMAX),
    MobileViTV2Stage: lambda p, name, stage, x, _: mobilevitv2(p, name, stage, x, _SEPARABLE),
    ExpandHead: _expand_head,
    PoolHead: _pool_head,
    **efficientformer.LOWERINGS,
}
