"""The main job: a search from what the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.anchors import fitted_estimator, hash_of_estimator, kept_estimator
from mvsearch.api.run import Run, RunResult
from mvsearch.api.settings import Means, SearchOptions, check_possible, settings_of
from mvsearch.api.training import TrainOptions, prepare_training
from mvsearch.errors import InputError
from mvsearch.search.folder import RunFolder, choose_path, open_folder
from mvsearch.spec import defaults
from mvsearch.spec.defaults import EXPORTS as DEFAULT_EXPORTS

if TYPE_CHECKING:
    from mvsearch.search.explore import Listener


def search(
    budget: str | Sequence[str],
    target: str = "iphone12",
    *,
    space: str = "mobilevit",
    trials: int = defaults.TRIALS,
    time_limit: float | None = None,
    seed: int = 0,
    confidence: float = defaults.CONFIDENCE,
    resolution: int | None = None,
    workers: int | None = None,
    in_process: bool = False,
    address: str | None = None,
    queue: str | None = None,
    calibration: str | Path | None = None,
    anchors: str | Path | None = None,
    data: str | Path | None = None,
    training: TrainOptions | None = None,
    options: SearchOptions | None = None,
    exports: str | Sequence[str] = DEFAULT_EXPORTS,
    out: str | Path | None = None,
    resume: bool = False,
    command: str | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Search a space for networks that keep a budget on a target; verify the front, export the winner, write the report.

    Args:
        budget: e.g. `"2M-params"`, `"2M-params,5ms"` or a list of such.
        target: device, e.g. `iphone12` or `cpu`.
        space: name of a shipped search space, or path of a YAML file.
        trials: distinct in-budget candidates to evaluate.
        time_limit: seconds after which the search proper ends; verification and export follow.
        seed: of the proposals and of the initial weights.
        confidence: with which a predicted budget has to be met, and of the lower bound of top-1.
        resolution: side of the image in pixels; the space's by default.
        workers: Ray actors; one per core by default.
        in_process: use no Ray.
        address: of a running Ray cluster. Where a node of it has the target as a resource, e.g.
            `ray start --resources='{"iphone12": 1}'`, members of the front are measured there.
        queue: `HOST:PORT` to listen on for machines that measure members of the front: `mvsearch measure http://HOST:PORT`.
        calibration: file of `mvsearch calibrate`: predict by the user's own measurements. A resumed run has its own copy.
        anchors: CSV file of networks that you have trained on ImageNet-1k, columns `network` and `top1`: top-1 is estimated
            for your recipe. A resumed run has its own copy of the fit.
        data: images to train members of the front on: a folder with a folder per class, perhaps under `train/` and `val/`;
            a `.zip` of that; WebDataset shards; or `procedural`, generated images for trying it out.
        training: how to train; says nothing without `data`.
        options: how to search: which strategy and sampler, when to stop, how many networks to measure on the way.
        exports: what the winner is exported to, as for `mvsearch export --to`; what cannot express it, or is not installed,
            is left out, and the run says so.
        out: folder of the run; `reports/BUDGET-TARGET-TIME` by default.
        resume: go on with the run in `out`.
        command: how to call it again, for the record.
        listener: hears of the progress.

    Raises:
        InputError: something that was given cannot be used.
        NoCandidateError: no candidate of the space keeps the budget; shows the nearest.
    """
    if training is not None and data is None:
        given = ", ".join(f"`{option}`" for option in training.given()) or "`training`"
        raise InputError(f"{given} without `--data`", "name the images to train on")
    if data is not None and options is not None and options.strategy == "slimming":
        raise InputError(
            "`--strategy slimming` with `--data`: moves are not judged by training yet",
            "slim by estimates or measurements, or train the front of a run with `--strategy sample`",
        )
    if resume and out is None:
        raise InputError("`--resume` needs `--out`", "name the folder of the run to go on with")
    if resume and calibration is None:
        kept = RunFolder(Path(out or "")).calibration
        calibration = kept if kept.exists() else None
    settings, search_space = settings_of(
        budget, target, space, trials, seed, confidence, resolution, Path(calibration) if calibration else None,
        options or SearchOptions(),
    )  # fmt: skip
    from mvsearch.export.registry import parse_names

    names = parse_names(exports if isinstance(exports, str) else ",".join(exports))
    means = Means(workers, in_process, address, queue, time_limit, Path(calibration) if calibration else None, names)
    means.check(settings)
    from mvsearch.search.explore import Silent

    listener = listener or Silent()
    place = Path(out) if out is not None else choose_path(settings.budgets, settings.target)
    estimator = fitted_estimator(anchors) if anchors else kept_estimator(RunFolder(place)) if resume else None
    settings = replace(settings, anchors=hash_of_estimator(estimator))
    check_possible(settings, search_space)
    images = None
    if data is not None:
        settings, images = prepare_training(data, training or TrainOptions(), settings, place, resume, listener)
    run = Run(settings, search_space, listener, command or f"search({settings})", means, images, estimator)
    folder = open_folder(place, settings, resume)
    with folder.lock():
        return run.go(folder)
