"""Slimming by measured latencies: the moves that are best by estimate are measured, and the one best by measurement is taken.

A path from the largest network takes hundreds of moves, and a measurement takes minutes. So the moves that matter most are
measured: those at the end of the path, about the budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mvsearch.search.estimate import estimate
from mvsearch.search.explore import Listener, Silent
from mvsearch.search.final import FrontVerifier
from mvsearch.search.goals import Goals
from mvsearch.search.slimming.criterion import CRITERIA, Standing, limits_of, standing_of, violated, weigh
from mvsearch.search.slimming.record import PathRecord, read_paths, write_path
from mvsearch.search.slimming.slimmer import Assess, Option, Slimmer, by_estimate
from mvsearch.search.store import Store
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Trial
from mvsearch.spec.run import SLIM_CRITERIA
from mvsearch.spec.space import SearchSpace
from mvsearch.targets import Target

TOP = 3
"""Moves of a step that are measured."""
ORIGIN = "measured slimming"
_TAKEN = "measured_slimming"


@dataclass
class MeasuredSlimming:
    """Goes the end of the first path again by measured latencies.

    It starts as many steps before the first network within the budgets as the measurements suffice for; where no budget is on
    latency, at that network, from where milliseconds lead. Of each step the `TOP` moves that are best by estimate, with
    predictions scaled by what the network at hand was measured to take, are built, converted and measured. What was measured
    is a trial, also where the path does not go there.

    Attributes:
        space: any.
        goals: of the run.
        target: the device.
        store: of the run; what was measured before a run was killed is not measured again.
        verifier: builds, converts and measures.
        criterion: one of `spec.run.SLIM_CRITERIA`.
        is_over: whether the time is up.
        listener: hears of the progress.
    """

    space: SearchSpace
    goals: Goals
    target: Target
    store: Store
    verifier: FrontVerifier
    criterion: str = SLIM_CRITERIA[0]
    is_over: Callable[[], bool] = lambda: False
    listener: Listener = field(default_factory=Silent)
    _trials: list[Trial] = field(default_factory=list)

    def run(self, trials: Sequence[Trial], wanted: int) -> list[Trial]:
        """Have up to `wanted` networks measured, those of a resumed run counted in.

        Args:
            trials: all finished trials.
            wanted: how many.

        Returns:
            All trials, with those that are new.
        """
        self._trials = list(trials)
        paths = read_paths(self.store)
        place = next((i for i, p in enumerate(paths) if p.measured), len(paths))
        path = paths[place] if place < len(paths) else self._begun(paths, wanted)
        if path is None:
            self.listener.stage("no slimming path has met the budget, and none is measured")
            return self._trials
        taken: list[str] = self.store.meta(_TAKEN) or []
        without: set[str] = set()
        self._measure(path.trials[-1:], taken)
        while not self.is_over():
            here = self._measured(path.trials[-1])
            if here is None:
                self.listener.stage("slimming by measurement ended: the network that it had come to could not be measured")
                break
            options = self._options(path, here, without)[:TOP]
            new = [o for o in options if self._is_new(o, taken)]
            dear = {o.spec.arch_id for o in new[max(0, wanted - len(taken)) :]}
            options = [o for o in options if o.spec.arch_id not in dear]
            if not options:
                if not dear:
                    self.listener.stage(
                        f"slimming by measurement ended after {len(taken)} networks: no move is left that saves"
                    )
                break
            numbers = [self._number(o) for o in options]
            self.listener.stage(f"slimming by measured latencies: {len(taken)} of {wanted} networks, step {len(path.trials)}")
            self._measure(numbers, taken)
            best = self._best(path, here, numbers)
            if best is None:  # None of them saves anything in truth.
                without |= {o.spec.arch_id for o in options}
                continue
            without = set()
            path = replace(path, trials=(*path.trials, best))
            write_path(self.store, place, path)
        return self._trials

    def _begun(self, paths: Sequence[PathRecord], wanted: int) -> PathRecord | None:
        """A path that goes along the first one up to where measuring starts; None if that met no budget."""
        if not paths:
            return None
        first, budgets = paths[0].passed(self._trials).trials, limits_of(self.goals)
        met = next(
            (i for i, n in enumerate(first) if not violated(standing_of(self._trials[n].evaluation, self.goals), budgets)), None
        )
        if met is None:
            return None
        back = wanted // TOP if "latency" in budgets else 0
        return PathRecord(1.0, None, first[: max(0, met - back) + 1], measured=True)

    def _measure(self, numbers: Sequence[int], taken: list[str]) -> None:
        """Have these measured, and count those that nobody had asked for before."""
        trials = [self._trials[n] for n in numbers]
        known = self.store.verified()
        for t in trials:
            arch_id, e = t.evaluation.arch_id, known.get(t.evaluation.arch_id, t.evaluation)
            if arch_id not in taken and e.measurements["latency"].kind != "measured":
                taken.append(arch_id)
        self.store.set_meta(_TAKEN, taken)
        self.verifier.measure(trials)

    def _is_new(self, option: Option, taken: Sequence[str]) -> bool:
        """Whether measuring the network would count."""
        arch_id = option.spec.arch_id
        e = self.store.verified().get(arch_id)
        return arch_id not in taken and (e is None or (not e.failure and e.measurements["latency"].kind != "measured"))

    def _measured(self, number: int) -> Standing | None:
        """How a network stands as measured; None if it failed or was not measured."""
        e = self.store.verified().get(self._trials[number].evaluation.arch_id)
        if e is None or e.failure or e.measurements["latency"].kind != "measured":
            return None
        return standing_of(e, self.goals)

    def _options(self, path: PathRecord, here: Standing, without: set[str]) -> Sequence[Option]:
        """Moves by estimate, latencies scaled so that the network at hand stands as it was measured."""
        plain, point = by_estimate(self.goals, self.target), self._trials[path.trials[-1]].point
        (believed,) = plain([self.space.decode(point)])
        assert believed is not None  # It was estimated before it was measured.
        ms, bound = here.ms / believed.ms, here.amounts["latency"] / believed.amounts["latency"]

        def scaled(specs: Sequence[ArchSpec]) -> list[Standing | None]:
            return [
                s and replace(s, ms=s.ms * ms, amounts={**s.amounts, "latency": s.amounts["latency"] * bound})
                for s in plain(specs)
            ]

        assess: Assess = scaled
        failed = {e.arch_id for e in self.store.verified().values() if e.failure}
        slimmer = Slimmer(self.space, self.goals.resolution, assess, self.criterion, self.goals.floor)
        return slimmer.look(point, path.limits(self.goals), without | failed).options

    def _number(self, option: Option) -> int:
        """The trial of a network; a new one if it has none."""
        arch_id = option.spec.arch_id
        known = next((t.number for t in self._trials if t.evaluation.arch_id == arch_id), None)
        if known is not None:
            return known
        evaluation = estimate(option.spec, self.goals.resolution, self.target, self.goals.estimator)
        feasible = evaluation.failure is None and self.goals.keeps_budgets(evaluation)
        number = len(self._trials)
        generation = max((t.generation for t in self._trials), default=-1) + 1
        self._trials.append(Trial(number, option.point, evaluation, feasible, ORIGIN, generation))
        self.store.add(self._trials[-1])
        return number

    def _best(self, path: PathRecord, here: Standing, numbers: Sequence[int]) -> int | None:
        """The move that is best as measured; None if none saves anything."""
        limits, best = path.limits(self.goals), None
        least = (True, math.inf, 0.0)
        for number in numbers:
            after = self._measured(number)
            weighed = after and weigh(here, after, limits, CRITERIA[self.criterion])
            if weighed and weighed.rank < least:
                best, least = number, weighed.rank
        return best
