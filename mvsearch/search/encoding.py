"""Points as rows of numbers, for what is learned of a space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mvsearch.spec.space import Point, SearchSpace

Array = np.ndarray[Any, np.dtype[np.float64]]


class Encoder:
    """Ordered knobs from 0 to 1 by their logarithm (costs are powers of them); others one-hot.

    Args:
        space: of the points. Knobs with a single choice are left out.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._ordered: list[tuple[str, dict[Any, float]]] = []
        self._others: list[tuple[str, dict[Any, int], Array]] = []
        for d in space.dimensions:
            if len(d.choices) < 2:
                continue
            if d.ordered:
                # A number that may be zero is counted from one.
                shift = 1.0 if float(d.choices[0]) == 0 else 0.0
                logs = [math.log(float(c) + shift) for c in d.choices]
                self._ordered.append(
                    (d.name, {c: (v - logs[0]) / (logs[-1] - logs[0]) for c, v in zip(d.choices, logs, strict=True)})
                )
            else:
                # Two different choices lie as far apart as the ends of an ordered knob.
                rows = np.eye(len(d.choices)) / math.sqrt(2)
                self._others.append((d.name, {c: i for i, c in enumerate(d.choices)}, rows))

    def encode(self, points: Sequence[Point]) -> Array:
        """(points, features)."""
        ordered = np.array([[table[p[name]] for name, table in self._ordered] for p in points], dtype=float)
        parts = [ordered.reshape(len(points), len(self._ordered))]
        parts += [rows[[table[p[name]] for p in points]] for name, table, rows in self._others]
        return np.concatenate(parts, axis=1)


def squared_distances(a: Array, b: Array) -> Array:
    """(len(a), len(b))."""
    return np.asarray(np.clip((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0, None))


def typical_distance(a: Array) -> float:
    """Median distance between two of the rows; 1 if they are all alike."""
    return math.sqrt(float(np.median(squared_distances(a, a)))) or 1.0
