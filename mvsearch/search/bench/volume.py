"""Exact hypervolume of a few objectives, written for the bench alone so that it checks the sampler's own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal

Direction = Literal["maximize", "minimize"]
Values = tuple[float, ...]


def gains(values: Sequence[float], directions: Sequence[Direction], reference: Sequence[float]) -> Values:
    """By how much each objective is better than the reference point, in its own unit; negative if it is worse."""
    return tuple(
        v - r if d == "maximize" else r - v for v, d, r in zip(values, directions, reference, strict=True)
    )  # fmt: skip


def hypervolume(points: Iterable[Values]) -> float:
    """Volume of the union of the boxes from the origin to each point.

    Args:
        points: gains over the reference point, 1 to 3 objectives, all to maximise. A point that does not exceed the
            reference in every objective adds nothing.

    Returns:
        In the product of the objectives' units. Two objectives in one sweep, O(n log n); three by sweeping the third
        and keeping the front of the first two, O(n²) at worst.
    """
    inside = [p for p in points if all(v > 0 for v in p)]
    if not inside:
        return 0.0
    if len(inside[0]) == 1:
        return max(p[0] for p in inside)
    if len(inside[0]) == 2:
        return _area(inside)
    if len(inside[0]) != 3:
        raise ValueError(f"{len(inside[0])} objectives: from 1 to 3 are supported")
    order = sorted(inside, key=lambda p: -p[2])
    stairs = _Stairs()
    volume = 0.0
    for p, below in zip(order, [*(q[2] for q in order[1:]), 0.0], strict=True):
        stairs.add(p[0], p[1])
        volume += stairs.area * (p[2] - below)
    return volume


def _area(points: Sequence[Values]) -> float:
    area = height = 0.0
    for x, y in sorted(points, reverse=True):
        if y > height:
            area += x * (y - height)
            height = y
    return area


class _Stairs:
    """The front of points in the plane, both coordinates to maximise, and the area below it."""

    def __init__(self) -> None:
        self.area = 0.0
        self._xs: list[float] = []  # ascending
        self._ys: list[float] = []  # descending

    def add(self, x: float, y: float) -> None:
        at = bisect_left(self._xs, x)
        if at < len(self._ys) and self._ys[at] >= y:
            return
        first = at
        while first > 0 and self._ys[first - 1] <= y:
            first -= 1
        last = at + 1 if at < len(self._xs) and self._xs[at] == x else at
        left = self._xs[first - 1] if first else 0.0
        right_height = self._ys[last] if last < len(self._ys) else 0.0
        # What lay above the step on the right between `left` and `x` gives way to one step of height `y`.
        old, previous = 0.0, left
        for i in range(first, last):
            old += (self._xs[i] - previous) * self._ys[i]
            previous = self._xs[i]
        old += (x - previous) * right_height
        self.area += (x - left) * y - old
        self._xs[first:last] = [x]
        self._ys[first:last] = [y]


def front(points: Sequence[Values]) -> list[int]:
    """Indices of the points that no other dominates, all objectives to maximise, best first one first; of equals the first."""
    order = sorted(range(len(points)), key=lambda i: ([-v for v in points[i]], i))
    members: list[int] = []
    for i in order:
        p = points[i]
        if not any(all(a >= b for a, b in zip(points[j], p, strict=True)) for j in members):
            members.append(i)
    return members


def insert(members: list[Values], point: Values) -> None:
    """Add a point to a front, all objectives to maximise, unless it is dominated or there already; drop what it dominates."""
    if not any(all(a >= b for a, b in zip(m, point, strict=True)) for m in members):
        members[:] = [m for m in members if not all(a >= b for a, b in zip(point, m, strict=True))]
        members.append(point)
