"""One network, wider, deeper, or on larger images: what a factor does, and how it rounds. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import floor, lcm, sqrt

from mvsearch.costs.lowering import MAX_RESOLUTION, MIN_RESOLUTION
from mvsearch.errors import SpecError
from mvsearch.spec.arch import (
    WIDTH_DIVISOR,
    ArchSpec,
    ConvStem,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    Stage,
    make_divisible,
)
from mvsearch.spec.published import V2_MULTIPLIERS, mobilevitv2

Widths = tuple[int, ...]
OwnStage = InvertedResidualStage | MobileViTStage | MobileViTV2Stage

WIDTH_HOW = (
    "All channels and transformer widths times the factor, to a multiple of 8 that the heads divide, never below 90 % "
    "(make_divisible); MobileViTv2's widths by its own multiplier. Heads, ratios and the head's cap stay."
)
DEPTH_HOW = (
    "Transformer layers and inverted residuals of every stage times the factor, rounded half up, at least 1 and at most 64."
)
RESOLUTION_HOW = "The side of the image in steps at which every patch tiles its map; the weights stay."


def widened(spec: ArchSpec, factor: float) -> ArchSpec:
    """The network with all channels and transformer widths scaled.

    A network with the widths of a MobileViTv2, whatever its depths and blocks, follows that paper's multiplier
    (arXiv 2206.02680, section 3; CVNets' rounding, the stem between 16 and 64 channels), so that the published sizes come
    out exactly. Any other takes `make_divisible` of every width.

    Raises:
        SpecError: a width that no network has.
    """
    if factor == 1:
        return spec
    multiplier = v2_multiplier(spec)
    if multiplier is not None:
        return _with_widths(spec, _widths(mobilevitv2(round(multiplier * factor, 9))))
    stem = make_divisible(spec.stem.channels * factor)
    channels = [make_divisible(s.channels * factor) for s in spec.stages]
    dims = [make_divisible(s.dim * factor, _dim_step(s)) for s in spec.transformer_stages]
    return _with_widths(spec, (stem, *channels, *dims))


def _own_stages(spec: ArchSpec) -> tuple[OwnStage, ...]:
    """The stages, if they are a MobileViT's.

    Raises:
        SpecError: they are of another family, whose sizes no rule here knows.
    """
    own = tuple(s for s in spec.stages if isinstance(s, OwnStage))
    if len(own) < len(spec.stages):
        raise SpecError("a network of another family than MobileViT", "rules of scaling are known of MobileViTs")
    return own


def _dim_step(stage: MobileViTStage | MobileViTV2Stage) -> int:
    heads = stage.heads if isinstance(stage, MobileViTStage) else 1
    return lcm(WIDTH_DIVISOR, heads)


def _widths(spec: ArchSpec) -> Widths:
    return (spec.stem.channels, *(s.channels for s in spec.stages), *(s.dim for s in spec.transformer_stages))


def _with_widths(spec: ArchSpec, widths: Widths) -> ArchSpec:
    stem, *channels = widths[: 1 + len(spec.stages)]
    dims = iter(widths[1 + len(spec.stages) :])
    stages: list[Stage] = [
        replace(s, channels=c)
        if isinstance(s, InvertedResidualStage)
        else replace(s, channels=c, dim=next(dims))
        for s, c in zip(_own_stages(spec), channels, strict=True)
    ]  # fmt: skip
    return replace(spec, stem=ConvStem(stem), stages=tuple(stages))


@lru_cache(maxsize=256)
def v2_multiplier(spec: ArchSpec) -> float | None:
    """The width multiplier that gives a network's widths by MobileViTv2's rule; None if none does.

    Of several that round to the same widths, a published one is taken, or the one with the fewest digits.
    """
    kinds = [s.kind for s in spec.stages]
    if kinds != [s.kind for s in mobilevitv2(1.0).stages]:
        return None
    last = spec.stages[-1].channels / 512
    near = [round(last + k / 1000, 3) for k in range(-20, 21)]
    short = sorted((m for m in near if m > 0), key=lambda m: (len(f"{m:g}"), abs(m - last)))
    own = _widths(spec)
    return next((m for m in (*V2_MULTIPLIERS, *short) if _widths(mobilevitv2(m)) == own), None)


def deepened(spec: ArchSpec, factor: float) -> ArchSpec:
    """The network with transformer layers and inverted residuals scaled, each count rounded half up, at least 1.

    Raises:
        SpecError: more than 64 in a stage.
    """
    stages: list[Stage] = [
        replace(s, num_blocks=_times(s.num_blocks, factor))
        if isinstance(s, InvertedResidualStage)
        else replace(s, depth=_times(s.depth, factor))
        for s in _own_stages(spec)
    ]  # fmt: skip
    return replace(spec, stages=tuple(stages))


def _times(number: int, factor: float) -> int:
    return max(1, floor(number * factor + 0.5))


def depth_factors(spec: ArchSpec, low: float, high: float) -> tuple[float, ...]:
    """A factor for every network that `deepened` can make between two factors, rising; 1 for the network itself.

    Others stand in the (geometric) middle of the factors that give the same.
    """
    counts = {s.num_blocks if isinstance(s, InvertedResidualStage) else s.depth for s in _own_stages(spec)}
    steps = {(k + 0.5) / n for n in counts for k in range(1, floor(n * high + 0.5) + 1)}
    edges = [low, *sorted(s for s in steps if low < s < high), high]
    return tuple(1.0 if a <= 1 < b else sqrt(a * b) for a, b in pairwise(edges) if b > a)


def side_step(spec: ArchSpec) -> int:
    """Pixels by which the side of an image has to grow for every patch to tile its map, and every stride its input."""
    stride, step = 2, 2
    for stage in _own_stages(spec):
        stride *= stage.stride if isinstance(stage, InvertedResidualStage) else 2
        patch = (1, 1) if isinstance(stage, InvertedResidualStage) else stage.patch
        step = lcm(step, stride, *(stride * p for p in patch))
    return step


def sides(spec: ArchSpec, low: int = MIN_RESOLUTION, high: int = MAX_RESOLUTION) -> tuple[int, ...]:
    """Sides of images, in pixels, at which every patch tiles its map: multiples of `side_step` from 32 to 2048."""
    step = side_step(spec)
    first = -(-max(low, MIN_RESOLUTION) // step) * step
    return tuple(range(first, min(high, MAX_RESOLUTION) + 1, step))


def scaled(spec: ArchSpec, width: float, depth: float) -> ArchSpec | None:
    """Both at once; None where no such network can be."""
    try:
        return widened(deepened(spec, depth), width)
    except SpecError:
        return None
