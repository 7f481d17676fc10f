"""When the hypervolume has stopped growing: the last 500 trials brought less than 0.1 % of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from mvsearch.search.goals import Goals
from mvsearch.search.pareto import Pair, front, hypervolume
from mvsearch.spec.record import Trial

TRIALS = 500
SHARE = 0.001


class Flatness:
    """Follows the hypervolume along a search; a function of the trials in their order.

    The area is that of (lower bound of top-1, latency), down to the floor, or the least accurate of the first feasible
    `TRIALS` if there is none, and to the slowest of those.

    Args:
        goals: of the search.
    """

    rule = f"the last {TRIALS} brought less than {100 * SHARE:g} % of the hypervolume"

    def __init__(self, goals: Goals) -> None:
        self._goals = goals
        self._front: list[Pair] = []
        self._reference: Pair | None = None
        self._areas: deque[tuple[int, float]] = deque()
        self._feasible = 0
        self._worst = (-math.inf, 0.0)
        self._generation = -1

    def add(self, trials: Sequence[Trial]) -> None:
        """Take in trials that have ended since, generation by generation."""
        start = 0
        for end in range(1, len(trials) + 1):
            if end == len(trials) or trials[end].generation != trials[start].generation:
                self._add(trials[start:end])
                start = end

    def _add(self, trials: Sequence[Trial]) -> None:
        points = [self._goals.objectives(t.evaluation) for t in trials if t.feasible and not t.evaluation.failure]
        self._feasible += len(points)
        if self._reference is None and points:
            self._worst = (
                max(self._worst[0], *(-gain for gain, _ in points)),
                max(self._worst[1], *(cost for _, cost in points)),
            )
        members = [*self._front, *points]
        self._front = [members[i] for i in front(members)]
        if self._reference is None and self._feasible >= TRIALS:
            floor = self._goals.floor if math.isfinite(self._goals.floor) else -self._worst[0]
            self._reference = floor, self._worst[1]
        if self._reference:
            number = trials[-1].number
            if self._areas and trials[0].generation == self._generation:
                self._areas.pop()  # The rest of a generation that a run was stopped in.
            self._areas.append((number, hypervolume(self._front, self._reference)))
            self._generation = trials[0].generation
            while len(self._areas) > 1 and self._areas[1][0] <= number - TRIALS:
                self._areas.popleft()

    @property
    def is_flat(self) -> bool:
        """Whether the hypervolume has stopped growing."""
        if not self._areas or self._areas[0][0] > self._areas[-1][0] - TRIALS:
            return False
        before, now = self._areas[0][1], self._areas[-1][1]
        return now - before < SHARE * now
