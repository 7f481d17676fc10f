"""From the explored trials to the verified front and the winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mvsearch.accuracy import explain_top1, tied
from mvsearch.search.executor import Executor
from mvsearch.search.explore import Listener, front_of
from mvsearch.search.goals import Goals
from mvsearch.search.pareto import spread
from mvsearch.search.store import Store
from mvsearch.spec.record import RUNGS, Evaluation, Failure, Trial
from mvsearch.spec.run import FrontMember
from mvsearch.targets import Target

NUM_CONVERTED = 16
"""The winner and up to 15 others along the front are converted to Core ML too."""
MAX_MEMBERS = 40
"""A longer front is thinned evenly before its members are built; what is left out stays in `trials.csv`."""


@dataclass(frozen=True, slots=True)
class VerifyTask:
    """One front member for a worker: build, count, run; convert and measure where that is asked for.

    Attributes:
        evaluation: what is known of it.
        target: measures its latency, if it can be measured here.
        convert: whether it is converted for the target's runtime as well.
        seed: of its initial weights.
    """

    evaluation: Evaluation
    target: Target
    convert: bool
    seed: int


Verify = Callable[[VerifyTask], Evaluation]


@dataclass(frozen=True, slots=True)
class Verified:
    """A front whose members were built, counted and run.

    Attributes:
        members: trials with their evaluations of the highest rung, fastest first.
        struck: members that failed, with the reason.
    """

    members: tuple[Trial, ...]
    struck: tuple[Evaluation, ...]


def verify_front(
    trials: Sequence[Trial],
    goals: Goals,
    store: Store,
    executor: Executor,
    verify: Verify,
    target: Target,
    seed: int,
    listener: Listener,
    convert: bool = True,
) -> Verified:
    """Have the workers build, count and run every member of the front; a failed one is struck off and the next takes its place.

    What the store holds from a run before is not done again.

    Args:
        trials: all finished trials.
        goals: objectives and budgets.
        store: where records of higher rungs are kept.
        executor: the workers.
        verify: the task that they run.
        target: the device.
        seed: of the initial weights.
        listener: hears of the progress.
        convert: whether some members are converted as well.
    """
    while True:
        front_now = verified_so_far(trials, goals, store)
        members = front_now.members
        converted = {t.number for t in _to_convert(members, goals)} if convert else set()
        todo = [t for t in members if _missing(t, t.number in converted)]
        if not todo:
            return front_now
        struck = len(front_now.struck)
        listener.stage(f"verifying {len(todo)} members of the front: build, count, run" + (", convert" if converted else ""))
        tasks = [VerifyTask(t.evaluation, target, t.number in converted, seed) for t in todo]
        for done, (index, result) in enumerate(executor.map(verify, tasks), start=1):
            before = todo[index].evaluation
            evaluation = (
                Evaluation(before.spec, before.resolution, before.measurements, before.rung, failure=result)
                if isinstance(result, Failure)
                else result
            )
            store.set_verified(evaluation)
            struck += evaluation.failure is not None
            listener.progress(done, len(todo), f"{struck} struck off")


def verified_so_far(trials: Sequence[Trial], goals: Goals, store: Store) -> Verified:
    """The front by what the store holds, verified or not yet."""
    known = store.verified()
    members = front_of([_latest(t, known) for t in trials], goals)
    return Verified(tuple(members[i] for i in _thin(members, goals)), tuple(e for e in known.values() if e.failure))


def _latest(trial: Trial, known: dict[str, Evaluation]) -> Trial:
    evaluation = known.get(trial.evaluation.arch_id)
    return Trial(trial.number, trial.point, evaluation, trial.feasible, trial.origin) if evaluation else trial


def _thin(members: Sequence[Trial], goals: Goals) -> list[int]:
    """Which members to keep when there are many: evenly along the front, and the one that would win."""
    kept = set(spread(len(members), MAX_MEMBERS))
    if members:
        kept.add(members.index(choose(members, goals)))
    return sorted(kept)


def _to_convert(members: Sequence[Trial], goals: Goals) -> list[Trial]:
    if not members:
        return []
    first = choose(members, goals)
    others = [t for t in members if t is not first]
    return [first, *(others[i] for i in spread(len(others), NUM_CONVERTED - 1))]


def _missing(trial: Trial, convert: bool) -> bool:
    rung = RUNGS.index(trial.evaluation.rung)
    return rung < RUNGS.index("converted" if convert else "built")


def choose(members: Sequence[Trial], goals: Goals) -> Trial:
    """The winner: the best lower bound of top-1 or, among those that cannot be told apart from it, the fastest."""
    return min(_tie(members, goals), key=lambda t: t.evaluation.measurements["latency"].value)


def _tie(members: Sequence[Trial], goals: Goals) -> list[Trial]:
    """The member with the best lower bound, and those that cannot be told apart from it."""
    best = max(members, key=lambda t: goals.lower_top1(t.evaluation))
    return [t for t in members if _tied(t, best, goals)]


def _tied(trial: Trial, best: Trial, goals: Goals) -> bool:
    a, b = trial.evaluation.measurements["top1"], best.evaluation.measurements["top1"]
    return trial is best or (tied(a, b) and goals.lower_top1(best.evaluation) - goals.lower_top1(trial.evaluation) < 0.5)


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
