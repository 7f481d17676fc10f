"""Collecting operations: segments, which networks share, and the plan and trace that make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from mvsearch.costs.op import Op, OpKind, Shape
from mvsearch.spec.arch import BATCH_NORM, LAYER_NORM

SEGMENT_CACHE = 16_384
"""Segments that are remembered, about 2 kB each; neighbours in a search share theirs within a changed stage too."""

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
    recipe: tuple[Callable[..., Shape], str, str, int, tuple[Any, ...]]

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operations with their names and shapes, lowered anew: a search never asks for them."""
        lowering, activation, norm, held, arguments = self.recipe
        ops: list[Op] = []
        lowering(Trace(activation, held, ops, norm), *arguments)
        return tuple(ops)


class _Hold:
    """Adds to what its owner holds for as long as the block lasts; a class, since it is entered a hundred times a network."""

    __slots__ = ("_elements", "_owner")

    def __init__(self, owner: Plan | Trace, elements: int) -> None:
        self._owner, self._elements = owner, elements

    def __enter__(self) -> None:
        self._owner.held += self._elements

    def __exit__(self, *_: object) -> None:
        self._owner.held -= self._elements


class Plan:
    """Collects the segments of a part.

    Args:
        activation: of the network.
        norm: see `Trace`.
    """

    def __init__(self, activation: str, norm: str = LAYER_NORM) -> None:
        self.segments: list[tuple[Segment, int]] = []
        self._activation, self._norm = activation, norm
        self.held = 0

    def hold(self, shape: Shape | None) -> _Hold:
        """Keep a tensor of this shape alive for later while the segments within run; None keeps nothing."""
        return _Hold(self, prod(shape) if shape else 0)

    def run(self, lowering: Callable[..., Shape], *arguments: Any, times: int = 1) -> Shape:
        """Append the segment that `lowering(trace, *arguments)` gives; repeated, it has to keep its input's shape."""
        segment = _segment(lowering, self._activation, self._norm, self.held, arguments)
        self.segments.append((segment, times))
        return segment.output


@lru_cache(maxsize=SEGMENT_CACHE)
def _segment(lowering: Callable[..., Shape], activation: str, norm: str, held: int, arguments: tuple[Any, ...]) -> Segment:
    trace = Trace(activation, held, norm=norm)
    output = lowering(trace, *arguments)
    recipe = (lowering, activation, norm, held, arguments)
    return Segment(tuple(trace.sizes), output, trace.longest_axis, trace.highest_rank, recipe)


class Trace:
    """Collects operations; every method takes shapes and returns the shape that the operation writes.

    Args:
        activation: of the network.
        held: elements that are alive all the while.
        ops: receives the operations with names and shapes, if they are wanted.
        norm: `BATCH_NORM` puts a batch norm in the place of every layer norm and group norm. What follows each of them is
            linear, and takes it in: no operation is left, and its parameters are those of the operation that follows.
    """

    def __init__(self, activation: str, held: int, ops: list[Op] | None = None, norm: str = LAYER_NORM) -> None:
        self.activation = activation
        self.held = held
        self.folds_norms = norm == BATCH_NORM
        self._folded_params = 0
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
        """One operation, by its kind; the shape of its first output."""
        output = outputs[0]
        if self._folded_params:
            params, self._folded_params = params + self._folded_params, 0
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
        scaled: bool = False,
    ) -> Shape:
        """Convolution with padding (k-1)/2; with `norm`, batch norm (weight and bias) is folded into it.

        With `scaled` a factor per channel is folded into it as well.
        """
        n, in_channels, h, w = x
        out = (n, channels, (h - 1) // stride + 1, (w - 1) // stride + 1)
        weights = kernel * kernel * in_channels // groups * channels
        kind: OpKind = "depthwise" if groups > 1 else "pointwise" if kernel == 1 else "conv"
        return self.add(
            kind, name, (x,), out,
            macs=weights * out[2] * out[3],
            params=weights + (2 * norm + bias + scaled) * channels,
            weights=weights + (channels if norm or bias else 0),
        )  # fmt: skip

    def linear(self, name: str, x: Shape, features: int) -> Shape:
        """Linear layer with bias over the last axis."""
        weights = x[-1] * features + features
        return self.add(
            "linear", name, (x,), (*x[:-1], features),
            macs=prod(x) * features, params=weights, weights=weights,
        )  # fmt: skip

    def batch_norm(self, x: Shape, channels: int) -> Shape:
        """In what follows, which gets its parameters: no operation."""
        self._folded_params += 2 * channels
        return x

    def layer_norm(self, name: str, x: Shape) -> Shape:
        """Over the last axis, with scale and shift."""
        if self.folds_norms:
            return self.batch_norm(x, x[-1])
        return self.add("layer_norm", name, (x,), x, params=2 * x[-1], weights=2 * x[-1])

    def group_norm(self, name: str, x: Shape, out: Shape | None = None) -> Shape:
        """GroupNorm with one group; Core ML has no such operation and receives its pieces.

        The last piece is a reshape, which merges with one that follows: its shape is `out`. Scale and
        shift are one more operation (`batch_norm`) once they are trained; at their initial 1 and 0 the
        converter drops it. It is left out here, as in the programs that the latency predictor is
        fitted on, and their numbers are counted as weights.
        """
        if self.folds_norms:
            self.batch_norm(x, x[1])
            return self.reshape(name, x, out) if out else x
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

    def scale(self, name: str, x: Shape) -> Shape:
        """A factor per channel, of a map or of tokens."""
        channels = x[1] if len(x) == 4 else x[-1]
        return self.add("elementwise", name, (x,), x, params=channels, weights=channels)

    def act(self, name: str, x: Shape, activation: str = "") -> Shape:
        """The network's activation, unless another is named."""
        for kind, inputs in _ACTIVATION_OPS[activation or self.activation]:
            self.add(kind, name, (x,) * inputs, x)
        return x

    def reshape(self, name: str, x: Shape, out: Shape) -> Shape:
        """The same elements in another shape."""
        return self.add("reshape", name, (x,), out)

    def transpose(self, name: str, x: Shape, *axes: int) -> Shape:
        """The axes in another order."""
        return self.add("transpose", name, (x,), tuple([x[a] for a in axes]))

    def resize(self, name: str, x: Shape, height: int, width: int) -> Shape:
        """Bilinear, of a map."""
        return self.add("resize", name, (x,), (x[0], x[1], height, width))

    def elementwise(self, name: str, *inputs: Shape) -> Shape:
        """One operation per element; the shape of the first input."""
        return self.add("elementwise", name, inputs, inputs[0])

    def concat(self, name: str, *inputs: Shape) -> Shape:
        """Of maps, along the channels."""
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
