"""Whether a front's order survives another draw of the evidence: the estimator refitted, the members estimated anew.

Two ways to draw again: the families of networks that the line rests on are resampled with replacement
(and the MobileViT anchors within their block kind), or one family is left out. The distances from
evidence are the same in every refit, since they rest on judgements and not on the anchors; those are
shaken by themselves (`shaken_bounds`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.anchors import MOBILEVIT, Anchor, load_anchors
from mvsearch.accuracy.calibration import TIE_THRESHOLD, tiers_of
from mvsearch.accuracy.estimate import explain_top1
from mvsearch.accuracy.estimator import Estimator, load_estimator
from mvsearch.accuracy.fit import SIZE_BANDS, block_offsets, fit_line, leave_band_out
from mvsearch.costs import Resolution
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION

Matrix = NDArray[np.float64]
Objective = Literal["lower bound", "plain"]
"""What a front was chosen by: the lower confidence bound, or size with block and patch offsets alone."""
NEAR = 1.1
"""Ratio of latencies up to which two members are near each other: there a front's order is not that of latency."""


@dataclass(frozen=True, slots=True)
class Refit:
    """The estimator from other evidence.

    Attributes:
        name: how the evidence differs, e.g. `without resnet`.
        estimator: the fit; its calibration tables are those that ship.
    """

    name: str
    estimator: Estimator


def _refitted(name: str, others: list[Anchor], mobilevits: list[Anchor]) -> Refit:
    shipped, line = load_estimator(), fit_line(others)
    # Without any MobileViT there are no offsets, and an error is that of any family.
    sigma = leave_band_out(line, mobilevits)["rmse"] if mobilevits else shipped.sigma_zoo
    c0, c1, c2, c3 = line.tolist()
    offsets = block_offsets(line, mobilevits)
    fitted = replace(shipped, coefficients=(c0, c1, c2, c3), num_anchors=len(others), block_offsets=offsets, sigma=float(sigma))
    return Refit(name, fitted)


def _by_family() -> tuple[dict[str, list[Anchor]], list[Anchor]]:
    families: dict[str, list[Anchor]] = {}
    for anchor in load_anchors():
        families.setdefault(anchor.family, []).append(anchor)
    return families, families.pop(MOBILEVIT)


def family_refits() -> tuple[Refit, ...]:
    """A refit per family that leaves it out; without MobileViT there are no block offsets."""
    families, mobilevits = _by_family()
    refits = []
    for left_out in sorted(families):
        others = [a for family, anchors in families.items() if family != left_out for a in anchors]
        refits.append(_refitted(f"without {left_out}", others, mobilevits))
    everything = [a for anchors in families.values() for a in anchors]
    return (*refits, _refitted(f"without {MOBILEVIT}", everything, []))


def bootstrap_refits(count: int, seed: int = 0) -> tuple[Refit, ...]:
    """Refits to families drawn with replacement, as many as there are, and MobileViT anchors drawn within their kind.

    MobileViT anchors are drawn anew until every size band has one, without which the fit's error cannot be told.
    """
    families, mobilevits = _by_family()
    names = sorted(families)
    kinds = [[a for a in mobilevits if a.block == kind] for kind in sorted({a.block for a in mobilevits})]
    rng = random.Random(seed)
    refits = []
    for i in range(count):
        others = [a for name in rng.choices(names, k=len(names)) for a in families[name]]
        mine: list[Anchor] = []
        while not all(any(a.name in band for a in mine) for band in SIZE_BANDS):
            mine = [a for kind in kinds for a in rng.choices(kind, k=len(kind))]
        refits.append(_refitted(f"bootstrap {i}", others, mine))
    return tuple(refits)


def estimates(
    specs: Sequence[ArchSpec],
    refits: Sequence[Refit],
    objective: Objective,
    confidence: float,
    resolution: Resolution = DEFAULT_RESOLUTION,
) -> tuple[Matrix, Matrix]:
    """What every refit says of every network, in %.

    Args:
        specs: the networks.
        refits: the fits.
        objective: what the front is chosen by.
        confidence: one-sided, of the lower bound.
        resolution: as in `estimate_top1`.

    Returns:
        (gain, value), each (refits, networks): the objective, and the estimate that ties are judged by. Both are the same
        for the plain objective.
    """
    z = NormalDist().inv_cdf(confidence)
    gains, values = [], []
    for refit in refits:
        explained = [explain_top1(spec, resolution, refit.estimator) for spec in specs]
        if objective == "plain":
            values.append([e.plain for e in explained])
            gains.append(values[-1])
        else:
            values.append([e.value for e in explained])
            gains.append([e.value - z * e.sigma for e in explained])
    return np.array(gains), np.array(values)


def shaken_bounds(
    specs: Sequence[ArchSpec], count: int, confidence: float, seed: int = 0, resolution: Resolution = DEFAULT_RESOLUTION
) -> tuple[Matrix, Matrix]:
    """Lower bounds and values under the shipped fit, with every judgement about the distance from evidence drawn anew.

    Each knob's bias and its kappa are multiplied by factors of their own, between a half and two, uniform in the logarithm.

    Returns:
        (gain, value), each (count, networks), as `estimates`.
    """
    z, rng = NormalDist().inv_cdf(confidence), random.Random(seed)
    explained = [explain_top1(spec, resolution) for spec in specs]
    names = sorted({k.knob for e in explained for k in (*e.knobs, *e.bounds)})
    gains, values = [], []
    for _ in range(count):
        bias = {name: 2 ** rng.uniform(-1, 1) for name in names}
        kappa = {name: 2 ** rng.uniform(-1, 1) for name in names}
        shaken = []
        for e in explained:
            knobs = [k for k in (*e.knobs, *e.bounds) if k.knob not in ("patch", "resolution")]
            fixed = sum(k.sigma**2 for k in e.knobs if k.knob in ("patch", "resolution"))
            value = e.plain + sum(bias[k.knob] * k.bias for k in knobs)
            variance = e.base_sigma**2 + fixed + sum((kappa[k.knob] * k.sigma) ** 2 for k in knobs)
            shaken.append((value - z * math.sqrt(variance), value))
        gains.append([g for g, _ in shaken])
        values.append([v for _, v in shaken])
    return np.array(gains), np.array(values)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over many refits: its median, and the 5 % quantile on the worse side."""

    median: float
    worse: float


NOTHING = Spread(math.nan, math.nan)
"""Where there is no pair to judge."""


@dataclass(frozen=True, slots=True)
class Stability:
    """How a front's order and its winner fare under refits.

    Attributes:
        refits: how many.
        kendall_to_shipped: tau between the members' order under a refit and under the shipped fit.
        kendall_between: tau between the orders under two refits, over all pairs of refits.
        near_pairs: pairs of members whose latencies differ by less than `NEAR`.
        near_to_shipped: tau over these pairs only, to the shipped order.
        near_between: the same between two refits; both not a number where there are no such pairs.
        winner_gap: points by which the winner falls behind the best network under a refit, members and rivals counted in.
        winner_within: share of the refits in which that is less than 0.5 points, the height of a tier.
        winner_in_next: share of the refits in which the winner is in the best tier or the one after it.
    """

    refits: int
    kendall_to_shipped: Spread
    kendall_between: Spread
    near_pairs: int
    near_to_shipped: Spread
    near_between: Spread
    winner_gap: Spread
    winner_within: float
    winner_in_next: float


def winner(gain: Matrix, value: Matrix, latency_ms: Sequence[float]) -> int:
    """Index of the fastest network among those that cannot be told from the one of the largest gain; (n,) each."""
    tier = tiers_of(gain.tolist(), value.tolist())
    return min((i for i, number in enumerate(tier) if number == 0), key=lambda i: latency_ms[i])


def stability(
    shipped: tuple[Matrix, Matrix],
    refitted: tuple[Matrix, Matrix],
    latency_ms: Sequence[float],
    rivals: tuple[Matrix, Matrix] | None = None,
) -> Stability:
    """Compare what refits say of a front's members with what the shipped fit says.

    Args:
        shipped: (gain, value) by the shipped fit, (1, members) each, from `estimates`.
        refitted: the same by the refits, (refits, members) each.
        latency_ms: of the members.
        rivals: the same by the refits of networks that the front left behind, (refits, rivals) each.
    """
    gains, latency = refitted[0], np.log(np.array(latency_ms))
    i, j = np.triu_indices(len(latency_ms), 1)
    near = np.abs(latency[i] - latency[j]) < math.log(NEAR)
    orders, order = np.sign(gains[:, i] - gains[:, j]), np.sign(shipped[0][0, i] - shipped[0][0, j])
    chosen = winner(shipped[0][0], shipped[1][0], latency_ms)
    all_gains, all_values = refitted if rivals is None else (np.hstack(pair) for pair in zip(refitted, rivals, strict=True))
    gap = all_gains.max(axis=1) - gains[:, chosen]
    tier = [tiers_of(g.tolist(), v.tolist())[chosen] for g, v in zip(all_gains, all_values, strict=True)]
    return Stability(
        refits=len(gains),
        kendall_to_shipped=_spread((orders * order).mean(axis=1)),
        kendall_between=_spread(_between(orders)),
        near_pairs=int(near.sum()),
        near_to_shipped=_spread((orders * order)[:, near].mean(axis=1)) if near.any() else NOTHING,
        near_between=_spread(_between(orders[:, near])) if near.any() else NOTHING,
        winner_gap=Spread(float(np.median(gap)), float(np.quantile(gap, 0.95))),
        winner_within=float((gap < TIE_THRESHOLD).mean()),
        winner_in_next=float(np.mean([number <= 1 for number in tier])),
    )


def _between(orders: Matrix) -> Matrix:
    """Mean product of the signs, for every pair of rows."""
    products = orders @ orders.T / orders.shape[1]
    return np.asarray(products[np.triu_indices(len(orders), 1)], dtype=np.float64)


def _spread(figures: Matrix) -> Spread:
    return Spread(float(np.median(figures)), float(np.quantile(figures, 0.05))) if figures.size else NOTHING
