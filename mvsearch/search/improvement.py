"""How much a candidate would add to the hypervolume of a front. All objectives are losses: smaller is better."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Losses = np.ndarray[Any, np.dtype[np.float64]]
"""(points, objectives)."""

NUM_PROBES = 2048


def non_dominated(losses: Losses) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points no other dominates, (n,); of equal points the first."""
    n = len(losses)
    keep = np.zeros(n, dtype=bool)
    # In lexicographic order nobody is dominated by somebody who comes later.
    order = np.lexsort(losses.T[::-1]) if n else np.zeros(0, dtype=int)
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


def region_of(front: Losses, reference: Losses, ideal: Losses) -> Region:
    """The region that a front leaves.

    Args:
        front: (n, objectives), dominated points allowed.
        reference: (objectives,): losses beyond it are worth nothing.
        ideal: (objectives,): no candidate is below it.
    """
    return Staircase(front, reference) if len(reference) == 2 else Probes(front, reference, ideal)


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


class Probes:
    """For any number of objectives: quasi-random probes of the region that the front leaves (Sobol, fixed seed).

    Args:
        front: (n, objectives).
        reference, ideal: (objectives,): corners of the box that is probed.
    """

    def __init__(self, front: Losses, reference: Losses, ideal: Losses) -> None:
        from scipy.stats import qmc

        ideal = np.minimum(ideal, reference - 1e-12)
        front = front[non_dominated(front)] if len(front) else front
        sobol = qmc.Sobol(len(reference), seed=0)
        kept: list[Losses] = []
        drawn = found = 0
        while found < NUM_PROBES and drawn < 16 * NUM_PROBES:
            probes = ideal + sobol.random(NUM_PROBES) * (reference - ideal)
            free = np.ones(len(probes), dtype=bool)
            for member in front:
                free &= ~(member <= probes).all(axis=1)
            kept.append(probes[free])
            drawn, found = drawn + len(probes), found + int(free.sum())
        self._probes = np.concatenate(kept)
        self._volume = float(np.prod(reference - ideal)) / drawn

    def gain(self, losses: Losses) -> np.ndarray[Any, np.dtype[np.float64]]:
        """See `Region.gain`."""
        covered = np.ones((*losses.shape[:-1], len(self._probes)), dtype=bool)
        for k in range(losses.shape[-1]):
            covered &= losses[..., k : k + 1] <= self._probes[:, k]
        return np.asarray(covered.sum(axis=-1) * self._volume)

    def take(self, losses: Losses) -> None:
        """See `Region.take`."""
        self._probes = self._probes[~(losses <= self._probes).all(axis=1)]
