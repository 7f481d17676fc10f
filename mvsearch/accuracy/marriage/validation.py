"""Whether training orders published networks of about equal size better than the estimate does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.marriage.losses import RungLosses
from mvsearch.accuracy.marriage.records import Scored, Validation
from mvsearch.accuracy.validation.held_out import held_out
from mvsearch.accuracy.validation.networks import BANDS
from mvsearch.spec.published import name_of

MIN_PAIRS = 10
NUM_BOOTSTRAPS = 1000
NOT_VALIDATED = "not validated: `--validate-proxy` trains published networks first"


def judged_without_band() -> dict[str, tuple[str, float]]:
    """Published name -> (size band, top-1 by the estimate whose block offsets have not seen the networks of that size)."""
    return {h.judged.name: (h.judged.band, h.band_out) for h in held_out() if h.judged.band != BANDS[-1]}


class _Anchor(NamedTuple):
    published: float
    score: float
    estimate: float
    band: str | None


def validate(networks: Sequence[Scored], rungs: Sequence[RungLosses]) -> Validation:
    """Judge the rung at which most pairs of anchors were trained; of several, the highest."""
    best: tuple[int, int, int, list[_Anchor]] | None = None
    for rung, losses in enumerate(rungs):
        anchors = _anchors(networks, losses)
        candidate = (len(_pairs(anchors)), len(anchors), rung, anchors)
        if anchors and (best is None or candidate[:3] > best[:3]):
            best = candidate
    if best is None:
        return Validation(None, 0, 0, 0, 0, None, None, None, None, None, None, earned=False, why=NOT_VALIDATED)
    return _judge(best[2], best[3])


def _anchors(networks: Sequence[Scored], losses: RungLosses) -> list[_Anchor]:
    found = []
    for network in networks:
        mine = losses.losses.get(network.spec.arch_id)
        if network.published is not None and mine is not None:
            band, estimate = judged_without_band().get(name_of(network.spec) or "", (None, network.before.value))
            found.append(_Anchor(network.published, -mine.loss, estimate, band))
    return found


def _pairs(anchors: Sequence[_Anchor]) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, j in combinations(range(len(anchors)), 2)
        if anchors[i].band is not None and anchors[i].band == anchors[j].band and anchors[i].published != anchors[j].published
    ]


def _agreement(anchors: Sequence[_Anchor], field: str) -> NDArray[np.float64]:
    """(n, n): 1 where the field orders two anchors as published, -1 where it does not, 0 where it ties."""
    published, mine = (np.array([getattr(a, f) for a in anchors]) for f in ("published", field))
    return np.asarray(np.sign(published[:, None] - published) * np.sign(mine[:, None] - mine), dtype=np.float64)


def _judge(rung: int, anchors: list[_Anchor]) -> Validation:
    pairs = _pairs(anchors)
    by_training, by_estimate = _agreement(anchors, "score"), _agreement(anchors, "estimate")
    of_size = np.zeros_like(by_training)
    for i, j in pairs:
        of_size[i, j] = of_size[j, i] = 1.0
    right, estimator_right = (round(float(((a > 0) * of_size).sum()) / 2) for a in (by_training, by_estimate))
    kendall, estimator_kendall = _mean(by_training), _mean(by_estimate)
    low = high = advantage_low = advantage_high = None
    if kendall is not None:
        low, high = _bootstrap(by_training, np.ones_like(of_size))
    if pairs:
        advantage_low, advantage_high = _bootstrap((by_training > 0).astype(np.float64) - (by_estimate > 0), of_size)
    said = (
        f"training orders {right} of {len(pairs)} pairs of published networks of about equal size as published, "
        f"the estimate {estimator_right}"
    )
    if len(pairs) < MIN_PAIRS:
        earned = False
        why = f"too few pairs: {len(pairs)} of published networks of about equal size, {MIN_PAIRS} are needed"
    else:
        earned = right > estimator_right
        why = said if earned else f"{said}: it does not beat the estimate"
    return Validation(
        rung=rung,
        anchors=len(anchors),
        pairs=len(pairs),
        right=right,
        estimator_right=estimator_right,
        kendall=kendall,
        kendall_low=low,
        kendall_high=high,
        estimator_kendall=estimator_kendall,
        advantage_low=advantage_low,
        advantage_high=advantage_high,
        earned=earned,
        why=why,
    )


def _mean(agreement: NDArray[np.float64]) -> float | None:
    n = len(agreement)
    return float(agreement.sum()) / (n * (n - 1)) if n > 1 else None


def _bootstrap(values: NDArray[np.float64], counted: NDArray[np.float64]) -> tuple[float, float]:
    """90 % interval of the mean over counted pairs, anchors drawn with replacement; an anchor is no pair with itself."""
    rng, n = np.random.default_rng(0), len(values)
    counted = counted * (1 - np.eye(n))
    means = []
    for drawn in rng.integers(0, n, (NUM_BOOTSTRAPS, n)):
        times = np.bincount(drawn, minlength=n).astype(np.float64)
        weight = counted * np.outer(times, times)
        if weight.sum() > 0:
            means.append(float((values * weight).sum() / weight.sum()))
    low, high = np.quantile(means, (0.05, 0.95))
    return float(low), float(high)
