"""How sure an order of two estimates is, from how often such orders came true for published networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt

from mvsearch.accuracy.estimator import load_estimator
from mvsearch.spec.record import Measurement

TIE_THRESHOLD = 0.5
"""Points of top-1: published labels of one network differ by more between recipes (0.8 in the median)."""


@lru_cache(maxsize=4)
def _curve(table: str) -> tuple[tuple[float, float], ...]:
    """(gap, probability) points, non-decreasing in both, from (0, 0.5)."""
    return ((0.0, 0.5), *((b.mean_gap, b.probability) for b in load_estimator().calibration[table]))


def probability_of_order(gap: float, same_family: bool = True) -> float:
    """Probability that the network predicted better by `gap` points is better; below 0.5 for a negative gap.

    Read off the calibration table (each family predicted by a fit without it), linear between the bins' means.
    """
    if gap < 0:
        return 1.0 - probability_of_order(-gap, same_family)
    curve = _curve("same_family" if same_family else "any")
    for (x0, y0), (x1, y1) in pairwise(curve):
        if gap <= x1:
            return y0 + (gap - x0) / (x1 - x0) * (y1 - y0)
    return curve[-1][1]


def probability_better(a: Measurement, b: Measurement, same_family: bool = True) -> float:
    """Probability that `a` is really better than `b`.

    The table is about published networks. A gap between candidates that are farther from evidence is
    shrunk in the ratio of the standard deviations, as if their departures had nothing in common.

    Args:
        a: estimate of top-1.
        b: the other.
        same_family: whether both are MobileViTs (of any version); other networks are ordered less surely.
    """
    sigma = load_estimator().sigma
    spread = sqrt((_sigma(a) ** 2 + _sigma(b) ** 2) / 2)
    return probability_of_order((a.value - b.value) * min(1.0, sigma / spread if spread else 1.0), same_family)


def tied(a: Measurement, b: Measurement, threshold: float = TIE_THRESHOLD) -> bool:
    """Whether two estimates are too close to be told apart: by less than `threshold` points."""
    return abs(a.value - b.value) < threshold


def tiers(measurements: Sequence[Measurement], confidence: float, threshold: float = TIE_THRESHOLD) -> tuple[int, ...]:
    """Groups of networks that the estimates cannot tell apart from the best of the group: 0 for the best group.

    The network with the best lower bound leads tier 0. With it are all that lie less than `threshold` below it by the
    lower bound and less than `threshold` away from it by the value. The best of the rest leads tier 1, and so on.
    Ties are not transitive (a tied with b and b with c, but not a with c), so each network is compared with its
    tier's leader only: two followers may be up to twice the threshold apart.

    Args:
        measurements: of top-1, in any order.
        confidence: one-sided, of the lower bounds; that of the search.
        threshold: points of top-1.

    Returns:
        A tier per measurement, in their order. Of equal lower bounds the first leads.
    """
    return tiers_of([m.quantile(1 - confidence) for m in measurements], [m.value for m in measurements], threshold)


def tiers_of(lower: Sequence[float], values: Sequence[float], threshold: float = TIE_THRESHOLD) -> tuple[int, ...]:
    """The same from lower bounds and values, in %."""
    rest = sorted(range(len(lower)), key=lambda i: -lower[i])
    result = [0] * len(lower)
    tier = 0
    while rest:
        leader = rest[0]
        apart = []
        for i in rest:
            near = lower[leader] - lower[i] < threshold and abs(values[leader] - values[i]) < threshold
            if i == leader or near:
                result[i] = tier
            else:
                apart.append(i)
        rest, tier = apart, tier + 1
    return tuple(result)


def _sigma(m: Measurement) -> float:
    return m.quantile(0.8413447460685429) - m.value
