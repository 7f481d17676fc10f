"""A quick guess of what a judgement would say, learned from the ones that were made: it picks the children worth judging.

The mean of a Gaussian process, linear in the knobs and smooth in them, with fixed shares. It costs microseconds a point, and
decides nothing: whatever it picks is judged before it is proposed.
"""

from __future__ import annotations

import numpy as np

from mvsearch.search.encoding import Array, squared_distances, typical_distance

_LENGTH = 1.5
"""Of the smooth part, in typical distances."""
_NOISE = 0.02


class Sketch:
    """Learned from judged points.

    Args:
        features: (n, features).
        outputs: (n, outputs), each on a scale of its own.
    """

    def __init__(self, features: Array, outputs: Array) -> None:
        self._features, self._middle = features, features.mean(axis=0)
        self._mean, spread = outputs.mean(axis=0), outputs.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._length = _LENGTH * typical_distance(features[:: max(1, len(features) // 200)])
        covariance = self._covariance(features) + _NOISE**2 * np.eye(len(features))
        self._weights = np.linalg.solve(covariance, (outputs - self._mean) / self._spread)

    def guess(self, features: Array) -> Array:
        """(points, outputs)."""
        return np.asarray(self._mean + self._spread * (self._covariance(features) @ self._weights))

    def _covariance(self, features: Array) -> Array:
        linear = (features - self._middle) @ (self._features - self._middle).T
        return np.asarray(linear + np.exp(-squared_distances(features, self._features) / (2 * self._length**2)))
