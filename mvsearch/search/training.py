"""Training members of the front on the user's images: by successive halving, on the workers, written down as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mvsearch.accuracy.images import ImageCache
from mvsearch.accuracy.trained import Recipe, TrainingRecord
from mvsearch.search.executor import GPU, Executor
from mvsearch.search.explore import Listener, Silent
from mvsearch.search.halving import Halving, Job
from mvsearch.search.record_file import RecordFile
from mvsearch.search.training_plan import Plan
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network
from mvsearch.spec.record import Failure, FailureKind
from mvsearch.spec.run import TrainSettings

TIMEOUT_S = 6 * 3600.0
"""Without any result; one training of a large network on one core takes hours."""
OWN_FAULTS: tuple[FailureKind, ...] = ("nan", "oom")
"""Failures of a network itself."""


class TrainingFile(RecordFile[TrainingRecord]):
    """`training.jsonl`: every training of a run, failed ones too.

    Args:
        path: of the file; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, TrainingRecord.from_json)


@dataclass(frozen=True, slots=True)
class TrainTask:
    """One training on its way to a worker.

    Attributes:
        spec: the network.
        images: what it is trained on.
        recipe: how.
        seed: of the weights and the images' order.
    """

    spec: ArchSpec
    images: ImageCache
    recipe: Recipe
    seed: int


def train_member(task: TrainTask) -> TrainingRecord:
    """Train a network on the machine that this runs on: on the GPU that the worker sees, else with one thread."""
    import torch

    from mvsearch.accuracy.images import load_images
    from mvsearch.accuracy.training import train

    torch.set_num_threads(1)
    return train(task.spec, load_images(task.images), task.recipe, task.seed)


@dataclass
class Trainer:
    """Trains members of a verified front.

    Attributes:
        settings: how.
        images: what is trained on.
        file: where every training is written down.
        executor: the workers.
        seed: of the run; trainings have it, and those after it.
        listener: hears of the progress.
        train: the task that the workers run.
    """

    settings: TrainSettings
    images: ImageCache
    file: TrainingFile
    executor: Executor
    seed: int
    listener: Listener = field(default_factory=Silent)
    train: Callable[[TrainTask], TrainingRecord] = train_member

    def run(self, plan: Plan) -> None:
        """Train what the plan says and the file does not hold."""
        queue = _Queue(plan, self.seed, self.file.records(), self.images.key, self.settings.seeds)
        first = queue.next()
        if first is None:
            return
        anchors = f", and {len(plan.anchors)} published networks first" if plan.anchors else ""
        self.listener.stage(
            f"training {len(plan.members)} member{'s' * (len(plan.members) != 1)} of the front on {self.images.note}{anchors}\n"
            f"         rungs of {', '.join(str(r.steps) for r in plan.recipes)} steps; {plan.recipes[-1].describe()}"
        )
        waiting, handed = [first], list[tuple[ArchSpec, Recipe, int]]()

        def source() -> TrainTask | None:
            job = waiting.pop() if waiting else queue.next()
            if job is None:
                return None
            handed.append(job)
            return TrainTask(job[0], self.images, job[1], job[2])

        # Where no worker holds a GPU, a process trains on the one that it sees, if any.
        resource = GPU if self.executor.units(GPU) else None
        for number, result in self.executor.feed(self.train, source, resource, TIMEOUT_S):
            spec, recipe, seed = handed[number]
            record = _failed(spec, self.images.key, recipe, seed, result) if isinstance(result, Failure) else result
            self.file.append(record)
            queue.report(record)
            self.listener.progress(queue.steps_done, queue.steps, f"steps; {_say(record)}")


class _Queue:
    """What is left to train: the published networks, then whatever the halving says."""

    def __init__(self, plan: Plan, seed: int, records: Sequence[TrainingRecord], images: str, seeds: int) -> None:
        self._plan, self._seed, self._images = plan, seed, images
        self._halving = Halving([t.evaluation.measurements["latency"].value for t in plan.members], len(plan.recipes), seeds)
        self._anchors = [network(name) for name in plan.anchors]
        self._ids = [t.evaluation.arch_id for t in plan.members]
        # What failed with its worker or its machine is tried again; a network that diverges would do so again.
        kept = [r for r in records if r.failure is None or r.failure.kind in OWN_FAULTS]
        self._done: set[tuple[str, str, str, int]] = set()
        self.steps_done = 0
        for record in kept:
            self.report(record)

    @property
    def steps(self) -> int:
        """Steps of all trainings, finished ones included, as far as can be foreseen."""
        rungs = [self._plan.recipes[job.rung] for job in self._halving.planned()]
        return max(self.steps_done, sum(r.steps for r in rungs) + len(self._plan.anchors) * self._plan.recipes[-1].steps)

    def next(self) -> tuple[ArchSpec, Recipe, int] | None:
        """The next training; None while there is nothing to do but to wait, and at the end."""
        while self._anchors:
            spec, recipe = self._anchors.pop(0), self._plan.recipes[-1]
            if (spec.arch_id, self._images, recipe.key, self._seed) not in self._done:
                return spec, recipe, self._seed
        due = self._halving.next()
        return None if due is None else self._training(due)

    def report(self, record: TrainingRecord) -> None:
        """Take in a result; of trainings of another plan nothing follows."""
        rungs = [r.key for r in self._plan.recipes]
        if record.images != self._images or record.recipe not in rungs:
            return
        self._done.add(record.key)
        self.steps_done += record.steps
        if record.arch_id in self._ids:
            job = Job(self._ids.index(record.arch_id), rungs.index(record.recipe), record.seed - self._seed)
            self._halving.report(job, record.val_loss)

    def _training(self, job: Job) -> tuple[ArchSpec, Recipe, int]:
        return self._plan.members[job.candidate].evaluation.spec, self._plan.recipes[job.rung], self._seed + job.seed


def _failed(spec: ArchSpec, images: str, recipe: Recipe, seed: int, failure: Failure) -> TrainingRecord:
    """The record of a training that did not live to write its own."""
    return TrainingRecord(
        spec.arch_id, images, recipe.key, recipe.steps, recipe.resolution, seed, None, None, None, 0, (), 0.0, 0.0, "", "", (),
        datetime.now(UTC).isoformat(timespec="seconds"), failure,
    )  # fmt: skip


def _say(record: TrainingRecord) -> str:
    if record.failure:
        return f"{record.arch_id}: {record.failure.kind}"
    return f"{record.arch_id} {record.steps} steps: loss {record.val_loss:.3f}, top-1 {record.top1:.1f} %"
