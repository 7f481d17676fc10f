"""Making points of a space: at random, by mutation, by crossover; and fitting them to a budget.

Knobs to which the estimate is blind stay at their published values (see `blind`).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeVar

from mvsearch.search.belief import Excess
from mvsearch.search.blind import held_values
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Dimension, Point, SearchSpace, Value

T = TypeVar("T")

SHARE_CROSSOVER = 0.25
SHARE_SCALED, SHARE_ALIKE, SHARE_MORE, SHARE_WIDTHS = 0.03, 0.05, 0.35, 0.6
MAX_CHANGES = 6


class Breeder:
    """Makes points.

    Args:
        space: that they are of.
        excess: by how much a network exceeds the counted budgets.
        rng: where chance comes from.
    """

    def __init__(self, space: SearchSpace, excess: Excess, rng: random.Random) -> None:
        self.space = space
        self.excess = excess
        self.rng = rng
        self.held = held_values(space)
        self._free = [d for d in space.dimensions if len(d.choices) > 1 and d.name not in self.held]
        self._widths = [d for d in self._free if d.ordered and d.name.endswith((".channels", ".dim"))]

    @property
    def is_bounded(self) -> bool:
        """Whether any counted budget limits the size of a network."""
        return self.excess(self.space.decode({d.name: d.choices[0] for d in self.space.dimensions})) > -math.inf

    def seeds(self) -> Iterator[tuple[dict[str, Value], str]]:
        """What a search starts from: published networks that keep the budget; these thinned or widened evenly to it."""
        published = self.space.published_points()
        for point in published.values():
            if self.excess(self.space.decode(point)) <= 0:
                yield point, "published"
        if not self.is_bounded:
            # Only a latency is limited: even widths below the published ones lead towards it.
            for factor in (0.7, 0.5, 0.85):
                for point in published.values():
                    yield self.scale(point, factor), "scaled"
            return
        for point in published.values():
            for tightness in (1.0, 0.9, 0.75):
                scaled = self.scale_to_budget(point, tightness)
                if scaled is not None:
                    yield scaled, "scaled"

    def pick(self, of: Sequence[T]) -> T:
        """One of these; `random.choice` would take three times as long."""
        return of[int(self.rng.random() * len(of))]

    def random(self) -> dict[str, Value]:
        """A point drawn uniformly, but for what is held."""
        return {**self.space.random_point(self.rng), **self.held}

    def child(self, one: Point, other: Point) -> dict[str, Value]:
        """A point near one parent, or between two."""
        if self.rng.random() >= SHARE_CROSSOVER:
            return self._mutate(dict(one))
        child = self._cross(one, other)
        return self._mutate(child) if child in (one, other) or self.rng.random() < 0.5 else child

    def _cross(self, a: Point, b: Point) -> dict[str, Value]:
        """Whole parts (stem, a stage, the head) from one parent or the other: what fits together stays together."""
        take_a = {part: self.rng.random() < 0.5 for part in sorted({name.partition(".")[0] for name in a})}
        return {name: (a if take_a[name.partition(".")[0]] else b)[name] for name in a}

    def _mutate(self, point: dict[str, Value]) -> dict[str, Value]:
        """Most children differ in one knob or two, a width as often as any other: near a good front larger steps rarely pay."""
        if not self._free:
            return point
        if self._widths and self.rng.random() < SHARE_SCALED:
            return self.scale(point, math.exp(self.rng.gauss(0, 0.1)))
        if self.rng.random() < SHARE_ALIKE:
            point = self._mutate_alike(point)
        changes = 1
        while changes < MAX_CHANGES and self.rng.random() < SHARE_MORE:
            changes += 1
        for _ in range(changes):
            d = self.pick(self._widths if self._widths and self.rng.random() < SHARE_WIDTHS else self._free)
            point[d.name] = self._other(d, point[d.name])
        return point

    def _mutate_alike(self, point: dict[str, Value]) -> dict[str, Value]:
        """The same new value in every stage: one kind of block, one ratio."""
        key = self.pick(
            [d for d in self._free if d.name.startswith("stage") and not d.name.endswith((".channels", ".dim"))] or self._free
        ).name
        value = self.pick(self.space.by_name[key].choices)
        suffix = key.partition(".")[2]
        return {
            n: value if n.partition(".")[2] == suffix and suffix and value in self.space.by_name[n].choices else v
            for n, v in point.items()
        }

    def _other(self, d: Dimension, value: Value) -> Value:
        if not d.ordered or len(d.choices) < 3:
            return self.pick([c for c in d.choices if c != value])
        at = d.choices.index(value)
        reach = max(1, round(self.rng.expovariate(1.0) * max(1.0, min(len(d.choices) / 24, at / 6))))
        to = at + reach if self.rng.random() < 0.5 else at - reach
        if not 0 <= to < len(d.choices) or to == at:
            to = at - 1 if at else at + 1
        return d.choices[to]

    def scale(self, point: Point, factor: float) -> dict[str, Value]:
        """All widths and transformer widths times one factor, to the nearest choices."""
        scaled = dict(point)
        for d in self._widths:
            wanted = float(point[d.name]) * factor
            at = bisect_left(d.choices, wanted)
            near = d.choices[max(0, at - 1) : at + 1]
            scaled[d.name] = min(near, key=lambda c: abs(float(c) - wanted))
        return scaled

    def scale_to_budget(self, point: Point, tightness: float) -> dict[str, Value] | None:
        """The point with all widths scaled evenly until it uses this share of the budget; None if none fits."""
        low, high = 0.1, 4.0
        best = None
        for _ in range(9):
            middle = math.sqrt(low * high)
            scaled = self.scale(point, middle)
            if self.excess(self.space.decode(scaled)) <= math.log(tightness):
                best, low = scaled, middle
            else:
                high = middle
        return best

    def random_in_budget(self) -> dict[str, Value] | None:
        """A random point, scaled or shrunk where it exceeds the counted budgets; None if that leads nowhere."""
        point = self.random()
        if self.excess(self.space.decode(point)) <= 0:
            return point
        return self.scale_to_budget(point, 1.0) or self.shrink_to_budget(point)

    def shrink_to_budget(self, point: Point) -> dict[str, Value] | None:
        """The point with one knob after the other, by chance, at its least costly choice, until it fits; None if none does."""
        shrunk = dict(point)
        for d in self.rng.sample(self._free, len(self._free)):
            if self.excess(self.space.decode(shrunk)) <= 0:
                break
            ways = [{**shrunk, d.name: c} for c in (d.choices[:1] if d.ordered else d.choices)]
            shrunk = min(ways, key=lambda p: self.excess(self.space.decode(p)))
        return shrunk if self.excess(self.space.decode(shrunk)) <= 0 else None


def nearest_to_budget(space: SearchSpace, excess: Excess, seed: int, wanted: int = 5) -> list[ArchSpec]:
    """The candidates that come nearest to a budget that none may keep, by descent from several starts."""
    rng = random.Random(f"{seed}/nearest")
    starts = [{d.name: d.choices[0] for d in space.dimensions}, *space.published_points().values()]
    starts += [space.random_point(rng) for _ in range(6)]
    found: dict[str, tuple[float, ArchSpec]] = {}
    for start in starts:
        point = dict(start)
        best = excess(space.decode(point))
        improved = True
        while improved:
            improved = False
            for d in space.dimensions:
                for choice in dict.fromkeys((d.choices[0], *(() if d.ordered else d.choices))):
                    trial = {**point, d.name: choice}
                    value = excess(space.decode(trial))
                    if value < best - 1e-12:
                        point, best, improved = trial, value, True
        spec = space.decode(point)
        found[spec.arch_id] = (best, spec)
    return [spec for _, spec in sorted(found.values(), key=lambda f: f[0])[:wanted]]
