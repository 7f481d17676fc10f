"""Slimming as a run's strategy: one path after the other, each network on them a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mvsearch.search.goals import Goals
from mvsearch.search.proposer import Generation, Proposal
from mvsearch.search.slimming.criterion import limits_of, violated
from mvsearch.search.slimming.record import PathRecord, read_paths, write_path
from mvsearch.search.slimming.slimmer import Slimmer, by_estimate
from mvsearch.search.store import Store
from mvsearch.search.study import Asked, Batch, SpaceExhaustedError
from mvsearch.spec.record import Trial
from mvsearch.spec.run import SLIM_CRITERIA
from mvsearch.spec.space import SearchSpace, Value
from mvsearch.targets import Target

TARGETS = (1.0, 0.7, 0.5, 0.85, 0.6, 0.4)
"""What the paths make for, one after the other, as shares of the latency at which the first one met the budgets."""


class SlimmingStudy:
    """Asks for the networks of slimming paths, one at a time, as a study asks for proposals.

    The first path makes for the budgets and goes on from there, by milliseconds, as long as there is a network above the
    floor. Each further one starts from the largest network again and makes for less latency than the budgets ask for, so that
    latency leads it for longer. Networks that an earlier path has passed are passed without a trial. Where a path goes depends
    on the space, the goals and what failed alone; so a run that is resumed goes on along the path on which it was stopped.

    Attributes:
        exhausted: how it came that nothing is left to ask for, once that is so.

    Args:
        space: any.
        goals: of the run.
        target: predicts the latency.
        store: of the run; the paths are kept there.
        criterion: one of `spec.run.SLIM_CRITERIA`.
        finished: trials of a run that is resumed, in order.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        target: Target,
        store: Store,
        criterion: str = SLIM_CRITERIA[0],
        finished: Sequence[Trial] = (),
    ) -> None:
        self._space, self._goals, self._store = space, goals, store
        self._slimmer = Slimmer(space, goals.resolution, by_estimate(goals, target), criterion, goals.floor)
        self._points = [t.point for t in finished]
        self._known = {t.evaluation.arch_id: t.number for t in finished}
        self._failed = {t.evaluation.arch_id for t in finished if t.evaluation.failure}
        self._asked: Asked | None = None
        self.exhausted = ""
        paths = [p.passed(finished) for p in read_paths(store)]
        self._first = paths[0].trials if paths else ()
        # Where the next path will be kept; the one that is under way is kept with its first trial.
        self._free = len(paths)
        self._place = next((i for i, p in reversed([*enumerate(paths)]) if not p.measured), None)
        self._path = PathRecord(TARGETS[0], None, ()) if self._place is None else paths[self._place]

    def ask(self, limit: int) -> Batch:
        """The next network, with what was looked at to find it.

        Args:
            limit: at least 1; one is asked for at a time, as the next hangs on it.

        Raises:
            SpaceExhaustedError: every path has come to its end.
        """
        looked = over = same = 0
        while True:
            if not self._path.trials:
                point: dict[str, Value] | None = self._slimmer.moves.largest
                looked += 1
                if self._space.decode(self._slimmer.moves.largest).arch_id in self._failed:
                    point = None
            else:
                look = self._slimmer.look(self._points[self._path.trials[-1]], self._path.limits(self._goals), self._failed)
                point = look.options[0].point if look.options else None
                looked, over, same = looked + look.looked, over + look.over_budget, same + look.same
            if point is None:
                self._turn()
                continue
            spec = self._space.decode(point)
            if (number := self._known.get(spec.arch_id)) is None:
                break
            self._path = replace(self._path, trials=(*self._path.trials, number))
        number = len(self._points)
        self._path = replace(self._path, trials=(*self._path.trials, number))
        if self._place is None:
            self._place, self._free = self._free, self._free + 1
        write_path(self._store, self._place, self._path)
        self._asked = Asked(number, Proposal(point, spec, f"slimming path {self._place + 1}"), number)
        return Batch(number, Generation((), looked, over, same, looked - same), (self._asked,))

    def tell(self, number: int, objectives: tuple[float, float] | None, constraint: float) -> None:
        """Report the trial that was asked for; one that failed is no part of the path, and never gone to again."""
        asked = self._asked
        assert asked is not None and asked.number == number
        proposal = asked.proposal
        self._points.append(proposal.point)
        self._known[proposal.spec.arch_id] = number
        if objectives is None:
            self._failed.add(proposal.spec.arch_id)
            self._path = replace(self._path, trials=self._path.trials[:-1])

    def _turn(self) -> None:
        """Begin the next path."""
        if self._path.target == TARGETS[0]:
            self._first = self._path.trials
        met = self._first_met()
        if met is None:
            self.exhausted = "no move is left that lowers what is over the budget"
            raise SpaceExhaustedError
        at = TARGETS.index(self._path.target) + 1
        if at == len(TARGETS):
            self.exhausted = "every slimming path has come to its end"
            raise SpaceExhaustedError
        self._path, self._place = PathRecord(TARGETS[at], TARGETS[at] * met, ()), None

    def _first_met(self) -> float | None:
        """Latency (its bound, in ms) of the first network within the budgets on the first path; None if there was none."""
        met, budgets = None, limits_of(self._goals)
        # Budgets that are met stay met: from the end of the path back to where they were not.
        for number in reversed(self._first):
            standing = self._slimmer.standing(self._points[number])
            if standing is None or violated(standing, budgets):
                break
            met = standing.amounts["latency"]
        return met
