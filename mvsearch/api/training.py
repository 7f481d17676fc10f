"""The training part of a run: what was asked, the images, the trainings, and what follows for the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError
from mvsearch.search.folder import RunFolder, check_folder
from mvsearch.spec import defaults
from mvsearch.spec.plain import read_plain
from mvsearch.spec.record import Trial
from mvsearch.spec.run import RunSettings, TrainSettings

if TYPE_CHECKING:
    from mvsearch.accuracy.images import ImageCache
    from mvsearch.search.executor import Executor
    from mvsearch.search.explore import Listener
    from mvsearch.search.final import Verified
    from mvsearch.search.goals import Goals
    from mvsearch.search.store import Store
    from mvsearch.search.trained_front import Trained
    from mvsearch.search.training_plan import Plan
    from mvsearch.targets import Target

IMAGES, PLAN = "images", "training_plan"
"""Entries of `run.json` and of the store."""
MIN_BATCH = 2
"""Batch norm takes its statistics over a batch."""
SHOWN = 5
"""Files that are skipped are named up to this number."""
_OPTIONS = {
    "steps": "--train-steps",
    "resolution": "--train-resolution",
    "candidates": "--train-candidates",
    "batch_size": "--train-batch",
    "seeds": "--train-seeds",
    "multi_scale": "--multi-scale",
    "validate_proxy": "--validate-proxy",
    "trust": "--trust-training",
}
"""Field of `TrainOptions` -> how the command line calls it."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How members of the front are trained on the user's images.

    Attributes:
        steps: optimiser steps of the longest trainings; shorter ones have a third and a ninth of them.
        resolution: side of the images in pixels.
        candidates: members of the front that are trained, at most.
        batch_size: images per step.
        seeds: trainings of each finalist.
        multi_scale: draw the side of each step's images as MobileViT's recipe does.
        validate_proxy: train published networks in the same way first, to see whether such a training is to be believed.
        trust: let the scores choose the winner even if they have not earned it.
    """

    steps: int = defaults.TRAIN_STEPS
    resolution: int = defaults.TRAIN_RESOLUTION
    candidates: int = defaults.TRAIN_CANDIDATES
    batch_size: int = defaults.TRAIN_BATCH
    seeds: int = defaults.TRAIN_SEEDS
    multi_scale: bool = False
    validate_proxy: bool = False
    trust: bool = False

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: a number out of range.
        """
        least = {"steps": 1, "resolution": 32, "candidates": 1, "batch_size": MIN_BATCH, "seeds": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"`{_OPTIONS[name]}` is `{getattr(self, name)}`", f"an integer of at least {low}")

    def given(self) -> list[str]:
        """Options of the command line that are not at their defaults."""
        return [option for name, option in _OPTIONS.items() if getattr(self, name) != getattr(TrainOptions(), name)]

    def settings(self, data: str, images: str) -> TrainSettings:
        """What a run keeps of them.

        Args:
            data: the images, as given.
            images: key of the decoded images.
        """
        return TrainSettings(data=data, images=images, **asdict(self))


def prepare_training(
    data: str | Path,
    options: TrainOptions,
    settings: RunSettings,
    place: Path,
    resume: bool,
    listener: Listener,
) -> tuple[RunSettings, ImageCache]:
    """Decode the images, unless that was done, and say what a run does with them.

    Whatever else is wrong is said before: decoding may take long.

    Args:
        data: what `--data` may be.
        options: how to train.
        settings: of the run without training.
        place: folder of the run. The images of one that is resumed are found again even if the data are gone.
        resume: whether it is to be gone on with.
        listener: hears of the progress.

    Raises:
        InputError: options out of range, a folder that cannot be the run's, or images that cannot be used.
    """
    options.check()
    known = _images_of(RunFolder(place).read()) if resume and RunFolder(place).run_file.exists() else None
    check_folder(place, replace(settings, train=options.settings(str(data), known.key if known else "")), resume)
    from mvsearch.accuracy.images import prepare_images

    def heard(done: int, total: int) -> None:
        if done <= 1:
            listener.stage(f"decoding the images of `{data}`, once")
        listener.progress(done, total, "files")

    images = prepare_images(data, options.resolution, known=known, progress=heard)
    listener.stage(f"images: {images.note}")
    for name, why in images.skipped[:SHOWN]:
        listener.stage(f"  skipped `{name}`: {why}")
    if (more := len(images.skipped) - SHOWN) > 0:
        listener.stage(f"  and {more:,} more; `run.json` has them all")
    return replace(settings, train=options.settings(images.data, images.key)), images


def images_record(images: ImageCache) -> dict[str, Any]:
    """What `run.json` keeps of the images."""
    return {**asdict(images), "path": str(images.path)}


def _images_of(record: dict[str, Any]) -> ImageCache | None:
    from mvsearch.accuracy.images import ImageCache

    data = record.get(IMAGES)
    if data is None:
        return None
    try:
        return read_plain(ImageCache, data, IMAGES)
    except ValueError as error:
        raise InputError(f"`run.json` is damaged: {error}", "put back a copy of it, or start a new run") from None


def train_front(
    settings: RunSettings,
    images: ImageCache,
    folder: RunFolder,
    store: Store,
    trials: Sequence[Trial],
    verified: Verified,
    goals: Goals,
    target: Target,
    executor: Executor,
    listener: Listener,
) -> Trained:
    """Train members of a verified front and combine what comes of it with the estimates.

    Who is trained is kept in the store: a resumed run goes on with the same networks, whatever was measured meanwhile.
    """
    from mvsearch.search.training import Trainer, TrainingFile
    from mvsearch.search.training_plan import Plan

    assert settings.train is not None
    if (plan := _plan_of(store, trials)) is None:
        plan = Plan.of(verified, goals, settings.train, images.num_val)
        store.set_meta(PLAN, plan.to_json())
    elif settings.train.validate_proxy and not plan.anchors:
        plan = plan.validated()
        store.set_meta(PLAN, plan.to_json())
    Trainer(settings.train, images, TrainingFile(folder.training), executor, settings.seed, listener).run(plan)
    trained = trained_so_far(settings, folder, store, trials, verified, goals, target)
    assert trained is not None
    return trained


def trained_so_far(
    settings: RunSettings,
    folder: RunFolder,
    store: Store,
    trials: Sequence[Trial],
    verified: Verified,
    goals: Goals,
    target: Target,
) -> Trained | None:
    """What a run's trainings say by now; None before the first, and for a run without images."""
    if settings.train is None or (plan := _plan_of(store, trials)) is None:
        return None
    from mvsearch.search.trained_front import with_training
    from mvsearch.search.training import TrainingFile

    records = TrainingFile(folder.training).records()
    return with_training(verified, goals, target, plan, records, settings.train)


def _plan_of(store: Store, trials: Sequence[Trial]) -> Plan | None:
    from mvsearch.search.training_plan import Plan

    data = store.meta(PLAN)
    try:
        return None if data is None else Plan.from_json(data, trials)
    except ValueError as error:
        raise InputError(f"the run's store is damaged: {error}", "put back a copy of the file, or start a new run") from None
