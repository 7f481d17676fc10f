"""The published networks as points of comparison, each scaled uniformly to any size."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log2
from typing import Any

from mvsearch.accuracy.anchors import load_anchors
from mvsearch.accuracy.features import Shape, Size, part_sizes, shape, total_size
from mvsearch.spec.arch import ArchSpec, ConvStem, MobileViTStage
from mvsearch.spec.published import published_networks

_FACTORS = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
"""Width factors at which a reference's costs are counted; between them they are interpolated."""


def late_ratio(sizes: list[Size]) -> float:
    """log2 of parameters at stride 32, head included, to those before."""
    late = sizes[-1].params + sizes[-2].params
    return log2(late / sum(s.params for s in sizes[:-2]))


UNIFORM_KINDS = ("v2", "v3-v2")
"""Published as one shape at several widths: between two of them, the others say nothing new."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A published network with a label, and what it becomes when all its widths are scaled by one factor.

    Attributes:
        name: published name.
        kind: block kind of its transformer stages.
        shape: its shape; the knobs in it do not change with the factor.
        top1: published ImageNet-1k top-1, in %.
        own_log_params: log2 of its parameters.
        log_params, log_factors, log_late: columns of a table over width factors, base 2: parameters, the
            factor itself, and the ratio of late to other parameters.
        scales_stem: whether the stem's width follows the factor (v2) or stays (v1).
    """

    name: str
    kind: str
    shape: Shape
    top1: float
    own_log_params: float
    log_params: tuple[float, ...]
    log_factors: tuple[float, ...]
    log_late: tuple[float, ...]
    scales_stem: bool

    def likeness(self, log_params: float) -> tuple[float, float]:
        """The scaled network of so many parameters: (log2 of its width factor, log2 of its late ratio)."""
        x = self.log_params
        i = min(max(bisect_right(x, log_params), 1), len(x) - 1)
        t = (log_params - x[i - 1]) / (x[i] - x[i - 1])
        f, late = self.log_factors, self.log_late
        # Not extrapolated in the ratio: beyond the table it hardly moves.
        u = min(max(t, 0.0), 1.0)
        return f[i - 1] + t * (f[i] - f[i - 1]), late[i - 1] + u * (late[i] - late[i - 1])


def _scaled(spec: ArchSpec, factor: float) -> ArchSpec:
    if factor == 1:
        return spec

    def width(value: int, multiple: int = 1) -> int:
        return max(1, round(value * factor / multiple)) * multiple

    stages: list[Any] = []
    for stage in spec.stages:
        widths: dict[str, Any] = {"channels": width(stage.channels)}
        if hasattr(stage, "dim"):
            widths["dim"] = width(stage.dim, stage.heads if isinstance(stage, MobileViTStage) else 8)
        stages.append(replace(stage, **widths))
    stem = ConvStem(width(spec.stem.channels)) if _scales_stem(spec) else spec.stem
    return replace(spec, stem=stem, stages=tuple(stages))


def _scales_stem(spec: ArchSpec) -> bool:
    return not isinstance(spec.stages[-1], MobileViTStage)


def _reference(name: str, spec: ArchSpec, top1: float) -> Reference:
    own = shape(spec)
    assert own is not None
    columns = []
    for factor in _FACTORS:
        sizes = part_sizes(_scaled(spec, factor))
        columns.append((log2(total_size(sizes).params), log2(factor), late_ratio(sizes)))
    log_params, log_factors, log_late = zip(*columns, strict=True)
    own_log_params = log_params[_FACTORS.index(1.0)]
    return Reference(name, own.stages[0].kind, own, top1, own_log_params, log_params, log_factors, log_late, _scales_stem(spec))


@lru_cache(maxsize=1)
def references() -> tuple[Reference, ...]:
    """Every MobileViT anchor. Patch sizes other than 2 are judged by their own table, not by a reference."""
    networks = published_networks()
    anchors = {a.network: a for a in load_anchors()}
    return tuple(_reference(n, s, anchors[n].top1) for n, s in networks.items() if n in anchors)


@lru_cache(maxsize=64)
def _of_kinds(kinds: frozenset[str]) -> tuple[tuple[Reference, ...], tuple[tuple[Reference, ...], ...]]:
    every = [r for r in references() if r.kind in kinds]
    ladders = []
    for kind in sorted(kinds):
        if kind in UNIFORM_KINDS:
            ladders.append(tuple(sorted((r for r in every if r.kind == kind), key=lambda r: r.own_log_params)))
    return tuple(r for r in every if r.kind not in UNIFORM_KINDS), tuple(ladders)


def references_of(kinds: frozenset[str], log_params: float) -> list[Reference]:
    """The references whose blocks are of one of these kinds; of the uniformly scaled kinds the nearest two in size."""
    free, ladders = _of_kinds(kinds)
    chosen = list(free)
    for ladder in ladders:
        i = bisect_right(ladder, log_params, key=_own_log_params)
        i = min(max(i - 1, 0), len(ladder) - 2)
        chosen += ladder[i : i + 2]
    return chosen


def _own_log_params(reference: Reference) -> float:
    return reference.own_log_params


@lru_cache(maxsize=1)
def published_ratios() -> dict[tuple[str, int], tuple[float, ...]]:
    """(block kind, transformer stage 0 to 2) -> the published values of log2(d / C)."""
    table: dict[tuple[str, int], set[float]] = {}
    for reference in references():
        for i, stage in enumerate(reference.shape.stages):
            table.setdefault((reference.kind, i), set()).add(stage.log_ratio)
    return {k: tuple(sorted(v)) for k, v in table.items()}
