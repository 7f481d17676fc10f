"""What a sampler remembers of the trials so far: enough to propose from, and no more of it the longer a search runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mvsearch.search.improvement import Losses, non_dominated
from mvsearch.spec.space import Point

MAX_PARENTS = 400
"""Points that children are bred from: the front, and of those behind it the ones that came last."""
MAX_OBSERVATIONS = 400
"""Trials that corrections are learned from."""
ENOUGH = 8
"""Trials that keep every budget, from which on others are not bred from."""


@dataclass(frozen=True, slots=True)
class Known:
    """A finished trial, as the sampler needs it.

    Attributes:
        point: the trial's point.
        arch_id: its network.
        losses: objectives, smaller is better; None if the trial failed.
        constraint: at most 0 where every budget is kept; -inf without any.
    """

    point: Point
    arch_id: str
    losses: tuple[float, ...] | None
    constraint: float = -math.inf

    @property
    def feasible(self) -> bool:
        """Whether it came to an end and keeps every budget."""
        return self.losses is not None and self.constraint <= 0


class Knowledge:
    """Grows trial by trial; a function of the trials in their order.

    Attributes:
        seen: networks that were tried.
        front: what no other trial dominates, of those that keep every budget.
        behind: others to breed from.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.front: list[Known] = []
        self.behind: list[Known] = []
        self._sample: list[Known] = []
        self._usable = 0

    def add(self, trials: Iterable[Known]) -> None:
        """Take in trials that have ended since."""
        arrived = []
        for t in trials:
            self.seen.add(t.arch_id)
            if t.losses is not None:
                arrived.append(t)
                self._keep_in_sample(t)
        contenders = [*self.front, *(t for t in arrived if t.feasible)]
        on = non_dominated(losses_of(contenders)) if contenders else ()
        self.front = [t for t, o in zip(contenders, on, strict=True) if o]
        beaten = [t for t, o in zip(contenders, on, strict=True) if not o]
        before = [t for t in self.behind if t.feasible]
        self.behind = [*before, *beaten][-MAX_PARENTS:]
        if len(self.front) + len(self.behind) < ENOUGH:
            others = {t.arch_id: t for t in [*self._sample, *arrived] if not t.feasible}
            self.behind += sorted(others.values(), key=lambda t: t.constraint)[:MAX_PARENTS]

    def _keep_in_sample(self, t: Known) -> None:
        """A uniform sample of bounded size; chance comes from how many there were."""
        self._usable += 1
        if len(self._sample) < MAX_OBSERVATIONS:
            self._sample.append(t)
        elif (at := random.Random(self._usable).randrange(self._usable)) < MAX_OBSERVATIONS:
            self._sample[at] = t

    def observations(self) -> list[Known]:
        """Trials to learn from: all while they are few; later half of them from the front, half from everywhere."""
        if self._usable <= MAX_OBSERVATIONS:
            return list(self._sample)
        front = thinned(self.front, MAX_OBSERVATIONS // 2)
        ids = {t.arch_id for t in front}
        return front + [t for t in self._sample if t.arch_id not in ids][: MAX_OBSERVATIONS - len(front)]

    def parents(self) -> list[Known]:
        """The front, thinned evenly if it is long, and the last that fell behind it."""
        front = thinned(self.front, MAX_PARENTS)
        return front + (self.behind[len(front) - MAX_PARENTS :] if len(front) < MAX_PARENTS else [])


def thinned(front: Sequence[Known], wanted: int) -> list[Known]:
    """At most so many members, evenly along the first objective, both ends among them."""
    if len(front) <= wanted:
        return list(front)
    order = sorted(front, key=lambda t: t.losses or ())
    return [order[round(i * (len(order) - 1) / (wanted - 1))] for i in range(wanted)]


def losses_of(trials: Iterable[Known]) -> Losses:
    """(trials, objectives)."""
    return np.array([t.losses for t in trials], dtype=float)
