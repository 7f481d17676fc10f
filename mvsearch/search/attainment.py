"""What several runs of one search attain: empirical attainment functions of two objectives, exact.

A run attains a goal (gain, cost) if a point of it is at least as good in both. The k-th level of `n` runs is the border of
what at least `k` of them attain: level 1 is the best of all runs, level n what every run attains, and the median level, of
at least half of them, is the picture of a typical run (da Fonseca, Fonseca and Hall 2001, "Inferential performance
assessment of stochastic optimisers and the attainment function"; Fonseca, Guerreiro, Lopez-Ibanez and Paquete
2011, "On the computation of the empirical attainment function", whose sweep for two objectives this is).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from mvsearch.search.pareto import Pair, dominates, front

Staircase = tuple[Pair, ...]
"""(gain, cost) of the corners, cheapest first; gain and cost both rise strictly."""


def staircase(points: Sequence[Pair]) -> Staircase:
    """The points that no other dominates, cheapest first."""
    return tuple(points[i] for i in front(points))


def attains(points: Sequence[Pair], goal: Pair) -> bool:
    """Whether one of the points is at least as good as the goal in both objectives."""
    return any(gain >= goal[0] and cost <= goal[1] for gain, cost in points)


def attained_share(runs: Sequence[Sequence[Pair]], goal: Pair) -> float:
    """The empirical attainment function: share of the runs that attain a goal.

    Raises:
        ValueError: no runs.
    """
    if not runs:
        raise ValueError("no runs")
    return sum(attains(run, goal) for run in runs) / len(runs)


def attainment_levels(runs: Sequence[Sequence[Pair]]) -> tuple[Staircase, ...]:
    """Staircases attained by at least 1, 2, ..., n of the runs.

    One sweep by rising cost: at every cost the k-th largest of the runs' best gains so far is the k-th level. A level
    is empty where fewer than `k` runs have any point.
    """
    steps = sorted((cost, number, gain) for number, run in enumerate(runs) for gain, cost in staircase(run))
    best = [float("-inf")] * len(runs)
    levels: list[list[Pair]] = [[] for _ in runs]
    for i, (cost, number, gain) in enumerate(steps):
        best[number] = max(best[number], gain)
        if i + 1 < len(steps) and steps[i + 1][0] == cost:
            continue  # Points of one cost count together.
        for level, value in zip(levels, sorted(best, reverse=True), strict=True):
            if value > (level[-1][0] if level else float("-inf")):
                level.append((value, cost))
    return tuple(tuple(level) for level in levels)


def median_level(runs: int) -> int:
    """The `k` of the median level: the fewest runs that are at least half of all."""
    return (runs + 1) // 2


def gain_at(steps: Staircase, cost: float) -> float:
    """The best gain that a staircase offers at this cost or less; -inf below its cheapest corner."""
    return max((g for g, c in steps if c <= cost), default=float("-inf"))


def dominated_share(points: Sequence[Pair], by: Sequence[Pair]) -> float:
    """Share of a front's points that some point of another front dominates.

    The coverage of Zitzler and Thiele (1999, IEEE Transactions on Evolutionary Computation 3(4)), strictly: a network
    that both fronts hold is dominated by neither. The share one way does not follow from that the other way.

    Raises:
        ValueError: no points.
    """
    if not points:
        raise ValueError("no points")
    return sum(any(dominates(other, point) for other in by) for point in points) / len(points)


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    """(median, least, greatest)."""
    return median(values), min(values), max(values)


def common_reference(runs: Sequence[Sequence[Pair]]) -> Pair | None:
    """(least gain, greatest cost) on any of the fronts: the worst corner that all of them share; None without points."""
    points = [p for run in runs for p in staircase(run)]
    return (min(g for g, _ in points), max(c for _, c in points)) if points else None
