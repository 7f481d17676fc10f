"""What trainings say of networks that were not trained: a model of `trained - before` over the knobs.

Linear in the steps along each knob away from the nearest published network, with the knobs' `kappa` as prior width
(`evidence.KNOBS`): it is the estimate's own uncertainty that the trainings narrow. Ridge regression in closed form
(Bishop, Pattern Recognition and Machine Learning, section 3.3), judged by leaving each network out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.estimate import explain_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.evidence import KNOBS
from mvsearch.accuracy.features import Shape, shape
from mvsearch.accuracy.knobs import v3_share
from mvsearch.accuracy.marriage.scale import interval, sigma_of
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network
from mvsearch.spec.record import Measurement

Vector = NDArray[np.float64]

MIN_TRAINED = 12
"""Candidates trained at one rung from which the model is fitted."""
STEPS = (
    ("total depth", "total depth"),
    ("share of layers at stride 16", "depth shares"),
    ("d / C", "transformer width"),
    ("FFN ratio", "FFN ratio"),
    ("early expansion", "early expansion"),
    ("late expansion", "late expansion"),
    ("width profile, late over early", "width profile"),
    ("early blocks", "early blocks"),
    ("heads", "heads"),
    ("patch", "patch"),
    ("separable attention", "mixed kinds"),
    ("v3 blocks", "v3 switches"),
)
"""Steps, and the knob of `evidence.KNOBS` whose kappa is their prior's standard deviation."""
_PROFILE = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / sqrt(10)


@lru_cache(maxsize=4096)
def knob_steps(spec: ArchSpec) -> tuple[float, ...] | None:
    """Signed steps of a network, in the order of `STEPS`; None for a layout that is not MobileViT's.

    All but the last two are doublings against the nearest published network; several stages are put together as the
    knob's kappa has it. The last two are shares of the stages: training may judge a kind of block otherwise.
    """
    own = shape(spec)
    if own is None:
        return None
    other = shape(network(explain_top1(spec).nearest))
    assert other is not None  # published networks have the layout

    def mean(a: Sequence[float], b: Sequence[float], root: bool = False) -> float:
        return sum(x - y for x, y in zip(a, b, strict=True)) / (sqrt(len(a)) if root else len(a))

    widths = np.array(own.log_widths) - np.array(other.log_widths)
    return (
        log2(sum(own.depths) / sum(other.depths)),
        log2(own.depths[1] / sum(own.depths)) - log2(other.depths[1] / sum(other.depths)),
        mean(own.log_ratios, other.log_ratios),
        mean(own.log_ffns, other.log_ffns),
        mean(own.early_expansions, other.early_expansions, root=True),
        mean(own.late_expansions, other.late_expansions, root=True),
        float(_PROFILE @ widths),
        mean(own.log_blocks, other.log_blocks, root=True),
        _log_heads(own),
        mean([s.log_patch for s in own.stages], [0.0] * len(own.stages)),
        sum(s.body == "v2" for s in own.stages) / len(own.stages),
        sum(v3_share(s.body, s.switches) for s in own.stages) / len(own.stages),
    )


def _log_heads(own: Shape) -> float:
    """Doublings of the heads above the published 4, mean over the stages that have any."""
    heads = [s.log_heads - 2 for s in own.stages if s.log_heads is not None]
    return sum(heads) / len(heads) if heads else 0.0


@dataclass(frozen=True, slots=True)
class ResidualModel:
    """`trained - before` by the knobs.

    Attributes:
        rung: whose trainings it is fitted on.
        n: candidates that it is fitted on.
        coefficients: points per step, in the order of `STEPS`.
        covariance: of the coefficients, row by row.
        rmse_zero, rmse_model: root mean square of the left-out residuals in points, as they are and less the prediction.
        shared: share of an estimate's variance that stays whatever the model says.
        used: it predicts left-out residuals better than zero does, by more than the standard error of the difference.
        why: a sentence.
    """

    rung: int
    n: int
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    rmse_zero: float
    rmse_model: float
    shared: float
    used: bool
    why: str

    def apply(self, spec: ArchSpec, before: Measurement) -> Measurement:
        """The estimate of a network that was not trained, shifted and narrowed by what its knobs did to others."""
        steps, sigma = knob_steps(spec), sigma_of(before)
        if steps is None or sigma == 0:
            return before
        z = np.array(steps)
        prior, posterior = float(z**2 @ _prior_variances()), float(z @ np.array(self.covariance) @ z)
        floor = max(load_estimator().sigma ** 2, self.shared * sigma**2)
        variance = min(sigma**2, max(floor, sigma**2 - prior + posterior))
        return interval(
            before,
            before.value + float(z @ np.array(self.coefficients)),
            sqrt(variance),
            f"{before.basis}; knobs as in {self.n} trained networks",
        )


def _prior_variances() -> Vector:
    return np.array([KNOBS[knob].kappa ** 2 for _, knob in STEPS])


def _posterior(z: Vector, r: Vector, noise: Vector) -> tuple[Vector, Vector]:
    """Mean (k,) and covariance (k, k) of the coefficients given residuals (n,) and their variances (n,)."""
    precision = np.diag(1 / _prior_variances()) + (z.T / noise) @ z
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    return covariance @ (z.T @ (r / noise)), covariance


def fit_residuals(
    specs: Sequence[ArchSpec], residuals: Sequence[float], noise: Sequence[float], rung: int, shared: float
) -> ResidualModel | None:
    """The model; None with fewer than `MIN_TRAINED` networks of MobileViT's layout.

    Args:
        specs: trained candidates.
        residuals: trained less estimated top-1, in points.
        noise: variance of each that the knobs cannot explain.
        rung: where they were trained.
        shared: share of an estimate's variance that candidates have in common.
    """
    rows = [(steps, r, v) for spec, r, v in zip(specs, residuals, noise, strict=True) if (steps := knob_steps(spec))]
    if len(rows) < MIN_TRAINED:
        return None
    z, r, v = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    left_out = np.array([_left_out(z, r, v, i) for i in range(len(r))])
    gains = r**2 - (r - left_out) ** 2
    used = bool(gains.mean() > gains.std(ddof=1) / sqrt(len(r)))
    zero, model = (float(np.sqrt(np.mean(e**2))) for e in (r, r - left_out))
    coefficients, covariance = _posterior(z, r, v)
    verdict = "used for networks that were not trained" if used else "no better than nothing by more than chance, and not used"
    return ResidualModel(
        rung=rung,
        n=len(r),
        coefficients=tuple(coefficients.tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
        rmse_zero=zero,
        rmse_model=model,
        shared=shared,
        used=used,
        why=f"left-out differences of training and estimate: {zero:.2f} points, {model:.2f} with the knobs' model; {verdict}",
    )


def _left_out(z: Vector, r: Vector, noise: Vector, i: int) -> float:
    keep = np.arange(len(r)) != i
    return float(z[i] @ _posterior(z[keep], r[keep], noise[keep])[0])
