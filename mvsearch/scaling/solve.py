"""The width at which a network of given depth and image costs what is asked."""

from __future__ import annotations

import math

from mvsearch.scaling.families import LARGEST_FACTOR, Point, cost
from mvsearch.scaling.rules import scaled
from mvsearch.scaling.view import CostMetric
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets import Target

_FINEST = 1e-3
"""Of log2 of the width: below a step of 8 of any width up to 4,096."""
_LIMIT = math.log2(LARGEST_FACTOR)


def solve_width(
    spec: ArchSpec,
    side: int,
    depth: float,
    metric: CostMetric,
    budget: float,
    target: Target,
    low: float = -_LIMIT,
    high: float = _LIMIT,
) -> tuple[Point, float] | None:
    """The network whose cost comes nearest to a budget, and that cost.

    Args:
        spec: before scaling.
        side: of the image in pixels.
        depth: factor.
        metric: of the budget.
        budget: in its unit.
        target: predicts ms.
        low: least log2 of the width's factor that is looked at.
        high: greatest.

    Returns:
        None where no such network can be, or the budget lies outside of what these widths cost.
    """

    def at(x: float) -> tuple[Point, float] | None:
        made = scaled(spec, 2**x, depth)
        if made is None:
            return None
        return Point(2**x, 2**x, depth, made, side), cost(metric, made, side, target)

    # Widths end at 4,096, and some feed-forward networks before the least width does.
    while low < high and at(low) is None:
        low += 0.25
    while low < high and at(high) is None:
        high -= 0.25
    below, above = at(low), at(high)
    if below is None or above is None or budget < below[1] or budget > above[1]:
        return _only(below, above, budget)
    while high - low > _FINEST:
        middle = (low + high) / 2
        found = at(middle)
        if found is None or found[1] > budget:
            high, above = middle, found or above
        else:
            low, below = middle, found
    return min((below, above), key=lambda f: abs(math.log(f[1] / budget)))


def _only(below: tuple[Point, float] | None, above: tuple[Point, float] | None, budget: float) -> tuple[Point, float] | None:
    """The nearer end, if it is within 1 % of the budget: at an end of the widths a step may miss it by little."""
    ends = [f for f in (below, above) if f is not None and abs(math.log(f[1] / budget)) < 0.01]
    return min(ends, key=lambda f: abs(math.log(f[1] / budget))) if ends else None
