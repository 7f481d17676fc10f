"""How much a candidate would add to the hypervolume of a front. All objectives are losses: smaller is better."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Losses = np.ndarray[Any, np.dtype[np.float64]]
"""(points, objectives)."""


def non_dominated(losses: Losses) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points no other dominates, (n,); of equal points the first."""
    n = len(losses)
    keep = np.zeros(n, dtype=bool)
    # In lexicographic order nobody is dominated by somebody who comes later.
    order = np.lexsort(losses.T[::-1]) if n else np.zeros(0, dtype=int)
    if n and losses.shape[1] == 2:
        second = losses[order, 1]
        keep[order] = second < np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
        return keep
    kept = np.empty_like(losses)
    count = 0
    for i in order:
        if not (kept[:count] <= losses[i]).all(axis=1).any():
            kept[count] = losses[i]
            count += 1
            keep[i] = True
    return keep


class Region(Protocol):
    """What a front leaves undominated, down to a reference point."""

    def gain(self, losses: Losses) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Volume that each of the points, (..., objectives), would take on its own; shape (...)."""
        ...

    def take(self, losses: Losses) -> None:
        """Count a point, (objectives,), to the front from now on."""
        ...


def region_of(front: Losses, reference: Losses) -> Region:
    """The region that a front leaves.

    Args:
        front: (n, objectives), dominated points allowed.
        reference: (objectives,): losses beyond it are worth nothing.
    """
    return Staircase(front, reference) if len(reference) == 2 else Boxes(front, reference)


class Staircase:
    """Exact for two objectives: strips between the front's steps.

    Args:
        front: (n, 2).
        reference: (2,).
    """

    def __init__(self, front: Losses, reference: Losses) -> None:
        inside = front[(front < reference).all(axis=1)]
        self._reference = reference
        self._front = inside[non_dominated(inside)]
        self._cut()

    def _cut(self) -> None:
        steps = self._front[np.argsort(self._front[:, 0], kind="stable")]
        self._left = np.concatenate([[-np.inf], steps[:, 0]])
        self._right = np.concatenate([steps[:, 0], [self._reference[0]]])
        self._top = np.concatenate([[self._reference[1]], steps[:, 1]])

    def gain(self, losses: Losses) -> np.ndarray[Any, np.dtype[np.float64]]:
        """See `Region.gain`."""
        width = np.clip(self._right - np.maximum(losses[..., :1], self._left), 0, None)
        height = np.clip(self._top - losses[..., 1:], 0, None)
        return np.asarray((width * height).sum(axis=-1))

    def take(self, losses: Losses) -> None:
        """See `Region.take`."""
        if (losses >= self._reference).any() or (self._front <= losses).all(axis=1).any():
            return
        self._front = np.vstack([self._front[~(losses <= self._front).all(axis=1)], losses])
        self._cut()


class Boxes:
    """Exact for any number of objectives: what is not dominated, cut into boxes; some thousands for 400 members in three.

    Args:
        front: (n, objectives).
        reference: (objectives,).
    """

    def __init__(self, front: Losses, reference: Losses) -> None:
        self._low = np.full((1, len(reference)), -np.inf)
        self._high = reference[None, :].copy()
        for member in front[np.lexsort(front.T[::-1])]:  # In order, so that few boxes are cut twice.
            self.take(member)

    def gain(self, losses: Losses) -> np.ndarray[Any, np.dtype[np.float64]]:
        """See `Region.gain`."""
        volumes = np.ones((*losses.shape[:-1], len(self._low)))
        for k in range(losses.shape[-1]):
            volumes *= np.clip(self._high[:, k] - np.maximum(losses[..., k : k + 1], self._low[:, k]), 0, None)
        return np.asarray(volumes.sum(axis=-1))

    def take(self, losses: Losses) -> None:
        """See `Region.take`."""
        hit = (self._high > losses).all(axis=1)
        low, high = self._low[hit], self._high[hit]
        lows, highs = [self._low[~hit]], [self._high[~hit]]
        # Of each box that the point reaches into, what it does not dominate: below it in the first objective, or else in
        # the second, and so on.
        for k, loss in enumerate(losses):
            some = low[:, k] < loss
            part = high[some].copy()
            part[:, k] = loss
            lows.append(low[some].copy())
            highs.append(part)
            low[:, k] = np.maximum(low[:, k], loss)
        self._low, self._high = np.concatenate(lows), np.concatenate(highs)
