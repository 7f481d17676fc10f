"""`ArchSpec` -> the operations of its network, in closed form.

Each part of a network (stem, stage, head) has one lowering, listed in `_LOWERINGS`; another family
adds its own. The sequence of operations is that of the program that coremltools makes of our torch
network, so that what a latency predictor sees here is what Core ML will see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
PART_CACHE = 4096
"""Parts that are remembered, about 50 kB each; neighbours in a search share most of theirs."""


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
    """

    name: str
    block: str
    ops: tuple[Op, ...]
    output: Shape


def lower(spec: ArchSpec, resolution: Resolution) -> tuple[Part, ...]:
    """The network's parts from stem to head at batch size 1.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.

    Returns:
        Stem, stages and head, each with its operations in order.
    """
    height, width = image_size(resolution)
    shape: Shape = (1, spec.in_channels, height, width)
    parts = []
    for name, part in (("stem", spec.stem), *((f"stages.{i}", s) for i, s in enumerate(spec.stages))):
        parts.append(_lower_part(name, part, shape, spec.activation, 0))
        shape = parts[-1].output
    parts.append(_lower_part("head", spec.head, shape, spec.activation, spec.num_classes))
    return tuple(parts)


@lru_cache(maxsize=PART_CACHE)
def _lower_part(name: str, part: Any, shape: Shape, activation: str, num_classes: int) -> Part:
    trace = _Trace(activation)
    output = _LOWERINGS[type(part)](trace, name, part, shape, num_classes)
    return Part(name, getattr(part, "block", part.kind), tuple(trace.ops), output)


class _Trace:
    """Collects operations; every method takes shapes and returns the shape that the operation writes."""

    def __init__(self, activation: str) -> None:
        self.activation = activation
        self.ops: list[Op] = []
        self._held = 0

    @contextmanager
    def hold(self, shape: Shape) -> Iterator[None]:
        """Keep a tensor of this shape alive for later while other operations run."""
        self._held += prod(shape)
        yield
        self._held -= prod(shape)

    @contextmanager
    def repeat(self, times: int) -> Iterator[None]:
        """Run the operations of this block so many times: they keep the shape, and their names say `*` for the index."""
        start = len(self.ops)
        yield
        self.ops += self.ops[start:] * (times - 1)

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
        self.ops.append(Op(kind, name, inputs, outputs, macs, params, weights, self._held))
        return outputs[0]

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
        return self.add("transpose", name, (x,), tuple(x[a] for a in axes))

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


def _stem(t: _Trace, name: str, stem: ConvStem, x: Shape, _: int) -> Shape:
    return t.act(name, t.conv(f"{name}.conv", x, stem.channels, kernel=3, stride=2))


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


def _inverted_residuals(t: _Trace, name: str, stage: InvertedResidualStage, x: Shape, _: int) -> Shape:
    for i in range(stage.num_blocks):
        x = _inverted_residual(t, f"{name}.{i}", x, stage.channels, stage.expansion, stage.stride if i == 0 else 1)
    return x


def _tiled(x: Shape, patch: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map rounded up to whole patches."""
    return ceil(x[2] / patch[0]) * patch[0], ceil(x[3] / patch[1]) * patch[1]


def _mobilevit(t: _Trace, name: str, stage: MobileViTStage, x: Shape, _: int) -> Shape:
    x = _inverted_residual(t, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, channels = f"{name}.1", stage.channels
    with t.hold(x if stage.residual or not stage.concat_local else (0,)):
        y = t.act(name, t.conv(f"{name}.conv_kxk", x, channels, kernel=3, groups=channels if stage.dw_local else 1))
        local = t.conv(f"{name}.conv_1x1", y, stage.dim, norm=False)
        with t.hold(local if stage.concat_local else (0,)):
            y = _softmax_transformer(t, name, stage, local)
            y = t.act(name, t.conv(f"{name}.conv_proj", y, channels))
        y = t.concat(name, local, y) if stage.concat_local else t.concat(name, x, y)
        y = t.act(name, t.conv(f"{name}.conv_fusion", y, channels, kernel=1 if stage.fuse_1x1 else 3))
    return t.elementwise(name, y, x) if stage.residual else y


def _softmax_transformer(t: _Trace, name: str, stage: MobileViTStage, local: Shape) -> Shape:
    (_, d, h, w), (ph, pw) = local, stage.patch
    th, tw = _tiled(local, stage.patch)
    y = local if (th, tw) == (h, w) else t.resize(name, local, th, tw)
    rows, columns, pixels = th // ph, tw // pw, ph * pw
    tokens = rows * columns
    y = t.reshape(name, y, (d * rows, ph, columns, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    y = t.reshape(name, y, (1, d, tokens, pixels))
    y = t.transpose(name, y, 0, 3, 2, 1)
    y = t.reshape(name, y, (pixels, tokens, d))
    layer = f"{name}.transformer.*"
    with t.repeat(stage.depth):
        with t.hold(y):
            a = _softmax_attention(t, f"{layer}.attn", t.layer_norm(f"{layer}.norm1", y), stage.heads)
        y = t.elementwise(layer, y, a)
        with t.hold(y):
            a = t.linear(f"{layer}.mlp.fc1", t.layer_norm(f"{layer}.norm2", y), stage.ffn_dim)
            a = t.linear(f"{layer}.mlp.fc2", t.act(layer, a), d)
        y = t.elementwise(layer, y, a)
    y = t.layer_norm(f"{name}.norm", y)
    y = t.reshape(name, y, (1, pixels, tokens, d))
    y = t.transpose(name, y, 0, 3, 2, 1)
    y = t.reshape(name, y, (d * rows, columns, ph, pw))
    y = t.transpose(name, y, 0, 2, 1, 3)
    y = t.reshape(name, y, (1, d, th, tw))
    return y if (th, tw) == (h, w) else t.resize(name, y, h, w)


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


def _mobilevitv2(t: _Trace, name: str, stage: MobileViTV2Stage, x: Shape, _: int) -> Shape:
    x = _inverted_residual(t, f"{name}.0", x, stage.channels, stage.expansion, 2)
    name, channels, (ph, pw), d = f"{name}.1", stage.channels, stage.patch, stage.dim
    th, tw = _tiled(x, stage.patch)
    if (th, tw) != x[2:]:
        x = t.resize(name, x, th, tw)
    rows, columns = th // ph, tw // pw
    with t.hold(x if stage.residual else (0,)):
        y = t.act(name, t.conv(f"{name}.conv_kxk", x, channels, kernel=3, groups=channels))
        local = t.conv(f"{name}.conv_1x1", y, d, norm=False)
        with t.hold(local if stage.concat_local else (0,)):
            y = t.reshape(name, local, (d, rows, ph, columns, pw))
            y = t.transpose(name, y, 0, 2, 4, 1, 3)
            y = t.reshape(name, y, (1, d, ph * pw, rows * columns))
            layer = f"{name}.transformer.*"
            with t.repeat(stage.depth):
                with t.hold(y):
                    a = _separable_attention(t, f"{layer}.attn", t.group_norm(f"{layer}.norm1", y))
                y = t.elementwise(layer, y, a)
                with t.hold(y):
                    a = t.group_norm(f"{layer}.norm2", y)
                    a = t.act(layer, t.conv(f"{layer}.mlp.fc1", a, stage.ffn_dim, norm=False, bias=True))
                    a = t.conv(f"{layer}.mlp.fc2", a, d, norm=False, bias=True)
                y = t.elementwise(layer, y, a)
            y = t.group_norm(f"{name}.norm", y, out=(d, ph, pw, rows, columns))
            y = t.transpose(name, y, 0, 3, 1, 4, 2)
            y = t.reshape(name, y, (1, d, th, tw))
        if stage.concat_local:
            y = t.concat(name, y, local)
        y = t.conv(f"{name}.conv_proj", y, channels)
    return t.elementwise(name, y, x) if stage.residual else y


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


def _expand_head(t: _Trace, name: str, head: ExpandHead, x: Shape, num_classes: int) -> Shape:
    return _classifier(t, name, t.act(name, t.conv("final_conv", x, head.width(x[1]))), num_classes)


def _pool_head(t: _Trace, name: str, head: PoolHead, x: Shape, num_classes: int) -> Shape:
    return _classifier(t, name, x, num_classes)


_LOWERINGS: dict[type, Callable[[_Trace, str, Any, Shape, int], Shape]] = {
    ConvStem: _stem,
    InvertedResidualStage: _inverted_residuals,
    MobileViTStage: _mobilevit,
    MobileViTV2Stage: _mobilevitv2,
    ExpandHead: _expand_head,
    PoolHead: _pool_head,
}
