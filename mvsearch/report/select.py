"""Which members of a long front are shown, and what outlines a set of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from mvsearch.spec.run import FrontMember, RunView

MAX_FRONT_ROWS = 16
Item = TypeVar("Item")


def shown_members(view: RunView, limit: int = MAX_FRONT_ROWS) -> tuple[FrontMember, ...]:
    """At most `limit` members spread evenly along the front, fastest first; the winner and both ends are in.

    Farthest-point choice in (log latency, lower bound of top-1), both scaled to the front's extent: a
    crowded stretch of the front takes no more rows than a sparse one of the same length.
    """
    front = view.front
    if len(front) <= limit:
        return front
    points = _scaled([(math.log(m.evaluation.measurements["latency"].value), m.lower_top1) for m in front])
    winner = next((i for i, m in enumerate(front) if m.evaluation.arch_id == view.winner), 0)
    chosen = list(dict.fromkeys((winner, 0, len(front) - 1)))[:limit]
    while len(chosen) < limit:
        rest = [i for i in range(len(front)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: min(math.dist(points[i], points[j]) for j in chosen)))
    return tuple(front[i] for i in sorted(chosen))


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    lows = [min(p[k] for p in points) for k in (0, 1)]
    spans = [max(p[k] for p in points) - lows[k] or 1.0 for k in (0, 1)]
    return [((x - lows[0]) / spans[0], (y - lows[1]) / spans[1]) for x, y in points]


def knee(front: Sequence[FrontMember]) -> str | None:
    """`arch_id` of the member where the front bends: from there on more milliseconds buy less.

    The member farthest above the straight line that joins the front's ends, in (log latency, lower bound of top-1),
    both scaled to the front's extent. None for a front of fewer than five members, or one that does not bend.
    """
    if len(front) < 5:
        return None
    points = _scaled([(math.log(m.evaluation.measurements["latency"].value), m.lower_top1) for m in front])
    (x0, y0), (x1, y1) = points[0], points[-1]
    above = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in points]
    best = max(range(len(front)), key=above.__getitem__)
    return front[best].evaluation.arch_id if above[best] > 0.02 else None


def staircase(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats (x down, y up), from left to right."""
    best, kept = -math.inf, []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1])):
        if y > best:
            kept.append((x, y))
            best = y
    return kept


def thinned(items: Sequence[Item], limit: int) -> Sequence[Item]:
    """At most `limit` items at even steps: the same ones every time."""
    if len(items) <= limit:
        return items
    return [items[i * len(items) // limit] for i in range(limit)]
