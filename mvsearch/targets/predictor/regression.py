"""Robust fit of the rates of a machine to latencies from several protocols.

    log latency = log(sum_j c_j x_j) + s(protocol) + d(family) + noise

`x` are the features of the network at the expected rates, so that c = 1 is the expectation. All of
c, s and d are normal on the log scale around it: no coefficient can reach zero, so that no operation
becomes free to a search that optimises against the prediction, and one that the data say nothing
about stays at its expectation. Noise is soft-L1 (iteratively re-weighted Gauss-Newton). Several rows
of one network count for less than as many networks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mvsearch.targets.predictor.features import Rates


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One latency of one network.

    Attributes:
        network: key of its features.
        family: networks that share what the features do not see.
        protocol: who measured, and how; each has a scale of its own.
        latency_ms: the value.
        weight: how much the row counts.
    """

    network: str
    family: str
    protocol: str
    latency_ms: float
    weight: float = 1.0


@dataclass(frozen=True)
class Spread:
    """How far the parts of the model may stray from their expectation (standard deviations of logs).

    Attributes:
        coefficient: of a rate or an overhead.
        family: of a family's offset.
        noise: of one row.
        scale: of a protocol's scale; the `reference` protocols are held near 1 by `reference_scale`.
        same_network: correlation of two rows of one network.
    """

    coefficient: float = 0.5
    family: float = 0.05
    noise: float = 0.2
    scale: float = 0.35
    reference_scale: float = 0.05
    same_network: float = 0.6
    reference: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RateFit:
    """Result: fitted rates, the factors on the expected ones, and log scales by protocol."""

    rates: Rates
    factors: tuple[float, ...]
    log_scales: dict[str, float]

    def at(self, protocols: Collection[str], expected: Rates) -> RateFit:
        """The same fit with these protocols' mean scale as the unit (all protocols', if none of these was fitted)."""
        found = [s for p, s in self.log_scales.items() if p in protocols] or list(self.log_scales.values())
        shift = sum(found) / len(found)
        factors = tuple(f * math.exp(shift) for f in self.factors)
        return RateFit(expected.scaled(list(factors)), factors, {p: s - shift for p, s in self.log_scales.items()})


_SOFT_L1 = 1.5  # in standard deviations of the noise: beyond it a row pulls with constant force


def fit_rates(
    rows: Sequence[LatencyRow],
    features: Mapping[str, Sequence[float]],
    expected: Rates,
    spread: Spread,
    centre: Sequence[float] | None = None,
) -> RateFit:
    """Fit rates, protocol scales and family offsets together.

    Args:
        rows: latencies, in ms.
        features: `expected.features(...)` by network.
        expected: the rates that the features stand for.
        spread: standard deviations of every part.
        centre: factors on `expected` that the fit starts from and is drawn to, such as another phone's; 1 by default.
    """
    middle = np.ones(len(features[rows[0].network])) if centre is None else np.asarray(centre, float)
    x = np.array([features[r.network] for r in rows]) * middle
    y = np.log([r.latency_ms for r in rows])
    protocols, p_index = _index([r.protocol for r in rows])
    families, f_index = _index([r.family for r in rows])
    repeats = Counter(r.network for r in rows)
    weight = np.sqrt([r.weight / (1 + spread.same_network * (repeats[r.network] - 1)) for r in rows])
    n_c, n_p, n_f = x.shape[1], len(protocols), len(families)
    scale_sd = [spread.reference_scale if p in spread.reference else spread.scale for p in protocols]
    precision = np.concatenate(
        [np.full(n_c, spread.coefficient**-2.0), np.array(scale_sd) ** -2.0, np.full(n_f, spread.family**-2.0)]
    )
    theta = np.zeros(n_c + n_p + n_f)
    for _ in range(100):
        c, s, d = theta[:n_c], theta[n_c : n_c + n_p], theta[n_c + n_p :]
        terms = x * np.exp(c)
        total = terms.sum(1)
        gain = weight / spread.noise
        residual = (y - np.log(total) - s[p_index] - d[f_index]) * gain
        jacobian = np.hstack([terms / total[:, None], np.eye(n_p)[p_index], np.eye(n_f)[f_index]]) * gain[:, None]
        robust = 1 / np.sqrt(1 + (residual / _SOFT_L1) ** 2)
        hessian = (jacobian * robust[:, None]).T @ jacobian + np.diag(precision)
        step = np.linalg.solve(hessian, (jacobian * robust[:, None]).T @ residual - precision * theta)
        theta += np.clip(step, -0.7, 0.7)
        if np.abs(step).max() < 1e-9:
            break
    factors = middle * np.exp(theta[:n_c])
    scales = dict(zip(protocols, theta[n_c : n_c + n_p].tolist(), strict=True))
    return RateFit(expected.scaled(factors.tolist()), tuple(factors.tolist()), scales)


def _index(labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    names = sorted(set(labels))
    at = {name: i for i, name in enumerate(names)}
    return names, np.array([at[label] for label in labels])


def log_prediction(fit: RateFit, features: Sequence[float]) -> float:
    """Log of the predicted ms under the reference protocol, without a family's correction."""
    return math.log(sum(f * x for f, x in zip(fit.factors, features, strict=True)))


def conformal_half_width(log_errors: Sequence[float], level: float) -> float:
    """Half width, in log units, that covers `level` of these errors and one more (split conformal)."""
    ordered = sorted(abs(e) for e in log_errors)
    return ordered[min(len(ordered), math.ceil(level * (len(ordered) + 1))) - 1]
