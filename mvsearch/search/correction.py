"""What observations say about the beliefs: a Gaussian process over the differences.

    observed = believed + c + b (believed - mean) + w . x + f(x) + noise

with c and b wide, w . x linear in the knobs, f a smooth function of them, and noise for what no knob explains: a
measurement's, and a belief's own. Where believed values mean little, b takes them back. Without beliefs they are 0.
How much the parts matter is chosen by the marginal likelihood, so that a belief that holds exactly has no correction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvsearch.search.encoding import Array, squared_distances, typical_distance

EXACT = 1e-9
"""Relative difference up to which a belief has come true."""
MAX_FOR_CHOICE = 120
"""Observations that the likelihood is taken of."""
_WIDE = 10.0
_LINEAR, _SMOOTH, _NOISE = (0.0, 0.3, 1.0), (0.0, 0.3, 1.0), (0.03, 0.3, 1.0)
_LENGTHS = (0.3, 0.7)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected values and standard deviations of candidates, each (candidates,)."""

    mean: Array
    sd: Array


class Correction:
    """Of one objective.

    Args:
        features: (n, features) of the observed.
        believed: (n,); zeros without beliefs.
        observed: (n,).
    """

    def __init__(self, features: Array, believed: Array, observed: Array) -> None:
        difference = observed - believed
        size = float(np.abs(observed).max(initial=0.0)) or 1.0
        self.exact = bool(np.abs(difference).max(initial=0.0) <= EXACT * size)
        if self.exact:
            return
        self._scale = float(difference.std()) or float(np.abs(difference).max())
        self._offset = float(difference.mean())
        self._center, self._spread = float(believed.mean()), float(believed.std()) or 1.0
        self._middle = features.mean(axis=0)
        self._features, self._believed = features, (believed - self._center) / self._spread
        target = (difference - self._offset) / self._scale
        near = np.linspace(0, len(target) - 1, min(len(target), MAX_FOR_CHOICE)).astype(int)
        self._parts = self._choose(near, target[near])
        covariance = self._covariance(features, self._believed, features, self._believed)
        self._lower = np.linalg.cholesky(covariance + self._parts[2] ** 2 * np.eye(len(target)))
        weights = np.linalg.solve(self._lower, target)
        self._weights = np.linalg.solve(self._lower.T, weights)
        # The likelihood's own scale, given the shares of the parts. One more observation, of 1, stands for what a few that
        # agree do not tell.
        self._unit = math.sqrt((float(weights @ weights) + 1) / (len(target) + 1))

    def forecast(self, features: Array, believed: Array) -> Forecast:
        """Of candidates' observed values, noise included.

        Args:
            features: (candidates, features).
            believed: (candidates,).
        """
        if self.exact:
            return Forecast(believed, np.zeros(len(believed)))
        beliefs = (believed - self._center) / self._spread
        cross = self._covariance(features, beliefs, self._features, self._believed)
        mean = cross @ self._weights
        explained = np.linalg.solve(self._lower, cross.T)
        linear, smooth, noise, _ = self._parts
        centered = features - self._middle
        own = _WIDE**2 * (1 + beliefs**2) + linear**2 * (centered**2).sum(axis=1) + smooth**2
        variance = np.clip(own - (explained**2).sum(axis=0), 0, None) + noise**2
        return Forecast(believed + self._offset + self._scale * mean, self._scale * self._unit * np.sqrt(variance))

    def _covariance(self, a: Array, a_beliefs: Array, b: Array, b_beliefs: Array) -> Array:
        linear, smooth, _, length = self._parts
        total = _WIDE**2 * (1 + np.outer(a_beliefs, b_beliefs))
        if linear:
            total += linear**2 * ((a - self._middle) @ (b - self._middle).T)
        if smooth:
            total += smooth**2 * np.exp(-squared_distances(a, b) / (2 * length**2))
        return np.asarray(total)

    def _choose(self, near: Any, target: Array) -> tuple[float, float, float, float]:
        features, beliefs = self._features[near], self._believed[near]
        typical = typical_distance(features)
        best, best_score = (0.0, 0.0, 1.0, typical), -math.inf
        for length in _LENGTHS:
            for linear in _LINEAR:
                for smooth in _SMOOTH:
                    for noise in _NOISE:
                        if not smooth and length != _LENGTHS[0]:
                            continue
                        self._parts = (linear, smooth, noise, length * typical)
                        covariance = self._covariance(features, beliefs, features, beliefs)
                        score = _likelihood(covariance + noise**2 * np.eye(len(target)), target)
                        if score > best_score:
                            best, best_score = self._parts, score
        return best


def _likelihood(covariance: Array, target: Array) -> float:
    """Log marginal likelihood but for a constant, at the best common factor of the covariance."""
    lower = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(lower, target)
    n = len(target)
    # Where all differences are alike any factor will do: the simplest parts win.
    squares = max(float(whitened @ whitened), n * EXACT**2)
    return -0.5 * n * math.log(squares / n) - float(np.log(np.diag(lower)).sum())
