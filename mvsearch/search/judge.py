"""What candidates promise: beliefs, corrected by what was observed, and the gain in hypervolume to expect of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from mvsearch.search.belief import Belief
from mvsearch.search.correction import Correction, Forecast
from mvsearch.search.encoding import Array, Encoder
from mvsearch.search.improvement import Losses, Region, region_of
from mvsearch.search.knowledge import Known, losses_of, thinned
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Value

MARGIN = 0.1
"""Of the front's extent, by which the point that volumes are measured from lies beyond its worst values."""
NUM_DRAWS = 16
"""Of what a candidate may turn out to be (antithetic normal, fixed seed)."""
ROUGH = 100
"""Members of the front that gains are measured from where a quick look will do."""
DOUBT = 3.0
"""Standard deviations by which every objective may turn out better: what is dominated even then is so beyond doubt."""
HOPE = 0.02
"""Weight of that best case: it keeps apart, and in play, what the draws say to be worth nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that is new and keeps the counted budgets.

    Attributes:
        point, spec: what it is.
        origin: how it came about.
        belief: what is expected of it, as losses; None without beliefs.
        excess: over the counted budgets, at most 0.
    """

    point: dict[str, Value]
    spec: ArchSpec
    origin: str
    belief: Belief | None = None
    excess: float = -math.inf


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and what it promises.

    Attributes:
        candidate: which.
        mean: expected losses, (objectives,).
        constraint: expected, at most 0 where budgets are kept; -inf without any.
        outcomes: what it may turn out to be, (draws, objectives).
        probability: of keeping the budgets.
        gain: in hypervolume, expected; without a front the less it misses the budgets, the larger.
    """

    candidate: Candidate
    mean: Losses
    constraint: float
    outcomes: Losses
    probability: float
    gain: float


class Judge:
    """Judges the candidates of one generation.

    Args:
        encoder: of points.
        observed: trials to learn from, with what was believed of them.
        front: of all trials that keep the budgets; may be empty.
    """

    def __init__(self, encoder: Encoder, observed: Sequence[tuple[Known, Belief | None]], front: Sequence[Known]) -> None:
        self._encoder = encoder
        known = [(t, b) for t, b in observed if t.losses is not None]
        features = encoder.encode([t.point for t, _ in known])
        losses, beliefs = losses_of(t for t, _ in known), [b for _, b in known]
        self._corrections = [
            Correction(features, _values(beliefs, k), losses[:, k]) for k in range(losses.shape[1] if len(known) else 0)
        ]
        constraints = np.array([t.constraint for t, _ in known])
        bounded = bool(len(known)) and bool(np.isfinite(constraints).all())
        self._constraint = Correction(features, _constraints(beliefs), constraints) if bounded else None
        self._front = losses_of(front)
        self.region: Region | None = None
        self.rough: Region | None = None
        if front:
            self.region = _region(self._front, self._front)
            # Of two objectives the whole front is as quick.
            few = self._front.shape[1] == 2
            self.rough = self.region if few else _region(losses_of(thinned(front, ROUGH)), self._front)
        objectives = len(self._corrections)
        self._draws, self._weights = np.zeros((1, objectives)), np.ones(1)
        if not self.exact:
            half = np.random.default_rng(0).standard_normal((NUM_DRAWS // 2, objectives))
            self._draws = np.concatenate([half, -half, np.full((1, objectives), -DOUBT)])
            self._weights = np.array([(1 - HOPE) / NUM_DRAWS] * NUM_DRAWS + [HOPE])

    @property
    def ready(self) -> bool:
        """Whether any trial came to an end; without one there is nothing to judge by."""
        return bool(self._corrections)

    @property
    def exact(self) -> bool:
        """Whether every belief about an objective has come true so far."""
        return all(c.exact for c in self._corrections)

    def judge(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One by one, in order."""
        if not candidates:
            return []
        features = self._encoder.encode([c.point for c in candidates])
        beliefs = [c.belief for c in candidates]
        forecasts = [c.forecast(features, _values(beliefs, k)) for k, c in enumerate(self._corrections)]
        mean, sd = (
            np.stack([forecast.mean for forecast in forecasts], axis=-1),
            np.stack([forecast.sd for forecast in forecasts], axis=-1),
        )
        outcomes = mean[:, None, :] + sd[:, None, :] * self._draws
        constraint, probability = np.full(len(candidates), -math.inf), np.ones(len(candidates))
        if self._constraint:
            forecast = self._constraint.forecast(features, _constraints(beliefs))
            constraint, probability = forecast.mean, _probability_kept(forecast)
        gains = probability * (self.region.gain(outcomes) @ self._weights) if self.region else -constraint
        return [
            Judged(c, mean[i], float(constraint[i]), outcomes[i], float(probability[i]), float(gains[i]))
            for i, c in enumerate(candidates)
        ]

    def from_afar(self, judged: Sequence[Judged]) -> list[Judged]:
        """With the gains measured from beyond the worst of them: what leads far past the ends of the front counts as well."""
        if self.region is None or not judged:
            return list(judged)
        self.region = _region(self._front, np.concatenate([self._front, *(j.outcomes for j in judged)]))
        return [replace(j, gain=j.probability * float(self.region.gain(j.outcomes) @ self._weights)) for j in judged]

    def choose(self, pool: Sequence[Judged], size: int) -> list[Candidate]:
        """One after the other, the largest expected gain given those that were chosen before; none without any gain."""
        if self.region is None:
            return [j.candidate for j in sorted(pool, key=lambda j: -j.gain)[:size]]
        chosen: list[Candidate] = []
        heap = [(-j.gain, i) for i, j in enumerate(pool)]
        heapq.heapify(heap)
        while heap and len(chosen) < size:
            _, i = heapq.heappop(heap)
            j = pool[i]
            # Gains only shrink as others are taken: whoever stays first with its new gain is the best.
            gain = j.probability * float(self.region.gain(j.outcomes) @ self._weights)
            if gain <= 0:
                continue
            if heap and gain < -heap[0][0]:
                heapq.heappush(heap, (-gain, i))
                continue
            chosen.append(j.candidate)
            self.region.take(j.mean)
        return chosen


def _region(front: Losses, points: Losses) -> Region:
    """What a front leaves, down to somewhat beyond the worst of these points."""
    nadir, ideal = points.max(axis=0), points.min(axis=0)
    margin = MARGIN * np.maximum(nadir - ideal, 1e-6 * np.maximum(1.0, np.abs(nadir)))
    return region_of(front, nadir + margin)


def _values(beliefs: Iterable[Belief | None], k: int) -> Array:
    """Believed losses of one objective; 0 without beliefs."""
    return np.array([b.values[k] if b else 0.0 for b in beliefs])


def _constraints(beliefs: Iterable[Belief | None]) -> Array:
    """Believed constraints; 0 where there is no belief about them."""
    return np.array([b.constraint if b and math.isfinite(b.constraint) else 0.0 for b in beliefs])


def _probability_kept(forecast: Forecast) -> Array:
    normal = NormalDist()
    pairs = zip(forecast.mean.tolist(), forecast.sd.tolist(), strict=True)
    return np.array([normal.cdf(-mean / sd) if sd > 0 else float(mean <= 0) for mean, sd in pairs])
