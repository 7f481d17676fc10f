"""One rung: its scale, why it is usable or not, and the top-1 that each of its trainings implies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from mvsearch.accuracy.marriage.losses import RungLosses, rank_correlation, rung_losses
from mvsearch.accuracy.marriage.records import Implied, RungScale, Scored
from mvsearch.accuracy.marriage.scale import (
    MIN_ANCHORS,
    MIN_NETWORKS,
    SHARED,
    SIGNIFICANCE,
    Line,
    Points,
    fit_line,
    label_of,
    sigma_of,
    student,
)

NOTHING = "nothing was trained well at this rung"


@dataclass(frozen=True, slots=True)
class Rung:
    """What came of one rung.

    Attributes:
        losses: of all its networks, those far off included.
        scale: from loss to top-1.
        implied: arch_id -> top-1, for the networks where the others' scale allows one.
    """

    losses: RungLosses
    scale: RungScale
    implied: Mapping[str, Implied]


def climb(networks: Sequence[Scored], recipe: str, rung: int) -> Rung:
    """Everything about one rung; `networks` sorted by arch_id, no network twice."""
    losses = rung_losses(networks, recipe, rung)
    points = _points(networks, losses)
    line = fit_line(points)
    why = _why_not(points, line)
    others = [fit_line(points.without(i)) if not why else None for i in range(len(points.ids))]
    sigma, from_anchors = _sigma(points, line, others)
    implied = {} if why else _implied(points, others, sigma, from_anchors, rung)
    trained = [n for n in networks if n.spec.arch_id in losses.losses]
    first = next(iter(losses.losses.values()), None)
    is_anchor = points.is_anchor
    scale = RungScale(
        rung=rung,
        recipe=recipe,
        steps=first.steps if first else 0,
        candidates=int((~is_anchor).sum()),
        anchors=int(is_anchor.sum()),
        slope=line.slope if line else None,
        slope_se=line.slope_se if line else None,
        loss_at=line.loss_at if line else 0.0,
        top1_at=line.top1_at if line else 0.0,
        sigma=sigma if line else None,
        sigma_from_anchors=from_anchors,
        reliability=line.reliability if line else 0.0,
        seed_sd=losses.seed_sd,
        replicates=losses.replicates,
        usable=not why,
        why=why or _why(line, sigma, from_anchors),
        with_estimate=rank_correlation(
            [-losses.losses[n.spec.arch_id].loss for n in trained], [n.before.value for n in trained]
        ),
        between_seeds=losses.between_seeds,
    )
    return Rung(losses, scale, implied)


def _points(networks: Sequence[Scored], losses: RungLosses) -> Points:
    kept = [n for n in networks if n.spec.arch_id in losses.losses and not losses.losses[n.spec.arch_id].far_off]
    mine = [losses.losses[n.spec.arch_id] for n in kept]
    labels = [label_of(n.before, n.published) for n in kept]
    return Points(
        ids=tuple(n.spec.arch_id for n in kept),
        loss=np.array([m.loss for m in mine], dtype=np.float64),
        loss_se=np.array([m.se for m in mine], dtype=np.float64),
        label=np.array([value for value, _ in labels], dtype=np.float64),
        label_sigma=np.array([sigma for _, sigma in labels], dtype=np.float64),
        is_anchor=np.array([n.published is not None for n in kept], dtype=np.bool_),
        estimate_sigma=np.array([sigma_of(n.before) for n in kept], dtype=np.float64),
    )


def _why_not(points: Points, line: Line | None) -> str:
    """Why this rung implies no top-1; empty if it does."""
    n = len(points.ids)
    if n == 0:
        return NOTHING
    if n < MIN_NETWORKS:
        return f"{n} of the {MIN_NETWORKS} networks that a scale takes at least"
    if line is None:
        return "all losses are the same"
    if line.slope >= 0:
        return "a lower loss does not go with a higher top-1 here"
    if not line.usable:
        return f"{100 * (1 - line.reliability):.0f} % of the losses' variance is noise of images and seeds"
    if not line.significant:
        return f"the slope of top-1 over loss is not significant (one-sided t test at {100 * SIGNIFICANCE:.0f} %, {n} networks)"
    return ""


def _why(line: Line | None, sigma: float, from_anchors: bool) -> str:
    assert line is not None
    source = (
        "the error of left-out published networks"
        if from_anchors
        else "no less than the estimates', by which alone it is judged"
    )
    return (
        f"a loss lower by 0.1 nats is worth {-line.slope / 10:.1f} points (standard error {line.slope_se / 10:.1f}); top-1 "
        f"read off it has a standard deviation of {sigma:.1f} points, {source}"
    )


def _sigma(points: Points, line: Line | None, others: Sequence[Line | None]) -> tuple[float, bool]:
    errors = [
        points.label[i] - other.top1(points.loss[i])
        for i, other in enumerate(others)
        if other is not None and other.usable and points.is_anchor[i]
    ]
    if len(errors) >= MIN_ANCHORS:
        return float(np.sqrt(np.mean(np.square(errors)))) * student(len(errors) - 1) / student(10**6), True
    return (line.residual if line else 0.0), False


def _implied(points: Points, others: Sequence[Line | None], sigma: float, from_anchors: bool, rung: int) -> dict[str, Implied]:
    found = {}
    for i, other in enumerate(others):
        if other is None or not other.usable:
            continue  # this network's own point makes the scale
        loss, own = float(points.loss[i]), float(points.estimate_sigma[i])
        base = sigma if from_anchors else max(sigma, own)
        shared = sqrt(SHARED * other.estimated_share) * own
        variance = shared**2 + base**2 + other.variance(loss) + (other.slope * float(points.loss_se[i])) ** 2
        found[points.ids[i]] = Implied(rung, other.top1(loss), sqrt(variance), shared)
    return found
