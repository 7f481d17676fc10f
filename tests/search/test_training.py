"""Training members of a front: who, how long, what is kept, and that nothing is trained twice."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mvsearch.accuracy.images import ImageCache
from mvsearch.accuracy.marriage import Marriage
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor, TaskError
from mvsearch.search.final import Verified
from mvsearch.search.goals import Goals
from mvsearch.search.trained_front import with_training
from mvsearch.search.training import Trainer, TrainingFile, TrainTask
from mvsearch.search.training_plan import Plan, anchors_near, recipes
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.record import Failure, Trial
from mvsearch.spec.run import RunSettings, TrainSettings
from mvsearch.targets import get_target

TARGET = get_target("iphone12")
GOALS = Goals(parse_budgets(["9M-params"]), 0.8, 256)
SETTINGS = TrainSettings("/images", "key", 128, candidates=12, steps=900, batch_size=128, seeds=2)
IMAGES = ImageCache("/images", 128, "key", Path("/cache/key"), ("a", "b"), 20_000, 4_000, 146, (), "20,000 images")


def front() -> Verified:
    """Published networks as if they were a verified front."""
    names = [n for n in published_networks() if "@" not in n][:14]
    found = [estimate(network(n), 256, TARGET) for n in names]
    found.sort(key=lambda e: e.measurements["latency"].value)
    return Verified(tuple(Trial(i, {}, replace(e, rung="built"), True, "") for i, e in enumerate(found)), ())


FRONT = front()
PLAN = Plan.of(FRONT, GOALS, SETTINGS, IMAGES.num_val)


def trained(task: TrainTask, loss: float | None = None, failure: Failure | None = None) -> TrainingRecord:
    """What a training would have brought whose loss follows the estimate."""
    top1 = estimate(task.spec, 256, TARGET).measurements["top1"].value
    loss = (80 - top1) / 10 + 9 / task.recipe.steps + 0.001 * task.seed if loss is None else loss
    return TrainingRecord(
        task.spec.arch_id, task.images.key, task.recipe.key, task.recipe.steps, task.recipe.resolution, task.seed,
        None if failure else loss, None if failure else 0.01, None if failure else 50.0, 1000, (), 100.0, 1.0, "cpu",
        "float32", (), "2026-11-21T00:00:00+00:00", failure,
    )  # fmt: skip


def diverging(task: TrainTask) -> TrainingRecord:
    if task.spec.arch_id == PLAN.members[1].evaluation.arch_id:
        return trained(task, failure=Failure("nan", "the training loss was not finite"))
    if task.spec.arch_id == PLAN.members[2].evaluation.arch_id:
        raise TaskError("oom", "no memory")
    return trained(task)


def never(task: TrainTask) -> TrainingRecord:
    raise AssertionError("trained again")


def trainer(folder: Path, task=trained, settings=SETTINGS, executor=None, listener=None) -> Trainer:
    file = TrainingFile(folder / "training.jsonl")
    more = {"listener": listener} if listener else {}
    return Trainer(settings, IMAGES, file, executor or InProcessExecutor(), 0, train=task, **more)


def test_the_winner_and_an_even_choice_along_the_front_are_trained() -> None:
    latencies = sorted(t.evaluation.measurements["latency"].value for t in PLAN.members)
    everything = [t.evaluation.measurements["latency"].value for t in FRONT.members]
    assert len(PLAN.members) == len({t.evaluation.arch_id for t in PLAN.members}) == 12
    assert (latencies[0], latencies[-1]) == (everything[0], everything[-1])
    assert len(Plan.of(Verified(FRONT.members[:3], ()), GOALS, SETTINGS, 100).members) == 3
    assert Plan.of(Verified((), ()), GOALS, SETTINGS, 100).members == ()


def test_rungs_share_validation_images_and_validation_stays_cheap() -> None:
    short, middle, last = recipes(SETTINGS, 4_000, 12)
    assert [r.steps for r in (short, middle, last)] == [100, 300, 900]
    assert len({(r.val_images, r.bn_images, r.resolution, r.batch_size) for r in (short, middle, last)}) == 1
    assert last.val_images == 4_000 and last.evaluations == 5
    for recipe in (middle, last):
        forwards = recipe.evaluations * (recipe.val_images + recipe.bn_images)
        assert forwards / 3 <= 0.25 * recipe.steps * recipe.batch_size
    assert [r.val_images for r in recipes(replace(SETTINGS, steps=9), 4_000, 12)] == [1000] * 3
    assert [r.steps for r in recipes(replace(SETTINGS, steps=9), 4_000, 1)] == [9]


def test_a_plan_survives_json() -> None:
    plan = Plan.of(FRONT, GOALS, replace(SETTINGS, validate_proxy=True), IMAGES.num_val)
    assert Plan.from_json(plan.to_json(), FRONT.members) == plan


def test_published_networks_of_two_sizes_go_first(tmp_path: Path) -> None:
    assert set(anchors_near(1.2e6)) == set(anchors_near(2.0e6)) and len(anchors_near(2e6)) == 10
    assert {"mobilevit_xs", "mobilevitv2_0.75", "mobilevitv3_xs"} <= set(anchors_near(2e6))
    plan = Plan.of(FRONT, GOALS, replace(SETTINGS, validate_proxy=True), IMAGES.num_val)
    trainer(tmp_path).run(plan)
    records = TrainingFile(tmp_path / "training.jsonl").records()
    assert [r.arch_id for r in records[:10]] == [network(n).arch_id for n in plan.anchors]
    assert {r.recipe for r in records[:10]} == {plan.recipes[-1].key}


def test_the_ladder_is_climbed_and_written_down(tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []

    class Listener:
        def stage(self, text: str) -> None: ...
        def progress(self, *said: object) -> None:
            heard.append(said)  # type: ignore[arg-type]

        def first_front(self, *_: object) -> None: ...

    trainer(tmp_path, listener=Listener()).run(PLAN)
    records = TrainingFile(tmp_path / "training.jsonl").records()
    by_rung = Counter(r.steps for r in records)
    assert by_rung[100] == 12 and by_rung[300] >= 4
    finalists = {r.arch_id for r in records if r.steps == 900}
    assert len(finalists) >= 2 and by_rung[900] == 2 * len(finalists)
    assert {r.seed for r in records if r.steps == 900} == {0, 1}
    done, total, _ = heard[-1]
    assert done == total == sum(r.steps for r in records)
    assert all(a[0] < b[0] and a[0] <= a[1] for a, b in itertools.pairwise(heard))


@pytest.mark.parametrize("kept", [0, 1, 7, 12, 17])
def test_what_is_written_down_is_not_trained_again(tmp_path: Path, kept: int) -> None:
    trainer(tmp_path).run(PLAN)
    path = tmp_path / "training.jsonl"
    whole = TrainingFile(path).records()
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:kept]))
    trainer(tmp_path).run(PLAN)
    assert TrainingFile(path).records() == whole
    trainer(tmp_path, task=never).run(PLAN)


def test_a_failed_training_is_a_record_and_the_others_go_on(tmp_path: Path) -> None:
    trainer(tmp_path, task=diverging).run(PLAN)
    path = tmp_path / "training.jsonl"
    failed = {r.arch_id: r.failure.kind for r in TrainingFile(path).records() if r.failure}
    assert failed == {PLAN.members[1].evaluation.arch_id: "nan", PLAN.members[2].evaluation.arch_id: "oom"}
    trainer(tmp_path, task=never).run(PLAN)  # Both are faults of the networks.
    found = with_training(FRONT, GOALS, TARGET, PLAN, TrainingFile(path).records(), replace(SETTINGS, trust=True))
    ids = {t.evaluation.arch_id: t.evaluation for t in found.verified.members}
    assert all(ids[a].measurements["top1"].kind == "estimated" and ids[a].rung == "built" for a in failed if a in ids)
    assert found.verified.notes == (), "another run would not help"


class _Once:
    """A task that takes its worker down the first time that it meets each of some networks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, task: TrainTask) -> TrainingRecord:
        mark = self.folder / task.spec.arch_id
        if task.spec.arch_id == PLAN.members[0].evaluation.arch_id and not mark.exists():
            mark.touch()
            os._exit(1)
        if task.spec.arch_id == PLAN.members[3].evaluation.arch_id:
            os._exit(1)
        return trained(task)


def test_a_lost_worker_costs_one_training_and_a_deadly_network_is_tried_again_later(tmp_path: Path) -> None:
    from mvsearch.search.ray import RayExecutor

    executor = RayExecutor(2)
    try:
        trainer(tmp_path, task=_Once(tmp_path), executor=executor).run(PLAN)
    finally:
        executor.close()
    records = TrainingFile(tmp_path / "training.jsonl").records()
    failed = [r for r in records if r.failure]
    assert [r.arch_id for r in failed] == [PLAN.members[3].evaluation.arch_id]
    assert failed[0].failure is not None and failed[0].failure.kind == "worker-lost"
    assert any(r.arch_id == PLAN.members[0].evaluation.arch_id and r.failure is None for r in records)
    before = with_training(FRONT, GOALS, TARGET, PLAN, records, SETTINGS)
    (note,) = before.verified.notes
    assert note.startswith(f"1 of {len(records)} trainings failed, e.g. `{failed[0].arch_id}`: worker-lost: ")
    trainer(tmp_path).run(PLAN)  # A resumed run has other workers.
    again = [r for r in TrainingFile(tmp_path / "training.jsonl").records() if r.arch_id == failed[0].arch_id]
    assert [r.failure is None for r in again][:2] == [False, True]
    found = with_training(FRONT, GOALS, TARGET, PLAN, TrainingFile(tmp_path / "training.jsonl").records(), SETTINGS)
    assert not any(r.failure for r in found.records) and found.verified.notes == ()


def test_training_moves_the_front_only_when_it_is_believed(tmp_path: Path) -> None:
    """The fastest trains as if it were the best by far: that counts where the user insists, and not otherwise."""
    fast = FRONT.members[0].evaluation.arch_id

    def prodigy(task: TrainTask) -> TrainingRecord:
        return trained(task, loss=0.05 if task.spec.arch_id == fast else None)

    trainer(tmp_path, task=prodigy).run(PLAN)
    records = TrainingFile(tmp_path / "training.jsonl").records()
    shown, used = (with_training(FRONT, GOALS, TARGET, PLAN, records, replace(SETTINGS, trust=t)) for t in (False, True))
    before = {t.evaluation.arch_id: t.evaluation.measurements["top1"].value for t in FRONT.members}
    assert [t.evaluation.measurements["top1"].value for t in shown.verified.members] == list(before.values())
    assert not shown.marriage.used and used.marriage.used
    after = {t.evaluation.arch_id: t.evaluation for t in used.verified.members}
    assert after[fast].measurements["top1"].value > before[fast] + 0.2
    assert after[fast].rung == "trained"
    assert "trained" in after[fast].measurements["top1"].basis
    latencies = [t.evaluation.measurements["latency"].value for t in used.verified.members]
    assert latencies == sorted(latencies)


def test_members_that_were_not_trained_follow_the_residual_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the marriage says of any network is what the front has, whether the network was trained or not."""
    trainer(tmp_path).run(PLAN)
    records = TrainingFile(tmp_path / "training.jsonl").records()
    # Slower is better throughout, so that nobody is dominated.
    said = {t.evaluation.arch_id: 50 + t.evaluation.measurements["latency"].value for t in FRONT.members}
    monkeypatch.setattr(Marriage, "after_of", lambda _, spec, m: replace(m, value=said[spec.arch_id], low=None, high=None))
    found = with_training(FRONT, GOALS, TARGET, PLAN, records, replace(SETTINGS, trust=True))
    ids = {t.evaluation.arch_id for t in PLAN.members}
    untrained = [t.evaluation for t in found.verified.members if t.evaluation.arch_id not in ids]
    assert untrained
    for e in untrained:
        assert e.measurements["top1"].value == said[e.arch_id]
        assert e.rung == "built"


def test_trainings_on_other_images_do_not_count(tmp_path: Path) -> None:
    trainer(tmp_path).run(PLAN)
    records = [replace(r, images="others") for r in TrainingFile(tmp_path / "training.jsonl").records()]
    assert with_training(FRONT, GOALS, TARGET, PLAN, records, SETTINGS).records == ()


def test_settings_of_older_runs_are_read() -> None:
    settings = RunSettings(GOALS.budgets, "iphone12", "mobilevit", "hash", 10, 0, 256, 0.8, train=SETTINGS)
    assert RunSettings.from_json(settings.to_json()) == settings
    old = asdict(replace(settings, train=None))
    del old["train"]
    assert RunSettings.from_json(old) == replace(settings, train=None)
