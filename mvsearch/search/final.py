"""From the explored trials to the verified front and the winner."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mvsearch.accuracy import explain_top1, tiers
from mvsearch.search.executor import Executor
from mvsearch.search.explore import Listener, Silent, front_of
from mvsearch.search.goals import Goals
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import Bench, MeasureFailure, Outcome, job_of, with_failure, with_record
from mvsearch.search.packages import Packages
from mvsearch.search.pareto import spread
from mvsearch.search.store import Store
from mvsearch.spec.record import RUNGS, Evaluation, Failure, Trial
from mvsearch.spec.run import FrontMember
from mvsearch.targets import LatencyRecord, Target

NUM_CONVERTED = 16
"""The winner and up to 15 others along the front are converted to Core ML too."""
MAX_MEMBERS = 40
"""A longer front is thinned evenly before its members are built; what is left out stays in `trials.csv`."""


@dataclass(frozen=True, slots=True)
class VerifyTask:
    """One front member for a worker: build, count, run; convert where that is asked for.

    Attributes:
        evaluation: what is known of it.
        target: that its latency is for; decides how it is converted.
        convert: whether it is converted to Core ML as well.
        seed: of its initial weights.
    """

    evaluation: Evaluation
    target: Target
    convert: bool
    seed: int


@dataclass(frozen=True, slots=True)
class VerifiedMember:
    """What a worker made of a front member.

    Attributes:
        evaluation: at the rung that it reached.
        package: its Core ML package, see `pack`; None if it was not to be converted.
    """

    evaluation: Evaluation
    package: bytes | None = None


Verify = Callable[[VerifyTask], VerifiedMember]


@dataclass(frozen=True, slots=True)
class Verified:
    """A front whose members were built, counted and run.

    Attributes:
        members: trials with their evaluations of the highest rung, fastest first.
        struck: members that failed, with the reason.
        notes: what did not come about, in sentences.
        measured_over_predicted: median ratio of the two for the networks that were measured; 1 if none was.
    """

    members: tuple[Trial, ...]
    struck: tuple[Evaluation, ...]
    notes: tuple[str, ...] = ()
    measured_over_predicted: float = 1.0


@dataclass
class FrontVerifier:
    """Has the members of a front built, counted, run, some of them converted, and measured where somebody can.

    What the store and the run's folder hold from a run before is not done again.

    Attributes:
        goals: objectives and budgets.
        store: where records of higher rungs are kept.
        executor: the workers.
        verify: the task that they run.
        target: the device.
        seed: of the initial weights.
        packages: where converted members are kept.
        records: every measurement that arrives.
        bench: who measures; None if nobody does.
        convert: whether some members are converted.
        listener: hears of the progress.
    """

    goals: Goals
    store: Store
    executor: Executor
    verify: Verify
    target: Target
    seed: int
    packages: Packages
    records: MeasurementFile
    bench: Bench | None = None
    convert: bool = True
    listener: Listener = field(default_factory=Silent)

    def run(self, trials: Sequence[Trial]) -> Verified:
        """Verify the front of these trials; a failed member is struck off and the next takes its place.

        A measured latency may move the front too; what comes onto it is verified and measured in turn. It ends because
        no network is verified, or offered to be measured, more than once.

        Args:
            trials: all finished trials.
        """
        asked: dict[str, Outcome | None] = {}
        while True:
            front_now = verified_so_far(trials, self.goals, self.store)
            converted = {t.number for t in to_convert(front_now.members, self.goals)} if self.convert else set()
            todo = [t for t in front_now.members if self._missing(t, t.number in converted)]
            before = len(asked)
            if todo:
                self._verify(todo, converted, len(front_now.struck), asked)
            for trial in front_now.members:
                if not self._missing(trial, convert=False):
                    self._offer(self.store.verified()[trial.evaluation.arch_id], asked)
            if self.bench and len(asked) > before:
                self._measure(self.bench, asked)
            if not todo and len(asked) == before:
                return replace(front_now, notes=self._notes(asked))

    def _missing(self, trial: Trial, convert: bool) -> bool:
        e = trial.evaluation
        return RUNGS.index(e.rung) < RUNGS.index("built") or (convert and not self.packages.has(e.arch_id))

    def _verify(self, todo: Sequence[Trial], converted: set[int], struck: int, asked: dict[str, Outcome | None]) -> None:
        steps = "build, count, run" + (", convert" if converted else "")
        self.listener.stage(f"verifying {len(todo)} members of the front: {steps}")
        tasks = [VerifyTask(t.evaluation, self.target, t.number in converted, self.seed) for t in todo]
        for done, (index, result) in enumerate(self.executor.map(self.verify, tasks), start=1):
            if isinstance(result, Failure):
                evaluation = replace(todo[index].evaluation, failure=result)
            else:
                evaluation = result.evaluation
                if result.package is not None:  # Before the store says so: a run that is killed in between converts again.
                    self.packages.write(evaluation.arch_id, result.package)
            self.store.set_verified(evaluation)
            struck += evaluation.failure is not None
            self._offer(evaluation, asked)
            self.listener.progress(done, len(todo), f"{struck} struck off")

    def _offer(self, evaluation: Evaluation, asked: dict[str, Outcome | None]) -> None:
        """Have a member measured, unless that was done, in this run of the program or before."""
        arch_id = evaluation.arch_id
        if evaluation.failure or evaluation.measurements["latency"].kind == "measured" or arch_id in asked:
            return
        if record := self.records.newest(arch_id, evaluation.resolution, self.target.spec.key):
            asked[arch_id] = record
            self.store.set_verified(with_record(evaluation, record))
        elif self.bench and (job := job_of(evaluation, self.target, self.packages)):
            asked[arch_id] = None
            self.bench.offer(job)

    def _measure(self, bench: Bench, asked: dict[str, Outcome | None]) -> None:
        waiting = sum(outcome is None for outcome in asked.values())
        self.listener.stage(f"measuring {waiting} members of the front on `{self.target.name}`")
        for done, (job, outcome) in enumerate(bench.results(), start=1):
            arch_id = job.evaluation.arch_id
            asked[arch_id] = outcome
            # As it stands by now: it may have been converted while this was under way.
            evaluation = self.store.verified().get(arch_id, job.evaluation)
            if isinstance(outcome, LatencyRecord):
                self.records.append(outcome)
                self.store.set_verified(with_record(evaluation, outcome))
                text = f"{outcome.value_ms:.2f} ms"
            else:
                self.store.set_verified(with_failure(evaluation, outcome, self.target.name))
                text = f"{outcome.kind}: {outcome.message}"
            self.listener.progress(done, max(done, waiting), text)

    def _notes(self, asked: Mapping[str, Outcome | None]) -> tuple[str, ...]:
        """How the measuring went, where not all of it went well."""
        missing = {arch_id: o for arch_id, o in asked.items() if not isinstance(o, LatencyRecord)}
        if not missing:
            return ()
        kinds = Counter(o.kind if o else "no answer" for o in missing.values())
        reasons = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        first = next((o for o in missing.values() if isinstance(o, MeasureFailure)), None)
        said = f"; the first: {first.message}" if first else ""
        struck = " (`load` strikes a network off)" if "load" in kinds else ""
        return (
            f"of {len(asked)} networks that were to be measured on `{self.target.name}`, {len(missing)} were not "
            f"({reasons}{said}); they keep their predictions{struck}: {', '.join(f'`{a}`' for a in missing)}",
        )


def verified_so_far(trials: Sequence[Trial], goals: Goals, store: Store) -> Verified:
    """The front by what the store holds, verified or not yet.

    Where some latencies are measured and others predicted, predictions are compared with them as if scaled by the
    median ratio of the two: a device that is slower throughout says nothing about the networks that it has not run yet.
    What is shown, and what is stored, is the prediction itself. A measured latency has to keep the budget as well.
    """
    known = store.verified()
    ratio = _measured_over_predicted(trials, known)
    latest = {t.number: _latest(t, known) for t in trials}
    members = still_on_front(list(latest.values()), ratio, goals)
    struck = tuple(e for e in known.values() if e.failure)
    return Verified(tuple(members[i] for i in _thin(members, goals)), struck, measured_over_predicted=ratio)


def still_on_front(trials: Sequence[Trial], ratio: float, goals: Goals) -> list[Trial]:
    """The non-dominated of these, fastest first, predicted latencies compared as if scaled by `ratio`."""
    by_number = {t.number: t for t in trials}
    compared = trials if ratio == 1 else [_comparable(t, ratio, goals) for t in trials]
    front = [by_number[t.number] for t in front_of(compared, goals)]
    return sorted(front, key=lambda t: t.evaluation.measurements["latency"].value)


def _latest(trial: Trial, known: Mapping[str, Evaluation]) -> Trial:
    evaluation = known.get(trial.evaluation.arch_id)
    return replace(trial, evaluation=evaluation) if evaluation else trial


def _measured_over_predicted(trials: Sequence[Trial], known: Mapping[str, Evaluation]) -> float:
    """Median ratio of measured to predicted latency; 1 where nothing is measured."""
    ratios = [
        math.log(e.measurements["latency"].value / t.evaluation.measurements["latency"].value)
        for t in trials
        if (e := known.get(t.evaluation.arch_id)) and e.measurements["latency"].kind == "measured"
    ]
    return math.exp(statistics.median(ratios)) if ratios else 1.0


def _comparable(trial: Trial, ratio: float, goals: Goals) -> Trial:
    e = trial.evaluation
    if "latency" not in e.measurements:
        return trial
    latency = e.measurements["latency"]
    if latency.kind != "measured":
        low, high = (None if end is None else end * ratio for end in (latency.low, latency.high))
        latency = replace(latency, value=latency.value * ratio, low=low, high=high)
    evaluation = replace(e, measurements={**e.measurements, "latency": latency})
    return replace(trial, evaluation=evaluation, feasible=trial.feasible and goals.violation(evaluation) <= 0)


def _thin(members: Sequence[Trial], goals: Goals) -> list[int]:
    """Which members to keep when there are many: evenly along the front, and the one that would win."""
    kept = set(spread(len(members), MAX_MEMBERS))
    if members:
        kept.add(members.index(choose(members, goals)))
    return sorted(kept)


def to_convert(members: Sequence[Trial], goals: Goals) -> list[Trial]:
    """The members that are converted to Core ML: the one that would win first, then others along the front."""
    if not members:
        return []
    first = choose(members, goals)
    others = [t for t in members if t is not first]
    return [first, *(others[i] for i in spread(len(others), NUM_CONVERTED - 1))]


def choose(members: Sequence[Trial], goals: Goals) -> Trial:
    """The winner: the best lower bound of top-1 or, among those that cannot be told apart from it, the fastest.

    Among these a measured latency goes before a predicted one: the two are not compared.
    """

    def latency(trial: Trial) -> tuple[bool, float]:
        m = trial.evaluation.measurements["latency"]
        return m.kind != "measured", m.value

    return min(_tie(members, goals), key=latency)


def _tie(members: Sequence[Trial], goals: Goals) -> list[Trial]:
    """The member with the best lower bound, and those that cannot be told apart from it."""
    tier = tiers([t.evaluation.measurements["top1"] for t in members], goals.confidence)
    return [t for t, number in zip(members, tier, strict=True) if number == 0]


def front_members(members: Sequence[Trial], goals: Goals) -> tuple[FrontMember, ...]:
    """The front as the report shows it."""
    tie = {t.number for t in _tie(members, goals)}
    return tuple(
        FrontMember(
            trial=t.number,
            evaluation=t.evaluation,
            lower_top1=goals.lower_top1(t.evaluation),
            tied=t.number in tie,
            probability_in_budget=goals.probability_in_budget(t.evaluation),
            nearest=explain_top1(t.evaluation.spec, goals.resolution).nearest,
        )
        for t in members
    )
