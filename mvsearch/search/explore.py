"""The loop: ask for a generation, have it evaluated, write it down, tell it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mvsearch.search.belief import Belief
from mvsearch.search.estimate import estimate_on, expect
from mvsearch.search.executor import Executor
from mvsearch.search.flatness import Flatness
from mvsearch.search.goals import Goals
from mvsearch.search.pareto import Pair, front, hypervolume
from mvsearch.search.slimming.strategy import SlimmingStudy
from mvsearch.search.store import Store
from mvsearch.search.study import Asked, SearchStudy, SpaceExhaustedError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import SLIM_CRITERIA, STRATEGIES
from mvsearch.spec.space import SearchSpace
from mvsearch.targets import Target


class Listener(Protocol):
    """Hears how a run goes on; the command line draws it."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def progress(self, done: int, total: int, best: str) -> None:
        """So much of the part is done; `best` is the best so far in a few words."""

    def first_front(self, trials: Sequence[Trial], front: Sequence[Trial]) -> None:
        """An early look at the front while the search goes on."""


class Silent:
    """Hears and says nothing."""

    def stage(self, text: str) -> None:
        """See `Listener.stage`."""

    def progress(self, done: int, total: int, best: str) -> None:
        """See `Listener.progress`."""

    def first_front(self, trials: Sequence[Trial], front: Sequence[Trial]) -> None:
        """See `Listener.first_front`."""


@dataclass
class Explorer:
    """Explores a space until enough candidates have been evaluated.

    Attributes:
        space: where candidates come from.
        goals: objectives and budgets.
        target: predicts the latency.
        store: where finished trials are written.
        seed: of the sampler.
        listener: hears of the progress.
        sampler: what proposes, one of `study.SAMPLERS`.
        screened: whether what one of Optuna's samplers proposes has to pass our screen.
        stop_flat: whether the search ends when the hypervolume has stopped growing, see `flatness`.
        strategy: how candidates are found, one of `spec.run.STRATEGIES`; the sampler is that of the first.
        slim_by: criterion of slimming, one of `spec.run.SLIM_CRITERIA`.
        first_front_after: number of trials after which the front is shown for the first time.
        clock: seconds that the run has worked so far, by which every trial is told when it ended.
        ended: why the search ended before all trials were made, in a sentence; empty if it did not.
    """

    space: SearchSpace
    goals: Goals
    target: Target
    store: Store
    seed: int
    listener: Listener = field(default_factory=Silent)
    sampler: str = "default"
    screened: bool = True
    stop_flat: bool = True
    strategy: str = STRATEGIES[0]
    slim_by: str = SLIM_CRITERIA[0]
    first_front_after: int = 300
    clock: Callable[[], float] = field(default_factory=lambda: _stopwatch())
    ended: str = ""

    def run(self, trials: int, executors: Sequence[Executor], time_limit: float | None = None) -> list[Trial]:
        """Evaluate up to `trials` distinct in-budget candidates, those of a resumed run counted in.

        Args:
            trials: how many.
            executors: the first one that is ready is used, generation by generation.
            time_limit: seconds after which no further generation is begun.

        Returns:
            All finished trials in order; fewer than asked for if the space has no more or the time is up.
        """
        self._search(trials, executors, time_limit)
        # Only now are all trials in memory: a long search holds what the sampler needs of them.
        return self.store.trials()

    def _search(self, trials: int, executors: Sequence[Executor], time_limit: float | None) -> None:
        study, flatness, best, done = self._start()
        start, before = time.monotonic(), done
        while done < trials and (time_limit is None or time.monotonic() - start < time_limit):
            if self.stop_flat and flatness.is_flat:
                self.ended = f"the search ended after {done:,} trials: {flatness.rule}"
                return
            try:
                batch = study.ask(trials - done)
            except SpaceExhaustedError:
                self.ended = f"the search ended after {done:,} trials: {study.exhausted}"
                return
            rejected = batch.screened
            self.store.set_generation(batch.number, rejected.proposed, rejected.over_budget, rejected.duplicates)
            ready = next((e for e in executors if getattr(e, "ready", True)), executors[-1])
            # One estimate takes less time than its way to a worker.
            executor = executors[-1] if self.strategy == "slimming" else ready
            ended = []
            for trial in self._evaluate(batch.asked, executor):
                self.store.add(trial)
                study.tell(trial.number, *self._told(trial))
                ended.append(trial)
                best.add(trial)
                self.listener.progress(done + len(ended), trials, best.text)
            flatness.add(ended)
            done += len(ended)
            if before < self.first_front_after <= done and best.found:
                before = done
                finished = self.store.trials()
                self.listener.first_front(finished, self.front(finished))

    def _start(self) -> tuple[SearchStudy | SlimmingStudy, Flatness, _Best, int]:
        """All as it is after the trials that are finished, and how many these are."""
        finished = self.store.trials()
        study: SearchStudy | SlimmingStudy
        if self.strategy == "slimming":
            study = SlimmingStudy(self.space, self.goals, self.target, self.store, self.slim_by, finished)
        else:
            entries = [(t, *self._told(t)) for t in finished]
            study = SearchStudy(self.space, self.goals.excess, self._beliefs, self.sampler, self.screened, self.seed, entries)
        flatness, best = Flatness(self.goals), _Best(self.goals)
        flatness.add(finished)
        for t in finished:
            best.add(t)
        return study, flatness, best, len(finished)

    def front(self, trials: Sequence[Trial]) -> list[Trial]:
        """The non-dominated feasible trials that are worth having, fastest first."""
        return front_of(trials, self.goals)

    def _beliefs(self, specs: Sequence[ArchSpec]) -> list[Belief | None]:
        """What an evaluation will say, as far as that is known beforehand; None where the estimate fails."""
        evaluations = [expect(spec, self.goals.resolution, self.target, self.goals.estimator) for spec in specs]
        return [None if e.failure else Belief(self.goals.objectives(e), self.goals.constraint(e)) for e in evaluations]

    def _evaluate(self, batch: Sequence[Asked], executor: Executor) -> Iterator[Trial]:
        """Evaluations of a batch in the order of the trials, each as soon as it and those before it are there."""
        goals, found, number = self.goals, dict[int, Evaluation](), 0
        specs = [a.proposal.spec for a in batch]
        for i, evaluation in estimate_on(executor, specs, goals.resolution, self.target, goals.estimator):
            found[i] = evaluation
            while number in found:
                yield self._trial(batch[number], found.pop(number))
                number += 1

    def _trial(self, asked: Asked, evaluation: Evaluation) -> Trial:
        feasible = evaluation.failure is None and self.goals.keeps_budgets(evaluation)
        proposal = asked.proposal
        ended = round(self.clock(), 3)
        return Trial(asked.number, proposal.point, evaluation, feasible, proposal.origin, asked.generation, ended)

    def _told(self, trial: Trial) -> tuple[Pair | None, float]:
        if trial.evaluation.failure:
            return None, 0.0
        return self.goals.objectives(trial.evaluation), self.goals.constraint(trial.evaluation)


def _stopwatch() -> Callable[[], float]:
    start = time.monotonic()
    return lambda: time.monotonic() - start


def front_of(trials: Sequence[Trial], goals: Goals) -> list[Trial]:
    """The non-dominated feasible trials above the floor, fastest first; failed ones left out."""
    usable = [t for t in trials if t.feasible and not t.evaluation.failure and goals.shortfall(t.evaluation) <= 0]
    return [usable[i] for i in front([goals.objectives(t.evaluation) for t in usable])]


class _Best:
    """The best feasible lower bound of top-1 so far, in words."""

    def __init__(self, goals: Goals) -> None:
        self._goals = goals
        self._gain = float("-inf")
        self.found = False
        self.text = "none within the budget yet"

    def add(self, trial: Trial) -> None:
        if trial.feasible and (gain := self._goals.lower_top1(trial.evaluation)) > self._gain:
            self._gain, self.found = gain, True
            self.text = f"top-1 >= {gain:.1f} % at {trial.evaluation.measurements['latency'].value:.2f} ms"


@dataclass(frozen=True, slots=True)
class Growth:
    """How the front grew along a run.

    Attributes:
        reference: (lower bound of top-1 in %, latency in ms) down to which the area is measured: the floor, and the
            slowest feasible candidate.
        trace: (trials so far, dominated area in points x ms, seconds that the run had worked by then or None).
    """

    reference: Pair | None
    trace: tuple[tuple[int, float, float | None], ...]


def growth(trials: Sequence[Trial], goals: Goals, steps: int = 60) -> Growth:
    """Dominated area along a run, at about `steps` points of it."""
    feasible = [t for t in trials if t.feasible]
    if not feasible:
        return Growth(None, ())
    pairs = [goals.objectives(t.evaluation) for t in feasible]
    floor = goals.floor if goals.floor > float("-inf") else min(gain for gain, _ in pairs)
    reference = (floor, max(cost for _, cost in pairs))
    marks = sorted({round(len(feasible) * k / steps) for k in range(1, steps + 1)} - {0})
    trace = ((feasible[m - 1].number + 1, hypervolume(pairs[:m], reference), feasible[m - 1].ended) for m in marks)
    return Growth(reference, tuple(trace))
