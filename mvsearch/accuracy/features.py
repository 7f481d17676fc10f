"""A network's size and shape, in the numbers that the estimate compares. Remembered per part."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import log2
from typing import NamedTuple

from mvsearch.costs import PART_CACHE, SEGMENT_CACHE, Part, Segment, lower
from mvsearch.costs.op import WEIGHTED_KINDS
from mvsearch.spec.arch import (
    SWITCHES,
    ArchSpec,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    Stage,
)
from mvsearch.spec.published import DEFAULT_RESOLUTION

AttentionStage = MobileViTStage | MobileViTV2Stage


class Size(NamedTuple):
    """Totals in the regression's convention: `macs` leave attention's matrix products out."""

    params: int
    macs: int
    activations: int


@lru_cache(maxsize=PART_CACHE)
def part_size(part: Part) -> Size:
    """Size of one stem, stage or head."""
    sizes = [(_segment_size(segment), times) for segment, times in part.segments]
    return Size(
        params=sum([times * s.params for s, times in sizes]),
        macs=sum([times * s.macs for s, times in sizes]),
        activations=sum([times * s.activations for s, times in sizes]),
    )


@lru_cache(maxsize=SEGMENT_CACHE)
def _segment_size(segment: Segment) -> Size:
    params = macs = activations = 0
    for kind, op_macs, op_params, _, _, _, written in segment.sizes:
        params += op_params
        if kind in WEIGHTED_KINDS:
            macs += op_macs
            activations += written
    return Size(params, macs, activations)


def part_sizes(spec: ArchSpec) -> list[Size]:
    """Sizes of stem, stages and head at 256 pixels, the resolution of the published labels.

    A patch that does not tile its map enlarges the map; such padding is no size that earns accuracy, and is left out.
    """
    side = DEFAULT_RESOLUTION // 4
    stages, padded = list(spec.stages), False
    for i, stage in enumerate(stages):
        if isinstance(stage, AttentionStage):
            side //= 2
            if side % stage.patch[0] or side % stage.patch[1]:
                stages[i], padded = replace(stage, patch=(1, 1)), True
    if padded:
        spec = replace(spec, stages=tuple(stages))
    return [part_size(p) for p in lower(spec, DEFAULT_RESOLUTION)]


def total_size(sizes: list[Size]) -> Size:
    """Their sum."""
    params, macs, activations = map(sum, zip(*sizes, strict=True))
    return Size(params, macs, activations)


class StageShape(NamedTuple):
    """One transformer stage; `log_` is base 2.

    Attributes:
        kind: nearest published block: `v1`, `v3-v1`, `v2` or `v3-v2`.
        body: `v1` or `v2`.
        switches: v3's switches A, B, C, D.
        depth: transformer layers.
        log_ratio: of d / C.
        log_ffn: of the FFN ratio.
        log_heads: of the heads; None for separable attention, which has none.
        log_patch: of the patch side (geometric mean) over 2.
    """

    kind: str
    body: str
    switches: tuple[bool, bool, bool, bool]
    depth: int
    log_ratio: float
    log_ffn: float
    log_heads: float | None
    log_patch: float


class Shape(NamedTuple):
    """One network of the MobileViT layout; `log_` is base 2.

    Attributes:
        log_stem: of the stem's channels.
        log_widths: of the channels of the five stages.
        early_expansions: log2 of the expansion ratios at strides 2, 4 and 8.
        late_expansions: the same at strides 16 and 32.
        log_blocks: of the inverted residuals in the first two stages.
        depths: transformer layers of the three transformer stages.
        log_ratios: of d / C in these.
        log_ffns: of their FFN ratios.
        stages: the rest about these.
        head: kind of the head with its rule.
        activation: its name.
        norm: of the transformers, one of `spec.arch.NORMS`.
    """

    log_stem: float
    log_widths: tuple[float, ...]
    early_expansions: tuple[float, ...]
    late_expansions: tuple[float, ...]
    log_blocks: tuple[float, ...]
    depths: tuple[int, ...]
    log_ratios: tuple[float, ...]
    log_ffns: tuple[float, ...]
    stages: tuple[StageShape, ...]
    head: Head
    activation: str
    norm: str


@lru_cache(maxsize=65536)
def _log2(value: float) -> float:
    return log2(value)


@lru_cache(maxsize=65536)
def stage_shape(stage: AttentionStage) -> StageShape:
    """Shape of one transformer stage."""
    on = tuple(bool(getattr(stage, name, False)) for name in SWITCHES)
    if isinstance(stage, MobileViTStage):
        body, kind, log_heads = "v1", "v3-v1" if sum(on) >= 2 else "v1", _log2(stage.heads)
    else:
        body, kind, log_heads = "v2", "v3-v2" if on[3] else "v2", None
    return StageShape(
        kind=kind,
        body=body,
        switches=(on[0], on[1], on[2], on[3]),
        depth=stage.depth,
        log_ratio=log2(stage.dim / stage.channels),
        log_ffn=log2(stage.ffn_dim / stage.dim),
        log_heads=log_heads,
        log_patch=log2(stage.patch[0] * stage.patch[1]) / 2 - 1,
    )


def _is_published_layout(stages: tuple[Stage, ...]) -> bool:
    if len(stages) != 5:
        return False
    first, second, *rest = stages
    return (
        isinstance(first, InvertedResidualStage)
        and isinstance(second, InvertedResidualStage)
        and (first.stride, second.stride) == (1, 2)
        and all(isinstance(s, AttentionStage) for s in rest)
    )


def shape(spec: ArchSpec) -> Shape | None:
    """Shape of a network; None if it has not the published layout (strides, or what stands in which stage)."""
    stages = spec.stages
    if not _is_published_layout(stages):
        return None
    attention = tuple([stage_shape(s) for s in stages[2:]])
    expansions = [_log2(s.expansion) for s in stages]  # type: ignore[union-attr]
    return Shape(
        log_stem=_log2(spec.stem.channels),
        log_widths=tuple([_log2(s.channels) for s in stages]),
        early_expansions=tuple(expansions[:3]),
        late_expansions=tuple(expansions[3:]),
        log_blocks=tuple([_log2(s.num_blocks) for s in stages[:2]]),  # type: ignore[union-attr]
        depths=tuple([s.depth for s in attention]),
        log_ratios=tuple([s.log_ratio for s in attention]),
        log_ffns=tuple([s.log_ffn for s in attention]),
        stages=attention,
        head=spec.head,
        activation=spec.activation,
        norm=spec.norm,
    )
