"""`ArchSpec` -> the operations of its network, in closed form.

Each part of a network (stem, stage, head) has one lowering, listed in `_LOWERINGS`; another family
adds its own. A part is planned as a row of segments (an inverted residual, a transformer layer, ...),
which are lowered once and shared by all networks that hold the same one at the same place. The sequence
of operations is that of the program that coremltools makes of our torch network, so that what a latency
predictor sees here is what Core ML will see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod
from typing import Any

from mvsearch.costs.op import Op, OpKind, Shape
from mvsearch.errors import InputError
from mvsearch.spec.arch import (
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
SEGMENT_CACHE = 16_384
"""Segments that are remembered, about 2 kB each; neighbours in a search share theirs within a changed stage too."""


def image_size(resolution: Resolution) -> tuple[int, int]:
    """(height, width) in pixels.

    Raises:
        InputError: not within 32 to 2048 pixels.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else tuple(resolution)
    if len(size) != 2 or not all(isinstance(s, int) and MIN_RESOLUTION <= s <= MAX_RESOLUTION for s in size):
        raise InputError(f"resolution `{resolution}`", f"{MIN_RESOLUTION} to {MAX_RESOLUTION} pixels, e.g. `256`")
    return size[0], size[1]


OpSize = tuple[OpKind, int, int, int, int, int, int]
"""(kind, MACs, params, weights, elements held, elements read, elements written) of an operation, as `Op` has them.

A plain tuple of plain values: the garbage collector passes such by, and a search keeps a million of them.
"""


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Segment:
    """Operations that belong together, shared between networks; compared by identity, so that what is derived is remembered.

    Attributes:
        sizes: of the operations, in order.
        output: shape of what the last one writes.
        longest_axis, highest_rank: of all that is written.
        recipe: what it was lowered from.
    """

    sizes: tuple[OpSize, ...]
    output: Shape
    longest_axis: int
    highest_rank: int
    recipe: tuple[Callable[..., Shape], str, int, tuple[Any, ...]]

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operations with their names and shapes, lowered anew: a search never asks for them."""
        lowering, activation, held, arguments = self.recipe
        ops: list[Op] = []
        lowering(_Trace(activation, held, ops), *arguments)
        return tuple(ops)


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
    shape: Shape = (1, spec.in_channels, height, width)
    parts = []
    for name, part in (("stem", spec.stem), *((f"stages.{i}", s) for i, s in enumerate(spec.stages))):
        parts.append(_lower_part(name, part, shape, spec.activation, 0))
        shape = parts[-1].output
    parts.append(_lower_part("head", spec.head, shape, spec.activation, spec.num_classes))
    return tuple(parts)


@lru_cache(maxsize=PART_CACHE)
def _lower_part(name: str, part: Any, shape: Shape, activation: str, num_classes: int) -> Part:
    plan = _Plan(activation)
    output = _LOWERINGS[type(part)](plan, name, part, shape, num_classes)
    return Part(name, getattr(part, "block", part.kind), tuple(plan.segments), output)


class _Hold:
    """Adds to what its owner holds for as long as the block lasts; a class, since it is entered a hundred times a network."""

    __slots__ = ("_elements", "_owner")

    def __init__(self, owner: _Plan | _Trace, elements: int) -> None:
        self._owner, self._elements = owner, elements

    def __enter__(self) -> None:
        self._owner.held += self._elements

    def __exit__(self, *_: object) -> None:
        self._owner.held -= self._elements


class _Plan:
    """Collects the segments of a part."""

    def __init__(self, activation: str) -> None:
        self.segments: list[tuple[Segment, int]] = []
        self._activation = activation
        self.held = 0

    def hold(self, shape: Shape | None) -> _Hold:
        """Keep a tensor of this shape alive for later while the segments within run; None keeps nothing."""
        return _Hold(self, prod(shape) if shape else 0)

    def run(self, lowering: Callable[..., Shape], *arguments: Any, times: int = 1) -> Shape:
        """Append the segment that `lowering(trace, *arguments)` gives; repeated, it has to keep its input's shape."""
        segment = _segment(lowering, self._activation, self.held, arguments)
        self.segments.append((segment, times))
        return segment.output


@lru_cache(maxsize=SEGMENT_CACHE)
def _segment(lowering: Callable[..., Shape], activation: str, held: int, arguments: tuple[Any, ...]) -> Segment:
    trace = _Trace(activation, held)
    output = lowering(trace, *arguments)
    return Segment(tuple(trace.sizes), output, trace.longest_axis, trace.highest_rank, (lowering, activation, held, arguments))


class _Trace:
    """Collects operations; every method takes shapes and returns the shape that the operation writes.

    Args:
        activation: of the network.
        held: elements that are alive all the while.
        ops: receives the operations with names and shapes, if they are wanted.
    """

    def __init__(self, activation: str, held: int, ops: list[Op] | None = None) -> None:
        self.activation = activation
        self.held = held
        self.sizes: list[OpSize] = []
        self.longest_axis = self.highest_rank = 0
        self._ops = ops

    def hold(self, shape: Shape) -> _Hold:
        """Keep a tensor of this shape alive for later while other operations run."""
        return _Hold(self, prod(shape))

    def add(
        self,
        kind: OpKind,
        name: str,
        inputs: tuple[Shape, ...],
        *outputs: Shape,
        macs: int = 0,
        params: int = 0,
        weights: int = 0,
    ) -> Shape:
        output = outputs[0]
        read = prod(inputs[0]) if len(inputs) == 1 else sum(map(prod, inputs))
        written = prod(output) if len(outputs) == 1 else sum(map(prod, outputs))
        self.sizes.append((kind, macs, params, weights, self.held, read, written))
        for shape in outputs:
            if (longest := max(shape)) > self.longest_axis:
                self.longest_axis = longest
            if len(shape) > self.highest_rank:
                self.highest_rank = len(shape)
        if self._ops is not None:
            self._ops.append(Op(kind, name, inputs, outputs, macs, params, weights, self.held))
        return output

    def conv(
        self,
        name: str,
        x: Shape,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        bias: bool = False,
    ) -> Shape:
        """Convolution with padding (k-1)/2; with `norm`, batch norm (weight and bias) is folded into it."""
        n, in_channels, h, w = x
        out = (n, channels, (h - 1) // stride + 1, (w - 1) // stride + 1)
        weights = kernel * kernel * in_channels // groups * channels
        kind: OpKind = "depthwise" if groups > 1 else "pointwise" if kernel == 1 else "conv"
        return self.add(
            kind, name, (x,), out,
            macs=weights * out[2] * out[3],
            params=weights + (2 * channels if norm else 0) + (channels if bias else 0),
            weights=weights + (channels if norm or bias else 0),
        )  # fmt: skip

    def linear(self, name: str, x: Shape, features: int) -> Shape:
        """Linear layer with bias over the last axis."""
        weights = x[-1] * features + features
        return self.add(
            "linear", name, (x,), (*x[:-1], features),
            macs=prod(x) * features, params=weights, weights=weights,
        )  # fmt: skip

    def layer_norm(self, name: str, x: Shape) -> Shape:
        return self.add("layer_norm", name, (x,), x, params=2 * x[-1], weights=2 * x[-1])

    def group_norm(self, name: str, x: Shape, out: Shape | None = None) -> Shape:
        """GroupNorm with one group; Core ML has no such operation and receives its pieces.

        The last piece is a reshape, which merges with one that follows: its shape is `out`. Scale and
        shift are one more operation (`batch_norm`) once they are trained; at their initial 1 and 0 the
        converter drops it. It is left out here, as in the programs that the latency predictor is
        fitted on, and their numbers are counted as weights.
        """
        wide, one = (1, *x), (1,) * (len(x) + 1)
        self.reshape(name, x, wide)
        self.add("reduce", name, (wide,), one)
        with self.hold(wide):
            self.add("elementwise", name, (wide, one), wide)
            self.add("elementwise", name, (wide,), wide)
            self.add("reduce", name, (wide,), one)
            self.add("elementwise", name, (one,), one)
            self.add("elementwise", name, (one,), one)
        self.add("elementwise", name, (wide, one), wide, params=2 * x[1], weights=2 * x[1])
        return self.reshape(name, wide, out or x)

    def act(self, name: str, x: Shape) -> Shape:
        for kind, inputs in _ACTIVATION_OPS[self.activation]:
            self.add(kind, name, (x,) * inputs, x)
        return x

    def reshape(self, name: str, x: Shape, out: Shape) -> Shape:
        return self.add("reshape", name, (x,), out)

    def transpose(self, name: str, x: Shape, *axes: int) -> Shape:
        return self.add("transpose", name, (x,), tuple([x[a] for a in axes]))

    def resize(self, name: str, x: Shape, height: int, width: int) -> Shape:
        return self.add("resize", name, (x,), (x[0], x[1], height, width))

    def elementwise(self, name: str, *inputs: Shape) -> Shape:
        return self.add("elementwise", name, inputs, inputs[0])

    def concat(self, name: str, *inputs: Shape) -> Shape:
        return self.add("concat", name, inputs, (inputs[0][0], sum(s[1] for s in inputs), *inputs[0][2:]))


_ACTIVATION_OPS: dict[str, tuple[tuple[OpKind, int], ...]] = {
    "silu": (("silu", 1),),
    "relu": (("relu", 1),),
    "relu6": (("relu", 1),),
    "gelu": (("gelu", 1),),
    # Core ML has no such operation: a thresholded relu and a hard sigmoid of the input, and their product.
    "hardswish": (("relu", 1), ("sigmoid", 1), ("elementwise", 2)),
}
"""Kind and number of inputs of each operation that an activation becomes."""


def _stem(p: _Plan, name: str, stem: ConvStem, x: Shape, _: int) -> Shape:
    return p.run(_conv_act, name, f"{name}.conv", x, stem.channels, 3, 2)


def _conv_act(t: _Trace, name: str, conv: str, x: Shape, channels: int, kernel: int = 1, stride: int = 1) -> Shape:
    return t.act(name, t.conv(conv, x, channels, kernel=kernel, stride=stride))


def _elementwise(t: _Trace, name: str, *inputs: Shape) -> Shape:
    return t.elementwise(name, *inputs)


def _concat(t: _Trace, name: str, *inputs: Shape) -> Shape:
    return t.concat(name, *inputs)


def _resize(t: _Trace, name: str, x: Shape, height: int, width: int) -> Shape:
    return t.resize(name, x, height, width)


def _inverted_residual(t: _Trace, name: str, x: Shape, channels: int, expansion: float, stride: int) -> Shape:
    hidden = x[1] if expansion == 1 else expanded_width(x[1], expansion)
    skip = stride == 1 and x[1] == channels
    with t.hold(x if skip else (0,)):
        y = x
        if expansion != 1:
            y = t.act(name, t.conv(f"{name}.conv1_1x1", y, hidden))
        y = t.act(name, t.conv(f"{name}.conv2_kxk", y, hidden, kernel=3, stride=stride, groups=hidden))
        y = t.conv(f"{name}.conv3_1x1", y, channels)
    return t.elementwise(name, y, x) if skip else y


def _inverted_residuals(p: _Plan, name: str, stage: InvertedResidualStage, x: Shape, _: int) -> Shape:
    for i in range(stage.num_blocks):
        x = p.run(_inverted_residual, f"{name}.{i}", x, stage.channels, stage.expansion, stage.stride if i == 0 else 1)
    return x


def _tiled(x: Shape, patch: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map rounded up to whole patches."""
    return ceil(x[2] / patch[0]) * patch[0], ceil(x[3] / patch[1]) * patch[1]


def _local(t: _Trace, name: str, x: Shape, dim: int, depthwise: bool) -> Shape:
    """Local representation: k x k convolution, then to the transformer's width."""
    y = t.act(name, t.conv(f"{name}.conv_kxk", x, x[1], kernel=3, groups=x[1] if depthwise else 1))
    return t.conv(f"{name}.conv_1x1", y, dim, norm=False)


def _mobilevit(p: _Plan, name: str, stage: MobileViTStage, x: Shape, _: int) -> Shape:
    x = p.run(_inverted_residual, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, channels = f"{name}.1", stage.channels
    with p.hold(x if stage.residual or not stage.concat_local else None):
        local = p.run(_local, name, x, stage.dim, stage.dw_local)
        with p.hold(local if stage.concat_local else None):
            y = _softmax_transformer(p, name, stage, local)
            y = p.run(_conv_act, name, f"{name}.conv_proj", y, channels)
        y = p.run(_concat, name, local if stage.concat_local else x, y)
        y = p.run(_conv_act, name, f"{name}.conv_fusion", y, channels, 1 if stage.fuse_1x1 else 3)
    return p.run(_elementwise, name, y, x) if stage.residual else y


def _softmax_transformer(p: _Plan, name: str, stage: MobileViTStage, local: Shape) -> Shape:
    size, tiled = local[2:], _tiled(local, stage.patch)
    y = local if tiled == size else p.run(_resize, name, local, *tiled)
    y = p.run(_unfold, name, y, stage.patch)
    y = p.run(_softmax_layer, f"{name}.transformer.*", y, stage.heads, stage.ffn_dim, times=stage.depth)
    y = p.run(_fold, name, y, stage.patch, tiled)
    return y if tiled == size else p.run(_resize, name, y, *size)


def _unfold(t: _Trace, name: str, x: Shape, patch: tuple[int, int]) -> Shape:
    """(1, d, h, w) -> (pixels of a patch, patches, d)."""
    (_, d, h, w), (ph, pw) = x, patch
    rows, columns, pixels = h // ph, w // pw, ph * pw
    y = t.reshape(name, x, (d * rows, ph, columns, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    y = t.reshape(name, y, (1, d, rows * columns, pixels))
    y = t.transpose(name, y, 0, 3, 2, 1)
    return t.reshape(name, y, (pixels, rows * columns, d))


def _softmax_layer(t: _Trace, layer: str, y: Shape, heads: int, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _softmax_attention(t, f"{layer}.attn", t.layer_norm(f"{layer}.norm1", y), heads)
    y = t.elementwise(layer, y, a)
    with t.hold(y):
        a = t.linear(f"{layer}.mlp.fc1", t.layer_norm(f"{layer}.norm2", y), ffn_dim)
        a = t.linear(f"{layer}.mlp.fc2", t.act(layer, a), y[-1])
    return t.elementwise(layer, y, a)


def _fold(t: _Trace, name: str, x: Shape, patch: tuple[int, int], size: tuple[int, int]) -> Shape:
    """Last norm, then back to (1, d, h, w)."""
    (pixels, tokens, d), (ph, pw), (h, w) = x, patch, size
    y = t.layer_norm(f"{name}.norm", x)
    y = t.reshape(name, y, (1, pixels, tokens, d))
    y = t.transpose(name, y, 0, 3, 2, 1)
    y = t.reshape(name, y, (d * (h // ph), w // pw, ph, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    return t.reshape(name, y, (1, d, h, w))


def _softmax_attention(t: _Trace, name: str, x: Shape, heads: int) -> Shape:
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


def _mobilevitv2(p: _Plan, name: str, stage: MobileViTV2Stage, x: Shape, _: int) -> Shape:
    x = p.run(_inverted_residual, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, tiled = f"{name}.1", _tiled(x, stage.patch)
    if tiled != x[2:]:
        x = p.run(_resize, name, x, *tiled)
    with p.hold(x if stage.residual else None):
        local = p.run(_local, name, x, stage.dim, True)
        with p.hold(local if stage.concat_local else None):
            y = p.run(_unfold_separable, name, local, stage.patch)
            y = p.run(_separable_layer, f"{name}.transformer.*", y, stage.ffn_dim, times=stage.depth)
            y = p.run(_fold_separable, name, y, stage.patch, tiled)
        y = p.run(_merge, name, y, local if stage.concat_local else None, stage.channels)
    return p.run(_elementwise, name, y, x) if stage.residual else y


def _unfold_separable(t: _Trace, name: str, x: Shape, patch: tuple[int, int]) -> Shape:
    """(1, d, h, w) -> (1, d, pixels of a patch, patches)."""
    (_, d, h, w), (ph, pw) = x, patch
    y = t.reshape(name, x, (d, h // ph, ph, w // pw, pw))
    y = t.transpose(name, y, 0, 2, 4, 1, 3)
    return t.reshape(name, y, (1, d, ph * pw, (h // ph) * (w // pw)))


def _separable_layer(t: _Trace, layer: str, y: Shape, ffn_dim: int) -> Shape:
    with t.hold(y):
        a = _separable_attention(t, f"{layer}.attn", t.group_norm(f"{layer}.norm1", y))
    y = t.elementwise(layer, y, a)
    with t.hold(y):
        a = t.group_norm(f"{layer}.norm2", y)
        a = t.act(layer, t.conv(f"{layer}.mlp.fc1", a, ffn_dim, norm=False, bias=True))
        a = t.conv(f"{layer}.mlp.fc2", a, y[1], norm=False, bias=True)
    return t.elementwise(layer, y, a)


def _fold_separable(t: _Trace, name: str, x: Shape, patch: tuple[int, int], size: tuple[int, int]) -> Shape:
    """Last norm, then back to (1, d, h, w)."""
    (ph, pw), (h, w), d = patch, size, x[1]
    y = t.group_norm(f"{name}.norm", x, out=(d, ph, pw, h // ph, w // pw))
    y = t.transpose(name, y, 0, 3, 1, 4, 2)
    return t.reshape(name, y, (1, d, h, w))


def _merge(t: _Trace, name: str, y: Shape, local: Shape | None, channels: int) -> Shape:
    return t.conv(f"{name}.conv_proj", t.concat(name, y, local) if local else y, channels)


def _separable_attention(t: _Trace, name: str, x: Shape) -> Shape:
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


def _classifier(t: _Trace, name: str, x: Shape, num_classes: int) -> Shape:
    pooled = t.add("reduce", name, (x,), (x[0], x[1], 1, 1))
    return t.linear(f"{name}.fc", t.reshape(name, pooled, x[:2]), num_classes)


def _expand_head(p: _Plan, name: str, head: ExpandHead, x: Shape, num_classes: int) -> Shape:
    return p.run(_classifier, name, p.run(_conv_act, name, "final_conv", x, head.width(x[1])), num_classes)


def _pool_head(p: _Plan, name: str, head: PoolHead, x: Shape, num_classes: int) -> Shape:
    return p.run(_classifier, name, x, num_classes)


_LOWERINGS: dict[type, Callable[[_Plan, str, Any, Shape, int], Shape]] = {
    ConvStem: _stem,
    InvertedResidualStage: _inverted_residuals,
    MobileViTStage: _mobilevit,
    MobileViTV2Stage: _mobilevitv2,
    ExpandHead: _expand_head,
    PoolHead: _pool_head,
}
