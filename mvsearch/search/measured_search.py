"""Searching by measured latencies: after the front was measured, the sampler goes on with what that said.

What is estimated is the prior, what was measured corrects it: networks are proposed that should add most to the front of
(lower bound of top-1, measured latency), a few at a time, built, converted and measured. Hundreds of measurements are what
this is for; a few say little that the front's own did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mvsearch.search.belief import Belief
from mvsearch.search.estimate import estimate, expect
from mvsearch.search.explore import Listener, Silent
from mvsearch.search.final import FrontVerifier
from mvsearch.search.goals import Goals
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.proposer import Proposer
from mvsearch.search.store import Store
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.space import SearchSpace
from mvsearch.targets import Target

BATCH = 8
"""Networks that are proposed before any of them is measured."""
ORIGIN = "measured search"
_TAKEN = "measured_search"


@dataclass
class MeasuredSearch:
    """Measures networks beyond the front, each where the last ones say that it pays.

    Attributes:
        space: where candidates come from.
        goals: objectives and budgets.
        target: the device.
        store: of the run; what was measured before a run was killed is not measured again.
        verifier: builds, converts and measures.
        seed: of the proposals.
        is_over: whether the time is up.
        listener: hears of the progress.
    """

    space: SearchSpace
    goals: Goals
    target: Target
    store: Store
    verifier: FrontVerifier
    seed: int
    is_over: Callable[[], bool] = lambda: False
    listener: Listener = field(default_factory=Silent)

    def run(self, trials: Sequence[Trial], wanted: int) -> list[Trial]:
        """Have up to `wanted` networks measured, those of a resumed run counted in.

        Args:
            trials: all finished trials; the front among them has been measured.
            wanted: how many.

        Returns:
            All trials, with those that are new.
        """
        found = list(trials)
        taken: list[str] = self.store.meta(_TAKEN) or []
        # What a run took and did not come to measure before it was killed.
        self.verifier.measure([t for t in found if t.evaluation.arch_id in taken])
        while len(taken) < wanted and not self.is_over():
            proposed = self._propose(found, min(BATCH, wanted - len(taken)), len(taken))
            if not proposed:
                self.listener.stage(f"no network is left that is worth a measurement, after {len(taken)} beyond the front")
                break
            new = [t for t in proposed if t.number >= len(found)]
            for trial in new:
                self.store.add(trial)
            found += new
            taken += [t.evaluation.arch_id for t in proposed]
            self.store.set_meta(_TAKEN, taken)
            self.listener.stage(f"searching by measured latencies: {len(taken)} of {wanted} networks beyond the front")
            self.verifier.measure(proposed)
        return found

    def _propose(self, trials: Sequence[Trial], size: int, number: int) -> list[Trial]:
        """What to measure next: trials that are known, or new ones."""
        knowledge = Knowledge()
        by_id = {t.evaluation.arch_id: t for t in trials}
        known = []
        for arch_id, evaluation in self.store.verified().items():
            if arch_id not in by_id:
                continue
            measured = evaluation.measurements["latency"].kind == "measured"
            if evaluation.failure or measured:
                losses = None if evaluation.failure else self._values(evaluation)
                known.append(Known(by_id[arch_id].point, arch_id, losses, self.goals.constraint(evaluation)))
        known += [Known(t.point, t.evaluation.arch_id, None) for t in trials if t.evaluation.failure]
        knowledge.add(known)
        if not any(k.losses for k in known):
            return []
        proposer = Proposer(self.space, self.goals.excess, self._beliefs, self.seed)
        proposals = proposer.generation(knowledge, number + 1, size).proposals[:size]
        generation = max(t.generation for t in trials) + 1
        proposed: list[Trial] = []
        for p in proposals:
            if p.spec.arch_id in by_id:
                proposed.append(by_id[p.spec.arch_id])
                continue
            evaluation = estimate(p.spec, self.goals.resolution, self.target, self.goals.estimator)
            feasible = evaluation.failure is None and self.goals.violation(evaluation) <= 0
            new = sum(t.number >= len(trials) for t in proposed)
            proposed.append(Trial(len(trials) + new, dict(p.point), evaluation, feasible, ORIGIN, generation))
        return proposed

    def _values(self, evaluation: Evaluation) -> tuple[float, float]:
        """As losses; latencies by their logarithm, since what is wrong about them is a factor."""
        gain, ms = self.goals.objectives(evaluation)
        return -gain, math.log(ms)

    def _beliefs(self, specs: Sequence[ArchSpec]) -> list[Belief | None]:
        estimates = [expect(s, self.goals.resolution, self.target, self.goals.estimator) for s in specs]
        return [None if e.failure else Belief(self._values(e), self.goals.constraint(e)) for e in estimates]
