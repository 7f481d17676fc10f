"""One step of slimming: all moves are weighed, and the best one is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mvsearch.costs import count
from mvsearch.search.estimate import expect
from mvsearch.search.goals import Goals
from mvsearch.search.slimming.criterion import COUNTED, CRITERIA, Limits, Standing, Weighed, violated, weigh
from mvsearch.search.slimming.moves import Move, Moves
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.run import SLIM_CRITERIA
from mvsearch.spec.space import Point, SearchSpace, Value
from mvsearch.targets import Target

REMEMBERED = 32_768
Assess = Callable[[Sequence[ArchSpec]], Sequence[Standing | None]]
"""How networks stand, one by one; None for one of which nothing can be said. By estimate here, by whatever else elsewhere."""


def by_estimate(goals: Goals, target: Target) -> Assess:
    """Networks as they are estimated: costs counted, latency predicted, top-1 estimated."""

    # Paths of one run begin alike.
    @lru_cache(maxsize=REMEMBERED)
    def stand(spec: ArchSpec) -> Standing | None:
        e = expect(spec, goals.resolution, target, goals.estimator)
        if e.failure:
            return None
        costs, latency = count(spec, goals.resolution), e.measurements["latency"]
        amounts = {metric: float(getattr(costs, metric)) for metric in COUNTED}
        return Standing(goals.lower_top1(e), latency.value, {**amounts, "latency": latency.quantile(goals.confidence)})

    return lambda specs: [stand(spec) for spec in specs]


@dataclass(frozen=True, slots=True)
class Option:
    """A move that may be taken.

    Attributes:
        move: which.
        point, spec: where it leads.
        standing: how that stands.
        weighed: what it costs and brings.
    """

    move: Move
    point: dict[str, Value]
    spec: ArchSpec
    standing: Standing
    weighed: Weighed


@dataclass(frozen=True, slots=True)
class Look:
    """All moves from one network.

    Attributes:
        options: those that may be taken, the best first.
        looked: moves that there are.
        over_budget: of these, to networks that are over a counted limit.
        same: of these, to the same network or to one that failed.
    """

    options: tuple[Option, ...]
    looked: int
    over_budget: int
    same: int


class Slimmer:
    """Weighs moves.

    Args:
        space: of the networks.
        resolution: in pixels.
        assess: how networks stand.
        criterion: one of `spec.run.SLIM_CRITERIA`.
        floor: once all limits are kept, no network below this accuracy is gone to, in %.
    """

    def __init__(
        self,
        space: SearchSpace,
        resolution: int,
        assess: Assess,
        criterion: str = SLIM_CRITERIA[0],
        floor: float = -math.inf,
    ) -> None:
        self._space, self._assess, self._gain, self._floor = space, assess, CRITERIA[criterion], floor
        self.moves = Moves(space, resolution)

    def standing(self, point: Point) -> Standing | None:
        """How a network stands."""
        return self._assess([self._space.decode(point)])[0]

    def look(self, point: Point, limits: Limits, without: Collection[str] = ()) -> Look:
        """All moves from a network, weighed; of equals the first in the order of the dimensions is the better.

        Args:
            point: the network.
            limits: that are to be met, or to be kept.
            without: `arch_id` of networks that are not to be gone to.
        """
        here = self._space.decode(point)
        moves = list(self.moves.of(point))
        points = [move.of(point) for move in moves]
        specs = [self._space.decode(p) for p in points]
        new = [i for i, s in enumerate(specs) if s != here and not (without and s.arch_id in without)]
        before, *standings = self._assess([here, *(specs[i] for i in new)])
        options, over = [], 0
        if before is not None:
            is_kept = not violated(before, limits)
            for i, after in zip(new, standings, strict=True):
                if after is None:
                    continue
                over += any(m in COUNTED for m in violated(after, limits))
                weighed = weigh(before, after, limits, self._gain)
                if weighed and not (is_kept and after.accuracy < self._floor):
                    options.append(Option(moves[i], points[i], specs[i], after, weighed))
        return Look(tuple(sorted(options, key=lambda o: o.weighed.rank)), len(moves), over, len(moves) - len(new))
