"""The joint law of what is not known of several networks: which errors they share, and how far. Pure functions.

Every error is a sum of independent standard normal causes, the same for all networks, each times a number of the
network. What two networks have in common of their error is then exact and consistent for any number of networks, and
drawing takes a product of two matrices.

**Top-1.** Who beats whom hangs on the difference of two errors only. Its variance is, in points squared,

    1.1 g  +  0.5 |u - v|^2  +  0.1 (1 - exp(-d^2 / 2 / 0.3^2))

with g the gap of the two estimates, u and v the departures from the nearest published networks as vectors
(`accuracy.likeness`, as long as the estimate takes them for), d the distance of the two networks. The three numbers are
fitted so that orders come true as often as `accuracy.probability_better` says: that is as often as such a gap told right
among published networks whose family the fit had not seen, less surely far from evidence. They do within 0.016 on
average and 0.05 at most, at gaps up to 6 points and departures up to a variance of 4, for networks whose
departures have nothing in common. Where they have, the order is surer than that; twins have one error. A
trained network's estimate, which is surer than a published network's, has these errors in proportion to its interval.

**Latency.** In logs. Predictions of one phone share the error of the family's correction: among pairs of published
networks of one family, predicted by a fit without that family, two errors differed by 0.10 to 0.15 (standard deviation, from
90 % of the pairs) at gaps of up to a factor of 2.7 and by 0.23 beyond, where unrelated intervals would say 0.26 (iPhone
12; iPhone 13: 0.07 to 0.16 against 0.25). So the correlation is 0.85 exp(-gap / 1.7), gap in logs, times what
the two have in common of softmax and of separable attention; the other 0.15 is shared in so far as stem, stages and head
are the same. Where some networks are measured, their predictions' errors are known, and the others' are drawn given
these, about the prediction as the run scales it. A measured latency's own error is independent of every other's.

Top-1 and latency are independent. What this leaves out: a search keeps what its estimates flatter, so that the true
front is likely to be less good than draws say; the calibration is of published networks, not of candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy import explain_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.likeness import departure, position
from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.record import Measurement

Array = NDArray[np.float64]

PER_POINT, PER_DEPARTURE, APART, APART_AT = 1.1, 0.5, 0.1, 0.3
"""Of the variance of the difference of two errors of top-1: see the module."""
SHARED, SHARED_GAP = 0.85, 1.7
"""Correlation of two predicted latencies of one family, and the gap in logs over which it falls by e."""
OWN_SCALE = 1.0
"""Standard deviation, in logs, of a device's own factor over its predictions before it is measured; large to all others."""
_ONE_SIGMA = NormalDist().cdf(1.0)
_WAVES, _STEPS, _SEED = 64, 64, 7


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one network.

    Attributes:
        spec: the network.
        resolution: in pixels.
        top1: its estimate.
        latency: as it is compared with others: measured, or predicted and scaled as the run scales predictions.
        predicted: the prediction whose place a measured latency took; None if there was none.
    """

    spec: ArchSpec
    resolution: int
    top1: Measurement
    latency: Measurement
    predicted: Measurement | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """Normal law of n networks' top-1 (up to a shift common to all) and log latencies.

    Attributes:
        top1: (n,) expected, in %.
        top1_causes: (n, k) points that each cause moves each network.
        top1_own: (n,) standard deviation, in points, of what a network shares with no other.
        log_ms: (n,) expected.
        ms_causes: (n, l) logs that each cause moves each network.
        measured: (n,) whose latency was measured: its error is its own.
        ms_own: (n,) standard deviation of that.
        told: (m,) networks whose prediction's error is known, and with what standard deviation: (m,).
    """

    top1: Array
    top1_causes: Array
    top1_own: Array
    log_ms: Array
    ms_causes: Array
    measured: NDArray[np.bool_]
    ms_own: Array
    told: tuple[NDArray[np.int_], Array]

    def draw(self, count: int, seed: int) -> tuple[Array, Array]:
        """(count, n) draws of top-1 in %, and of log ms."""
        rng = np.random.default_rng(seed)
        top1 = self.top1 + rng.standard_normal((count, self.top1_causes.shape[1])) @ self.top1_causes.T
        top1 += rng.standard_normal((count, 1 if not self.top1_own.any() else len(self.top1))) * self.top1_own
        errors = rng.standard_normal((count, self.ms_causes.shape[1])) @ self.ms_causes.T
        index, known_to = self.told
        if len(index):
            # Matheron's rule: a draw is moved by as much as what was seen differs from what it says of that.
            seen = self.ms_causes[index]
            surprise = errors[:, index] + rng.standard_normal((count, len(index))) * known_to
            weights = np.linalg.solve(seen @ seen.T + np.diag(known_to**2 + 1e-9), seen @ self.ms_causes.T)
            errors = errors - surprise @ weights
        own = self.ms_own[self.measured]
        errors[:, self.measured] = rng.standard_normal((count, len(own))) * own
        return top1, self.log_ms + errors


def law_of(known: Sequence[Figures]) -> Law:
    """The joint law of these networks."""
    values = np.array([k.top1.value for k in known])
    sigmas = np.array([sigma(k.top1) for k in known])
    causes, own = _top1_causes(known, values, sigmas)
    noise = np.array([sigma(k.latency) for k in known])
    measured = np.array([k.latency.kind == "measured" for k in known])
    told = np.array([i for i, k in enumerate(known) if measured[i] and k.predicted is not None], dtype=int)
    return Law(
        top1=values,
        top1_causes=causes,
        top1_own=own,
        log_ms=np.log([k.latency.value for k in known]),
        ms_causes=_latency_causes(known, with_scale=bool(len(told))),
        measured=measured,
        ms_own=noise,
        told=(told, noise[told]),
    )


def _top1_causes(known: Sequence[Figures], values: Array, sigmas: Array) -> tuple[Array, Array]:
    base = load_estimator().sigma
    departures = [departure(k.spec, explain_top1(k.spec, k.resolution)) for k in known]
    unknown = np.array([not d for d in departures])
    causes = [
        _along(values, PER_POINT),
        _filled(departures) * math.sqrt(PER_DEPARTURE),
        _waves(_filled([position(k.spec) for k in known]), APART_AT) * math.sqrt(APART / 2),
    ]
    # Surer than a published network's estimate is one that trainings have narrowed.
    narrowed = np.minimum(1.0, sigmas / base)
    departed = np.sqrt(np.maximum(sigmas**2 - base**2, 0.0) * PER_DEPARTURE)
    return np.hstack(causes) * narrowed[:, None], np.where(unknown, departed, 0.0)


def _latency_causes(known: Sequence[Figures], with_scale: bool) -> Array:
    predictions = [k.predicted or k.latency for k in known]
    sigmas = np.array([0.0 if p.kind == "measured" else sigma(p) for p in predictions])
    x = np.log([p.value for p in predictions])
    softmax = np.array([_softmax_share(k.spec) for k in known])
    family = _ornstein_uhlenbeck(x, SHARED_GAP) * math.sqrt(SHARED)
    causes = [
        family * np.sqrt(softmax)[:, None],
        family * np.sqrt(1 - softmax)[:, None],
        _parts([k.spec for k in known]) * math.sqrt(1 - SHARED),
    ]
    scaled = np.hstack(causes) * sigmas[:, None]
    return np.hstack([scaled, np.full((len(known), 1), OWN_SCALE)]) if with_scale else scaled


def sigma(m: Measurement) -> float:
    """Standard deviation of a number's error: in its unit, or of its log where the error is symmetric there."""
    above = m.quantile(_ONE_SIGMA)
    return math.log(above / m.value) if m.scale == "log" else above - m.value


def _filled(rows: Sequence[Sequence[float]]) -> Array:
    """(n, k); an empty row becomes zeros."""
    width = max((len(r) for r in rows), default=0)
    return np.array([r or (0.0,) * width for r in rows], dtype=float).reshape(len(rows), width)


def _along(values: Array, per_unit: float) -> Array:
    """Causes of a Brownian motion along these values: two differ with variance near `per_unit` times their gap.

    A cause for every stretch between two of `_STEPS` quantiles, which moves all that lies beyond it.
    """
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, _STEPS + 1)))
    if len(edges) < 2:
        return np.zeros((len(values), 1))
    steps = np.diff(edges)
    return np.asarray(np.clip((values[:, None] - edges[:-1]) / steps, 0.0, 1.0) * np.sqrt(steps * per_unit))


def _ornstein_uhlenbeck(values: Array, scale: float) -> Array:
    """Causes of a stationary process along these values, with variance 1 and correlation exp(-gap / scale)."""
    nodes = np.linspace(values.min(), max(float(values.max()), float(values.min()) + 1e-9), _STEPS)
    root = np.linalg.cholesky(np.exp(-np.abs(nodes[:, None] - nodes) / scale) + 1e-9 * np.eye(_STEPS))
    place = (values - nodes[0]) / (nodes[1] - nodes[0])
    left = np.clip(place.astype(int), 0, _STEPS - 2)
    right = (place - left)[:, None]
    mixed = root[left] * (1 - right) + root[left + 1] * right
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))


def _waves(points: Array, length: float) -> Array:
    """Causes with variance 1 and correlation near exp(-distance^2 / 2 / length^2): random Fourier features (Rahimi, Recht)."""
    rng = np.random.default_rng(_SEED)
    phases = points @ (rng.standard_normal((points.shape[1], _WAVES)) / length)
    return np.asarray(np.hstack([np.cos(phases), np.sin(phases)]) / math.sqrt(_WAVES))


def _parts(specs: Sequence[ArchSpec]) -> Array:
    """Causes with variance 1 and correlation near the share of stem, stages and head that are the same, place by place."""
    numbers: dict[object, int] = {}
    parts = [[numbers.setdefault((i, p), len(numbers)) for i, p in enumerate((s.stem, s.head, *s.stages))] for s in specs]
    signs = np.random.default_rng(_SEED).standard_normal((len(numbers), _WAVES))
    sums = np.array([signs[ids].sum(axis=0) for ids in parts])
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def _softmax_share(spec: ArchSpec) -> float:
    stages = spec.transformer_stages
    return sum(isinstance(s, MobileViTStage) for s in stages) / len(stages) if stages else 0.0
