"""The front by estimates and trainings, from what was written down alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mvsearch.accuracy import published_top1
from mvsearch.accuracy.marriage import Marriage, Scored, marry
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.search.estimate import estimate
from mvsearch.search.final import Verified, still_on_front
from mvsearch.search.goals import Goals
from mvsearch.search.training import OWN_FAULTS
from mvsearch.search.training_plan import Plan
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.spec.record import RUNGS, Trial
from mvsearch.spec.run import TrainSettings
from mvsearch.targets import Target


@dataclass(frozen=True, slots=True)
class Trained:
    """What training brought.

    Attributes:
        verified: the front by what is known now.
        marriage: estimates and trainings side by side.
        records: all trainings of the run.
        plan: who was to be trained; some members may have left the front since.
        anchors: arch_id -> name of the published networks that were trained.
    """

    verified: Verified
    marriage: Marriage
    records: tuple[TrainingRecord, ...]
    plan: Plan
    anchors: dict[str, str]


def with_training(
    verified: Verified,
    goals: Goals,
    target: Target,
    plan: Plan,
    records: Sequence[TrainingRecord],
    settings: TrainSettings,
) -> Trained:
    """The front by estimates and trainings, from what was written down alone.

    Where training has not earned to be believed, and the user does not insist, nothing moves.
    """
    names = {network(name).arch_id: name for name in plan.anchors}
    # Of a training that was tried again, the last.
    mine = list({r.key: r for r in records if r.images == settings.images}.values())
    by_id: dict[str, list[TrainingRecord]] = {}
    for record in mine:
        by_id.setdefault(record.arch_id, []).append(record)
    scored = [
        Scored(t.evaluation.spec, t.evaluation.measurements["top1"], None, tuple(by_id.get(t.evaluation.arch_id, ())))
        for t in verified.members
    ]
    scored += [_anchor(name, goals, target, by_id) for name in plan.anchors]
    marriage = marry(scored, [r.key for r in plan.recipes], settings.trust)
    members = [_after(t, marriage, by_id) for t in verified.members]
    if marriage.used:
        members = still_on_front(members, verified.measured_over_predicted, goals)
    after = replace(verified, members=tuple(members), notes=(*verified.notes, *_lost(mine)))
    return Trained(after, marriage, tuple(mine), plan, names)


def _anchor(name: str, goals: Goals, target: Target, by_id: dict[str, list[TrainingRecord]]) -> Scored:
    spec, published = network(name), published_top1(name)
    assert published is not None  # anchors are networks with labels
    before, labelled = (
        estimate(spec, r, target, goals.estimator).measurements["top1"] for r in (goals.resolution, DEFAULT_RESOLUTION)
    )
    # As the candidates' estimates: at the resolution of the run.
    label = published.value + before.value - labelled.value
    return Scored(spec, before, label, tuple(by_id.get(spec.arch_id, ())))


def _lost(records: Sequence[TrainingRecord]) -> list[str]:
    """What failed and may do better another time."""
    lost = [r for r in records if r.failure and r.failure.kind not in OWN_FAULTS]
    if not lost or lost[0].failure is None:
        return []
    return [
        f"{len(lost)} of {len(records)} trainings failed, e.g. `{lost[0].arch_id}`: {lost[0].failure.kind}: "
        f"{lost[0].failure.message}; going on with `--resume` tries those again that are still due"
    ]


def _after(trial: Trial, marriage: Marriage, by_id: dict[str, list[TrainingRecord]]) -> Trial:
    """The trial with its top-1 after the marriage, on the rung of trained networks if a training of it ended well."""
    e = trial.evaluation
    after = marriage.after_of(e.spec, e.measurements["top1"])
    trained = any(r.failure is None for r in by_id.get(e.arch_id, ()))
    rung = max(e.rung, "trained", key=RUNGS.index) if trained else e.rung
    return replace(trial, evaluation=replace(e, measurements={**e.measurements, "top1": after}, rung=rung))
