"""From validation loss to top-1: one straight line per rung, with errors in both coordinates.

The line is two numbers, set by all networks of the rung: published top-1 of anchors, estimates of candidates. That
candidates' estimates set the scale by which their trainings are then weighed against the same estimates would count
them twice. So a network's top-1 is implied by the line through the *other* networks. What is left in common is a shift
of all estimates at once (a search finds candidates that depart from evidence in the same ways): a training judged by
candidates' estimates cannot see it, and it is carried as `Implied.shared`, which no combination makes smaller. The
fewer the networks, the wider the line's own uncertainty (Student's t), and below `MIN_NETWORKS` nothing is implied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.estimator import load_estimator
from mvsearch.spec.record import Measurement

Vector = NDArray[np.float64]

RECIPE_NOISE = 0.8
"""Points between published labels of one network under two recipes, in the median."""
MIN_NETWORKS = 5
MIN_ANCHORS = 6
"""Anchors in a rung from which their left-out errors say how much a training is worth."""
MIN_RELIABILITY = 0.5
"""Share of the losses' variance that must not be noise."""
SIGNIFICANCE = 0.05
"""Of the slope, one-sided t test."""
SHARED = 0.5
"""Share of the variance of candidates' estimates that is taken as common to them all. A judgement."""
_Z = NormalDist().inv_cdf(1 - SIGNIFICANCE)


def student(dof: float) -> float:
    """95 % quantile of Student's t for two or more degrees of freedom, to 2 % (Cornish-Fisher, Abramowitz-Stegun 26.7.5)."""
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(t / dof ** (i + 1) for i, t in enumerate(terms))


def sigma_of(m: Measurement) -> float:
    """Standard deviation of a measurement with a symmetric interval; 0 without one."""
    return m.quantile(0.8413447460685429) - m.value


def interval(before: Measurement, value: float, sigma: float, basis: str, flags: tuple[str, ...] = ()) -> Measurement:
    """The estimate with another value and interval; level, protocol and number of networks stay, flags are added."""
    level = before.level or 0.9
    half = NormalDist().inv_cdf(0.5 + level / 2) * sigma
    return replace(
        before, value=value, low=value - half, high=value + half, level=level, basis=basis, flags=(*before.flags, *flags)
    )


@dataclass(frozen=True, slots=True)
class Points:
    """The networks of one rung, sorted by arch_id; all shape (n,).

    Attributes:
        ids: arch_id.
        loss, loss_se: mean validation loss and its standard error, in nats.
        label, label_sigma: top-1 in % that sets the scale: published, or estimated.
        is_anchor: whether it is published.
        estimate_sigma: of the network's own estimate.
    """

    ids: tuple[str, ...]
    loss: Vector
    loss_se: Vector
    label: Vector
    label_sigma: Vector
    is_anchor: NDArray[np.bool_]
    estimate_sigma: Vector

    def without(self, i: int) -> Points:
        """All but one."""
        keep = np.arange(len(self.ids)) != i
        arrays = (self.loss, self.loss_se, self.label, self.label_sigma, self.is_anchor, self.estimate_sigma)
        return Points(tuple(k for j, k in enumerate(self.ids) if j != i), *(a[keep] for a in arrays))


def label_of(before: Measurement, published: float | None) -> tuple[float, float]:
    """Top-1 that sets the scale, and how far it may be off."""
    if published is not None:
        return published, RECIPE_NOISE
    return before.value, max(sigma_of(before), load_estimator().sigma)


@dataclass(frozen=True, slots=True)
class Line:
    """top1 = top1_at + slope x (loss - loss_at).

    The slope is that of weighted least squares over the losses' reliability: noise in the losses flattens a fitted
    line (Fuller, Measurement Error Models, section 1.2), and here the noise of each loss is counted by itself.

    Attributes:
        slope, slope_se: points per nat.
        loss_at, top1_at, top1_se: the weighted mean point, and the standard error of its height.
        reliability: share of the losses' variance that is not noise.
        residual: weighted standard deviation about the line, in points.
        t: slope over its standard error, by the scatter about the line alone.
        dof: networks less two, those of small weight counted in part (Kish's effective number).
        estimated_share: weight of candidates' estimates in it, 0 to 1.
    """

    slope: float
    slope_se: float
    loss_at: float
    top1_at: float
    top1_se: float
    reliability: float
    residual: float
    t: float
    dof: float
    estimated_share: float

    @property
    def usable(self) -> bool:
        """Whether a loss can be read off in points: the slope is negative and the losses are more than noise."""
        return self.slope < 0 and self.reliability >= MIN_RELIABILITY

    @property
    def significant(self) -> bool:
        """The slope is negative by the t test."""
        return self.t < -student(self.dof)

    def top1(self, loss: float) -> float:
        """In %."""
        return self.top1_at + self.slope * (loss - self.loss_at)

    def variance(self, loss: float) -> float:
        """Of the line itself at this loss, widened for few networks."""
        widened = (student(self.dof) / _Z) ** 2
        return widened * (self.top1_se**2 + (self.slope_se * (loss - self.loss_at)) ** 2)


def _label_sigma(points: Points) -> Vector:
    """With anchors in the rung, estimates count for as little as errors that they share leave them worth.

    Twenty candidates then weigh like two, so that published labels set the scale. Without anchors there is nothing to
    weigh them against, and what they share is carried as `Implied.shared`.
    """
    num_estimated = int((~points.is_anchor).sum())
    if num_estimated in (0, len(points.ids)):
        return points.label_sigma
    design_effect = 1 + SHARED * (num_estimated - 1)
    return np.where(points.is_anchor, points.label_sigma, points.label_sigma * sqrt(design_effect))


def fit_line(points: Points) -> Line | None:
    """The line through these points; None where fewer than four, or losses that do not differ beyond rounding."""
    x, y, n, sigma = points.loss, points.label, len(points.ids), _label_sigma(points)
    if n < 4 or float(np.ptp(x)) < 1e-9:
        return None
    noise, slope = points.loss_se**2, 0.0
    # Twice: the losses' noise in points, which belongs to the weights, is known once there is a slope.
    for _ in range(2):
        w = 1 / (sigma**2 + slope**2 * noise)
        total = float(w.sum())
        x0, y0 = float(w @ x) / total, float(w @ y) / total
        spread = float(w @ (x - x0) ** 2) / total
        fitted = float(w @ ((x - x0) * (y - y0))) / total / spread
        reliability = max(0.0, 1 - float(w @ noise) / total / spread)
        slope = fitted / max(reliability, MIN_RELIABILITY)
    effective = total**2 / float(w @ w)
    dof = max(2.0, effective - 2)
    about_fit, about_line = (float(w @ (y - y0 - b * (x - x0)) ** 2) for b in (fitted, slope))
    by_scatter = sqrt(max(about_fit, 1e-12) / dof / (total * spread))
    # Residuals smaller than the labels' errors are luck: such a line is no surer than the labels.
    inflation = max(1.0, about_line / dof)
    return Line(
        slope=slope,
        slope_se=sqrt(inflation / (total * spread)) / max(reliability, MIN_RELIABILITY),
        loss_at=x0,
        top1_at=y0,
        top1_se=sqrt(inflation / total),
        reliability=reliability,
        residual=sqrt(about_line / total * effective / dof),
        t=fitted / by_scatter,
        dof=dof,
        estimated_share=float(w @ ~points.is_anchor) / total,
    )
