"""Pareto fronts of two objectives: gain (to maximise) and cost (to minimise). Pure Python, exact."""

from __future__ import annotations

from collections.abc import Sequence

Pair = tuple[float, float]
"""(gain, cost): e.g. lower bound of top-1 in %, latency in ms."""


def dominates(a: Pair, b: Pair) -> bool:
    """Whether `a` is at least as good as `b` in both objectives and better in one."""
    return a[0] >= b[0] and a[1] <= b[1] and a != b


def front(points: Sequence[Pair]) -> list[int]:
    """Indices of the points that no other dominates, cheapest first; of equal points the first one."""
    best, members = float("-inf"), []
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0], i)):
        if points[i][0] > best:
            best = points[i][0]
            members.append(i)
    return members


def ranks(points: Sequence[Pair]) -> list[int]:
    """Non-domination rank of every point: 0 for the front, 1 for the front without it, and so on.

    One sweep in order of cost keeps the best gain of each rank so far; the ranks' best gains descend, so that a
    point's rank is found by bisection (Jensen's sweep for two objectives, O(n log n)).
    """
    result = [0] * len(points)
    best_gains: list[float] = []
    previous: tuple[Pair, int] | None = None
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0], i)):
        gain = points[i][0]
        if previous and previous[0] == points[i]:
            result[i] = previous[1]
            continue
        low, high = 0, len(best_gains)
        while low < high:
            middle = (low + high) // 2
            if best_gains[middle] < gain:
                high = middle
            else:
                low = middle + 1
        if low == len(best_gains):
            best_gains.append(gain)
        else:
            best_gains[low] = gain
        result[i] = low
        previous = (points[i], low)
    return result


def crowding(points: Sequence[Pair], members: Sequence[int]) -> dict[int, float]:
    """Crowding distance within one rank (NSGA-II, Deb et al. 2002): infinite at the ends, small in a crowd."""
    distance = dict.fromkeys(members, 0.0)
    for axis in (0, 1):
        order = sorted(members, key=lambda i: (points[i][axis], i))
        span = points[order[-1]][axis] - points[order[0]][axis]
        distance[order[0]] = distance[order[-1]] = float("inf")
        if span > 0:
            for before, i, after in zip(order, order[1:], order[2:], strict=False):
                distance[i] += (points[after][axis] - points[before][axis]) / span
    return distance


def hypervolume(points: Sequence[Pair], reference: Pair) -> float:
    """Area that the points dominate, down to the reference (gain, cost): a worst case in both objectives."""
    area, floor = 0.0, reference[0]
    for i in front(points):
        gain, cost = points[i]
        if gain > floor and cost < reference[1]:
            area += (gain - floor) * (reference[1] - cost)
            floor = gain
    return area


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices evenly along a front of `count` members, both ends among them."""
    if count <= wanted:
        return list(range(count))
    if wanted == 1:
        return [count - 1]
    return sorted({round(k * (count - 1) / (wanted - 1)) for k in range(wanted)})
