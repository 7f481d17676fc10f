"""One race: an engine, a problem, a seed; how the hypervolume grows with trials and with seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mvsearch.search.belief import Belief
from mvsearch.search.bench.contenders import Variant, make, patience_of
from mvsearch.search.bench.problems import Problem
from mvsearch.search.bench.volume import Values, gains, hypervolume, insert
from mvsearch.search.screen import Screen
from mvsearch.spec.arch import ArchSpec

STEP = 10
"""Trials between two rows of a race."""
MAX_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class Row:
    """A moment of a race.

    Attributes:
        problem, contender, variant, seed: which race.
        trials: evaluations so far.
        seconds: CPU seconds of the driver so far, evaluations included, each charged in full to everybody.
        hypervolume: of the feasible evaluated candidates, in the product of the objectives' units.
        proposals: asked for so far.
        duplicates: trials that evaluated a network once more.
        infeasible: trials that missed a budget.
    """

    problem: str
    contender: str
    variant: Variant
    seed: int
    trials: int
    seconds: float
    hypervolume: float
    proposals: int
    duplicates: int
    infeasible: int


@dataclass
class Ledger:
    """Remembers evaluations and beliefs across races, and charges each race for what it did not have to do again.

    Attributes:
        problem: whose evaluations.
        charged: CPU seconds that this race owes for what was remembered.
    """

    problem: Problem
    charged: float = 0.0
    _known: dict[tuple[str, str], tuple[Belief, float]] = field(default_factory=dict)

    def evaluate(self, spec: ArchSpec) -> Belief:
        """The outcome of a network."""
        return self._recall("outcome", spec, self.problem.evaluate)

    def prior(self, specs: Sequence[ArchSpec]) -> list[Belief]:
        """What is believed of networks."""
        return [self._recall("belief", s, lambda spec: self.problem.prior([spec])[0]) for s in specs]

    def _recall(self, what: str, spec: ArchSpec, make: Callable[[ArchSpec], Belief]) -> Belief:
        key = (what, spec.arch_id)
        if key in self._known:
            belief, seconds = self._known[key]
            self.charged += seconds
            return belief
        start = time.process_time()
        belief = make(spec)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = belief, time.process_time() - start
        return belief


def race(
    problem: Problem, contender: str, variant: Variant, seed: int, trials: int, ledger: Ledger, step: int = STEP
) -> list[Row]:
    """Run one engine for so many trials.

    Args:
        problem: the problem.
        contender: name of the engine.
        variant: see `VARIANTS`.
        seed: of the engine.
        trials: evaluations that count. An engine whose proposals the screen rejects gets up to `patience_of` proposals per
            trial in all; if these are used up, it stays where it is.
        ledger: of this problem, shared between races.
        step: trials between two rows.

    Returns:
        A row every `step` trials and at the end.
    """
    return _Race(problem, contender, variant, seed, ledger).run(trials, step)


class _Race:
    def __init__(self, problem: Problem, contender: str, variant: Variant, seed: int, ledger: Ledger) -> None:
        self.problem = problem
        self.names = (problem.name, contender, variant, seed)
        self.ledger = ledger
        ledger.charged = 0.0
        self.start = time.process_time()
        self.engine = make(contender, problem, seed, ledger.prior)
        self.is_screened = variant != "as-is"
        if variant == "started":
            published = problem.space.published_points().values()
            self.engine.start_from([p for p in published if problem.excess(problem.space.decode(p)) <= 0])
        self.screen = Screen(problem.directions, patience_of(contender))
        self.feasible: list[Values] = []
        self.front: list[Values] = []
        self.measuring = self.volume = 0.0
        self.trials = self.proposals = self.duplicates = self.infeasible = 0

    def run(self, trials: int, step: int) -> list[Row]:
        rows: list[Row] = []
        while self.trials < trials and self.proposals < self.screen.patience * trials:
            try:
                point = self.engine.ask()
            except StopIteration:
                break
            self.proposals += 1
            if self._evaluated(self.problem.space.decode(point)) and (self.trials % step == 0 or self.trials == trials):
                rows.append(self._row(self.trials))
        marks = [*range(step, trials, step), trials]
        return rows + [self._row(m) for m in marks if m > self.trials]

    def _evaluated(self, spec: ArchSpec) -> bool:
        """Screen or evaluate a proposal; whether it cost a trial."""
        if self.is_screened:
            excess = self.problem.excess(spec)
            settled = excess > 0 or self.screen.knows(spec)
            belief = None if settled else self.ledger.prior([spec])[0]
            if reason := self.screen.reason(spec, excess, belief):
                self.engine.reject(reason, max(excess, belief.constraint if belief else excess))
                return False
        outcome = self.ledger.evaluate(spec)
        constraint = self.problem.constraint(spec, outcome)
        self.engine.tell(outcome.values, constraint)
        self.trials += 1
        self.duplicates += self.screen.knows(spec)
        self.infeasible += constraint > 0
        # As is, only the names are kept, to count duplicates: an engine does not pay for a screen that it does not use.
        self.screen.add(spec, outcome.values, constraint <= 0 and self.is_screened)
        if constraint <= 0:
            self.feasible.append(outcome.values)
        return True

    def _row(self, trials: int) -> Row:
        seconds = time.process_time() - self.start - self.measuring + self.ledger.charged
        start = time.process_time()
        for values in self.feasible:
            insert(self.front, gains(values, self.problem.directions, self.problem.reference))
        self.feasible.clear()
        self.volume = hypervolume(self.front)
        self.measuring += time.process_time() - start
        return Row(*self.names, trials, seconds, self.volume, self.proposals, self.duplicates, self.infeasible)
