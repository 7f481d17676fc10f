"""The default way to propose candidates: evolution by generations, screened before it costs a trial.

A generation is a pure function of (seed, its number, the trials finished before it). So a run that was
killed proposes the same candidates when it is resumed, and so does a run on many workers.

The first generation holds the published networks that keep the budget, and published networks thinned or
widened evenly until they do: the search starts from what is known to work. Later generations mutate and
cross members of the non-dominated ranks (NSGA-II's selection, Deb et al. 2002, over all finished trials).
Knobs to which the estimate is blind stay at their published values (see `blind`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mvsearch.search.blind import held_values
from mvsearch.search.pareto import Pair, crowding, ranks
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Dimension, Point, SearchSpace, Value

GENERATION_SIZE = 50
MAX_ATTEMPTS_PER_PROPOSAL = 60
SHARE_RANDOM = 0.04
SHARE_CROSSOVER = 0.4


@dataclass(frozen=True, slots=True)
class Known:
    """A finished trial, as the sampler needs it.

    Attributes:
        point: the trial's point.
        arch_id: its network.
        objectives: (gain, cost), or None if the trial failed.
        violation: by how much predicted budgets are missed; 0 if they are met.
    """

    point: Point
    arch_id: str
    objectives: Pair | None
    violation: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate that passed the screen."""

    point: dict[str, Value]
    spec: ArchSpec
    origin: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation proposes, and what was rejected on the way.

    Attributes:
        proposals: distinct in-budget candidates; fewer than asked for when the space is exhausted.
        proposed: points drawn.
        over_budget: of these, over a counted budget: thinned evenly until they keep it, or dropped.
        duplicates: of these, networks that were known or proposed already.
    """

    proposals: tuple[Proposal, ...]
    proposed: int
    over_budget: int
    duplicates: int


Excess = Callable[[ArchSpec], float]
"""By how much a network exceeds its counted budgets: log of the worst ratio; at most 0 if all are kept."""


def next_generation(
    space: SearchSpace, excess: Excess, known: Sequence[Known], seed: int, number: int, size: int = GENERATION_SIZE
) -> Generation:
    """Propose candidates.

    Args:
        space: where they come from.
        excess: the screen on exact costs.
        known: all trials of earlier generations, in order.
        seed: of the run.
        number: of this generation, from 0.
        size: how many candidates are wanted.
    """
    rng = random.Random(f"{seed}/{number}")
    breeder = _Breeder(space, excess, rng)
    parents = _Parents(known, rng)
    seen = {k.arch_id for k in known}
    source = _first(breeder) if number == 0 else iter(())
    proposals: list[Proposal] = []
    drawn = over = duplicates = 0
    attempts = MAX_ATTEMPTS_PER_PROPOSAL * size
    while len(proposals) < size and drawn < attempts:
        point, origin = next(source, None) or breeder.breed(parents)
        point = {**point, **breeder.held}
        drawn += 1
        spec = space.decode(point)
        if excess(spec) > 0:
            over += 1
            thinned = breeder.scale_to_budget(point, 1.0)
            if thinned is None:
                continue
            point, spec = thinned, space.decode(thinned)
        if spec.arch_id in seen:
            duplicates += 1
            continue
        seen.add(spec.arch_id)
        proposals.append(Proposal(point, spec, origin))
    return Generation(tuple(proposals), drawn, over, duplicates)


def _first(breeder: _Breeder) -> Iterator[tuple[dict[str, Value], str]]:
    published = breeder.space.published_points()
    for point in published.values():
        if breeder.excess(breeder.space.decode(point)) <= 0:
            yield point, "published"
    if not breeder.is_bounded:
        # Only a latency is limited: even widths below the published ones lead towards it.
        for factor in (0.7, 0.5, 0.85):
            for point in published.values():
                yield breeder.scale(point, factor), "scaled"
        return
    for point in published.values():
        for tightness in (1.0, 0.9, 0.75):
            scaled = breeder.scale_to_budget(point, tightness)
            if scaled is not None:
                yield scaled, "scaled"


class _Parents:
    """Binary tournament over (feasible first, non-domination rank, crowding)."""

    def __init__(self, known: Sequence[Known], rng: random.Random) -> None:
        self._rng = rng
        usable = [k for k in known if k.objectives is not None]
        feasible = [k for k in usable if k.violation <= 0]
        self._members = feasible if len(feasible) >= 8 else sorted(usable, key=lambda k: k.violation)[:50]
        points = [k.objectives for k in self._members if k.objectives is not None]
        rank = ranks(points)
        distance: dict[int, float] = {}
        for r in range(max(rank, default=-1) + 1):
            distance |= crowding(points, [i for i in range(len(points)) if rank[i] == r])
        # Parents come from the best ranks only: about four generations' worth of them.
        self._order = sorted(range(len(points)), key=lambda i: (rank[i], -distance[i], i))[: 4 * GENERATION_SIZE]

    def __len__(self) -> int:
        return len(self._order)

    def pick(self) -> Point:
        """One parent: the better of two drawn."""
        best = min(self._rng.randrange(len(self._order)) for _ in range(2))
        return self._members[self._order[best]].point


class _Breeder:
    """Makes points: at random, by mutation, by crossover; and fits them to the budget."""

    def __init__(self, space: SearchSpace, excess: Excess, rng: random.Random) -> None:
        self.space = space
        self.excess = excess
        self.rng = rng
        self.held = held_values(space)
        self._widths = [
            d for d in space.dimensions if d.ordered and d.name.endswith((".channels", ".dim")) and len(d.choices) > 1
        ]
        self._free = [d for d in space.dimensions if len(d.choices) > 1 and d.name not in self.held]

    @property
    def is_bounded(self) -> bool:
        """Whether any counted budget limits the size of a network."""
        return self.excess(self.space.decode({d.name: d.choices[0] for d in self.space.dimensions})) > -math.inf

    def breed(self, parents: _Parents) -> tuple[dict[str, Value], str]:
        if not len(parents) or self.rng.random() < SHARE_RANDOM:
            return self.space.random_point(self.rng), "random"
        point, origin = dict(parents.pick()), "mutation"
        if self.rng.random() < SHARE_CROSSOVER:
            point, origin = self._cross(point, parents.pick()), "crossover"
            if self.rng.random() < 0.3:
                return point, origin
        return self._mutate(point), origin

    def _cross(self, a: Point, b: Point) -> dict[str, Value]:
        """Whole parts (stem, a stage, the head) from one parent or the other: what fits together stays together."""
        take_a = {part: self.rng.random() < 0.5 for part in sorted({name.partition(".")[0] for name in a})}
        return {name: (a if take_a[name.partition(".")[0]] else b)[name] for name in a}

    def _mutate(self, point: dict[str, Value]) -> dict[str, Value]:
        if not self._free:
            return point
        if self._widths and self.rng.random() < 0.2:
            point = self.scale(point, math.exp(self.rng.gauss(0, 0.15)))
        elif self.rng.random() < 0.2:
            point = self._mutate_alike(point)
        for _ in range(1 + min(4, int(self.rng.expovariate(0.9)))):
            d = self.rng.choice(self._free)
            point[d.name] = self._other(d, point[d.name])
        return point

    def _mutate_alike(self, point: dict[str, Value]) -> dict[str, Value]:
        """The same new value in every stage: one kind of block, one ratio."""
        key = self.rng.choice(
            [d for d in self._free if d.name.startswith("stage") and not d.name.endswith((".channels", ".dim"))] or self._free
        ).name
        value = self.rng.choice(self.space.by_name[key].choices)
        suffix = key.partition(".")[2]
        return {
            n: value if n.partition(".")[2] == suffix and suffix and value in self.space.by_name[n].choices else v
            for n, v in point.items()
        }

    def _other(self, d: Dimension, value: Value) -> Value:
        if not d.ordered or len(d.choices) < 3:
            return self.rng.choice([c for c in d.choices if c != value])
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
            scaled[d.name] = min(d.choices, key=lambda c: abs(float(c) - wanted))
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
