"""From the explored trials to the verified front and the winner."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from mvsearch.accuracy import explain_top1, tiers
from mvsearch.search.doubt import Doubt, front_doubt, to_repeat
from mvsearch.search.executor import Executor
from mvsearch.search.explore import Listener, Silent, front_of
from mvsearch.search.goals import Goals
from mvsearch.search.law import Figures, sigma
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import Bench, MeasureFailure, Outcome, from_packages, job_of, with_failure, with_records
from mvsearch.search.packages import Packages
from mvsearch.search.pareto import spread
from mvsearch.search.repeats import MAX_MEASUREMENTS, between_sessions
from mvsearch.search.store import Store
from mvsearch.spec.record import RUNGS, Evaluation, Failure, Trial
from mvsearch.spec.run import FrontMember, RunnerUp
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

    What the store and the run's folder hold from a run before is not done again. Networks whose place on the front, or
    as the winner, is in doubt for the noise of their measurements are measured again; those clear of doubt are not.

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
        most: measurements of one network, the first one included, in this run of the program and those before.
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
    most: int = MAX_MEASUREMENTS
    listener: Listener = field(default_factory=Silent)

    def run(self, trials: Sequence[Trial]) -> Verified:
        """Verify the front of these trials; a failed member is struck off and the next takes its place.

        A measured latency may move the front too; what comes onto it is verified and measured in turn. It ends because
        no network is verified more than once, or measured more than `most` times.

        Args:
            trials: all finished trials.
        """
        asked: dict[str, Outcome | None] = {}
        repeats = Counter[str]()
        lost: list[MeasureFailure] = []
        self._settle()  # A run that was killed may have written a record, and no more.
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
            if todo or len(asked) > before:
                continue
            if not (self.bench and self._repeat(self.bench, trials, repeats, lost)):
                return replace(front_now, notes=(*self._notes(asked), *self._repeat_notes(repeats, lost)))

    def measure(self, trials: Sequence[Trial]) -> None:
        """Have these verified and measured wherever they stand, but for what was.

        Args:
            trials: finished ones.
        """
        known = self.store.verified()
        latest = [t for t in (_latest(t, known) for t in trials) if not t.evaluation.failure]
        convert = self.convert and from_packages(self.target)
        asked: dict[str, Outcome | None] = {}
        todo = [t for t in latest if self._missing(t, convert)]
        if todo:
            self._verify(todo, {t.number for t in todo} if convert else set(), 0, asked)
        for trial in latest:
            if trial not in todo:
                self._offer(trial.evaluation, asked)
        if self.bench and any(outcome is None for outcome in asked.values()):
            self._measure(self.bench, asked)

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
        sessions = self._sessions()
        if records := sessions.get(arch_id):
            asked[arch_id] = records[-1]
            self.store.set_verified(with_records(evaluation, records, between_sessions(sessions)))
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
                sessions = self._sessions()
                self.store.set_verified(with_records(evaluation, sessions[arch_id], between_sessions(sessions)))
                text = f"{outcome.value_ms:.2f} ms"
            else:
                self.store.set_verified(with_failure(evaluation, outcome, self.target.name))
                text = f"{outcome.kind}: {outcome.message}"
            self.listener.progress(done, max(done, waiting), text)

    def _sessions(self) -> dict[str, list[LatencyRecord]]:
        return self.records.sessions(self.goals.resolution, self.target.spec.key)

    def _repeat(self, bench: Bench, trials: Sequence[Trial], repeats: Counter[str], lost: list[MeasureFailure]) -> bool:
        """Measure once more who is in doubt for the noise; whether there was anybody."""
        sessions = self._sessions()
        waiting = 0
        for evaluation in in_doubt(trials, self.goals, self.store):
            arch_id = evaluation.arch_id
            if max(len(sessions.get(arch_id, ())), 1 + repeats[arch_id]) >= self.most:
                continue
            if job := job_of(evaluation, self.target, self.packages):
                repeats[arch_id] += 1
                waiting += 1
                bench.offer(replace(job, repeat=repeats[arch_id]))
        if not waiting:
            return False
        self.listener.stage(f"measuring {waiting} networks again on `{self.target.name}`: noise leaves their place in doubt")
        heard = 0
        for heard, (job, outcome) in enumerate(bench.results(), start=1):
            if isinstance(outcome, LatencyRecord):
                self.records.append(outcome)
                text = f"{outcome.value_ms:.2f} ms"
            else:
                # What was measured before stands: only the repeat did not come about.
                lost.append(outcome)
                repeats[job.evaluation.arch_id] = self.most
                text = f"{outcome.kind}: {outcome.message}"
            self.listener.progress(heard, max(heard, waiting), text)
        self._settle()
        return heard > 0

    def _settle(self) -> None:
        """Every measured latency anew from all of its records: what repeats say of the noise holds for all networks."""
        sessions = self._sessions()
        between = between_sessions(sessions)
        for arch_id, e in self.store.verified().items():
            if arch_id in sessions and not e.failure and e.measurements["latency"].kind == "measured":
                settled = replace(with_records(e, sessions[arch_id], between), rung=e.rung)
                if settled != e:
                    self.store.set_verified(settled)

    def _repeat_notes(self, repeats: Counter[str], lost: Sequence[MeasureFailure]) -> tuple[str, ...]:
        sessions = self._sessions()
        again = sum(len(r) > 1 for r in sessions.values())
        notes = []
        if again:
            count = sum(len(r) - 1 for r in sessions.values())
            notes.append(
                f"{again} of {len(sessions)} measured networks were measured again, {count} times in all, as the noise left "
                f"their place in doubt; sessions differ by {100 * between_sessions(sessions):.1f} % (standard deviation)"
            )
        if lost:
            notes.append(f"{len(lost)} repeats failed, and what was measured before stands; the first: {lost[0].message}")
        return tuple(notes)

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


def in_doubt(trials: Sequence[Trial], goals: Goals, store: Store) -> list[Evaluation]:
    """Measured networks whose place on the front, or as the winner, is in doubt for their measurements' noise alone."""
    known = store.verified()
    ratio = _measured_over_predicted(trials, known)
    latest = [_latest(t, known) for t in trials if t.feasible]
    usable = [t for t in latest if not t.evaluation.failure and goals.shortfall(t.evaluation) <= 0]
    compared = [_comparable(t, ratio, goals) for t in usable]
    # Whether a measured latency keeps the budget is part of the doubt.
    kept = [
        (t, c.evaluation.measurements["latency"])
        for t, c in zip(usable, compared, strict=True)
        if c.feasible or c.evaluation.measurements["latency"].kind == "measured"
    ]
    tie = {t.number for t in _tie(members, goals)} if (members := still_on_front(usable, ratio, goals)) else set()
    doubtful = to_repeat(
        gains=[goals.lower_top1(t.evaluation) for t, _ in kept],
        log_ms=[math.log(m.value) for _, m in kept],
        sigmas=[sigma(m) if m.kind == "measured" else 0.0 for _, m in kept],
        log_limit=math.log(_latency_limit(goals)),
        tie=[i for i, (t, _) in enumerate(kept) if t.number in tie],
    )
    return [kept[i][0].evaluation for i in doubtful]


def _latency_limit(goals: Goals) -> float:
    return min((b.limit for b in goals.budgets if not b.is_counted), default=math.inf)


class Sureness(NamedTuple):
    """How sure a run's front and its winner are.

    Attributes:
        on_front: probability of each member, by trial, to be on the true front.
        winner: trial that the runner-up is compared with; None for an empty front.
        runner_up: who would win without the winner; None where nobody else could.
    """

    on_front: dict[int, float]
    winner: int | None
    runner_up: RunnerUp | None

    def of_winner(self) -> dict[str, Any]:
        """What a record of the run says of the winner: probabilities to three digits, as draws give them."""
        if self.winner is None:
            return {}
        said: dict[str, Any] = {"probability_on_front": round(self.on_front[self.winner], 3)}
        if self.runner_up:
            said["runner_up"] = self.runner_up.arch_id
            said["probability_runner_up_better"] = round(self.runner_up.probability_better, 3)
        return said


def sureness(trials: Sequence[Trial], verified: Verified, goals: Goals, store: Store, winner: str | None = None) -> Sureness:
    """How sure a verified front is, see `search.doubt`.

    Args:
        trials: all finished trials.
        verified: the front.
        goals: of the run.
        store: holds what is known of the trials off the front that were verified.
        winner: `arch_id` of the member that the runner-up is compared with; the one that would win by default.
    """
    members = verified.members
    if not members:
        return Sureness({}, None, None)
    known = store.verified()
    ratio = verified.measured_over_predicted
    predicted = {t.number: t.evaluation.measurements.get("latency") for t in trials}
    numbers = {t.number for t in members}
    others = [_comparable(_latest(t, known), ratio, goals) for t in trials if t.feasible and t.number not in numbers]

    def figures(trial: Trial) -> Figures:
        e = trial.evaluation
        return Figures(e.spec, e.resolution, e.measurements["top1"], e.measurements["latency"], predicted.get(trial.number))

    first = next((t for t in members if t.evaluation.arch_id == winner), None) or choose(members, goals)
    rest = [t for t in members if t is not first]
    second = choose(rest, goals) if rest else None
    found: Doubt = front_doubt(
        [figures(_comparable(t, ratio, goals)) for t in members],
        [figures(t) for t in others if t.feasible and not t.evaluation.failure],
        _latency_limit(goals),
        members.index(first),
        members.index(second) if second else None,
    )
    runner_up = None
    if second and found.runner_up_better is not None:
        runner_up = RunnerUp(second.evaluation.arch_id, found.runner_up_better)
    on_front = {t.number: p for t, p in zip(members, found.on_front, strict=True)}
    return Sureness(on_front, first.number, runner_up)


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


def front_members(
    members: Sequence[Trial], goals: Goals, on_front: Mapping[int, float] | None = None
) -> tuple[FrontMember, ...]:
    """The front as the report shows it.

    Args:
        members: of the front.
        goals: of the run.
        on_front: probabilities by trial, of `sureness`.
    """
    tie = {t.number for t in _tie(members, goals)}
    return tuple(
        FrontMember(
            trial=t.number,
            evaluation=t.evaluation,
            lower_top1=goals.lower_top1(t.evaluation),
            tied=t.number in tie,
            probability_in_budget=goals.probability_in_budget(t.evaluation),
            nearest=explain_top1(t.evaluation.spec, goals.resolution).nearest,
            probability_on_front=(on_front or {}).get(t.number),
        )
        for t in members
    )
