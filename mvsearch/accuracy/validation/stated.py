"""Probabilities of the right order: what is stated against what came true."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.anchors import MOBILEVIT, load_anchors
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.fit import GAP_EDGES, Vector, family_held_out, smoothed
from mvsearch.accuracy.validation.records import CalibrationRow

Mask = NDArray[np.bool_]
MIN_PAIRS = 20
"""Bins with fewer pairs say too little to be held against a probability."""
TOLERANCE = 0.1
"""By which a stated probability may miss what was observed."""
KINDS = (("any two networks", "any"), ("one family", "same_family"), ("two MobileViTs", "same_family"))
"""What is shown, and the shipped table that states its probabilities."""


@lru_cache(maxsize=1)
def calibration_rows() -> tuple[CalibrationRow, ...]:
    """Stated against observed per bin of predicted gap, for three kinds of pairs.

    The shipped table was smoothed over the very pairs it is judged on. Beside it stands a table made without the
    pairs in which one of the two families takes part: what it would have stated before they were known.
    """
    pairs = _Pairs()
    rows = []
    for kind, table in KINDS:
        chosen = {
            "any two networks": np.ones(len(pairs.gap), dtype=bool),
            "one family": pairs.first == pairs.second,
            "two MobileViTs": (pairs.first == pairs.mobilevit) & (pairs.second == pairs.mobilevit),
        }[kind]
        source = pairs.first == pairs.second if table == "same_family" else np.ones(len(pairs.gap), dtype=bool)
        shipped = load_estimator().calibration[table]
        stated = _read([(b.mean_gap, b.probability) for b in shipped], pairs.gap)
        unseen = pairs.stated_without_families(chosen, source)
        for i, (low, high) in enumerate(zip(GAP_EDGES, (*GAP_EDGES[1:], None), strict=True)):
            inside = chosen & (pairs.bin == i)
            n = int(inside.sum())
            if n:
                means = [float(v[inside].mean()) for v in (stated, unseen, pairs.right)]
                rows.append(CalibrationRow(kind, low, high, n, *means))
    return tuple(rows)


def _read(points: list[tuple[float, float]], gaps: Vector) -> Vector:
    """Probability at each gap, linear between the bins' means, as `calibration.probability_of_order` reads it."""
    x, y = zip((0.0, 0.5), *points, strict=True)
    return np.asarray(np.interp(gaps, x, y))


class _Pairs:
    """Every pair of anchors with different labels, each network predicted without its family."""

    def __init__(self) -> None:
        anchors = load_anchors()
        predicted = family_held_out(list(anchors))
        families = sorted({a.family for a in anchors})
        number = {f: i for i, f in enumerate(families)}
        found = []
        for a, b in combinations(anchors, 2):
            if a.top1 != b.top1:
                gap = predicted[a.name] - predicted[b.name]
                found.append((abs(gap), (gap > 0) == (a.top1 > b.top1), number[a.family], number[b.family]))
        self.gap, self.right = (np.array([f[i] for f in found], dtype=np.float64) for i in (0, 1))
        self.first, self.second = (np.array([f[i] for f in found]) for i in (2, 3))
        self.bin = np.digitize(self.gap, GAP_EDGES) - 1
        self.mobilevit = number[MOBILEVIT]

    def stated_without_families(self, chosen: Mask, source: Mask) -> Vector:
        """Probability for every chosen pair by the table of the source pairs that have neither of its families."""
        stated = np.full(len(self.gap), np.nan)
        for f, g in {(int(f), int(g)) for f, g in zip(self.first[chosen], self.second[chosen], strict=True)}:
            known = source & ~np.isin(self.first, (f, g)) & ~np.isin(self.second, (f, g))
            mine = chosen & (self.first == f) & (self.second == g)
            stated[mine] = _read(self._table(known), self.gap[mine])
        return stated

    def _table(self, known: Mask) -> list[tuple[float, float]]:
        bins, size = self.bin[known], len(GAP_EDGES)
        pairs = np.bincount(bins, minlength=size)
        observed = np.bincount(bins, self.right[known], size) / pairs
        gaps = np.bincount(bins, self.gap[known], size) / pairs
        return list(zip(gaps.tolist(), smoothed(observed.tolist(), pairs.tolist()), strict=True))
