"""Curves of equal cost: which factors of width and depth, or of width and resolution, cost the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mvsearch.accuracy import estimate_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.scaling.rules import depth_factors, sides
from mvsearch.scaling.solve import solve_width
from mvsearch.scaling.view import CostMetric, IsoCurve
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets import Target

DEPTHS = (0.3, 3.0)
SIDES = (0.5, 2.0)
"""Factors between which depth and resolution are drawn."""
NEAR = 0.05
"""Share of the level that a point may miss; widths go in steps of 8."""


def iso_curves(
    spec: ArchSpec,
    side: int,
    levels: Mapping[CostMetric, tuple[float, ...]],
    target: Target,
    estimator: Estimator | None = None,
) -> tuple[IsoCurve, ...]:
    """Width against depth, and width against resolution, at every level of every cost.

    Args:
        spec: the base.
        side: of its image, in pixels.
        levels: cost -> levels, in its unit.
        target: predicts ms.
        estimator: of top-1; the one that ships by default.
    """
    depths = [(d, side) for d in depth_factors(spec, *DEPTHS)]
    low, high = (round(side * f) for f in SIDES)
    large = [(1.0, s) for s in sorted({side, *sides(spec, low, high)})]
    axes: tuple[tuple[Literal["depth", "resolution"], list[tuple[float, int]]], ...] = (
        ("depth", depths),
        ("resolution", large),
    )
    curves = []
    for metric, values in levels.items():
        for level in values:
            for axis, places in axes:
                points = []
                for depth, s in places:
                    solved = solve_width(spec, s, depth, metric, level, target)
                    if solved and abs(solved[1] / level - 1) <= NEAR:
                        top1 = estimate_top1(solved[0].spec, s, estimator).value
                        points.append((solved[0].width, depth if axis == "depth" else s / side, top1))
                if len(points) > 1:
                    curves.append(IsoCurve(metric, level, "width", axis, tuple(sorted(points))))
    return tuple(curves)
