"""The observations about latency that EfficientFormer was designed by, tried on any target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import InputError, TargetError

if TYPE_CHECKING:
    from mvsearch.targets import Target
    from mvsearch.targets.lessons.lesson import LessonsView, Pair, PairResult


def lessons(
    target: str = "iphone12",
    *,
    measure: bool | None = None,
    calibration: str | Path | None = None,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> LessonsView:
    """Pairs of networks that differ in one thing, on a target, with the finding of EfficientFormer (arXiv 2206.01191) beside.

    Args:
        target: device.
        measure: run the pairs on the target instead of predicting them; by default where that can be done here (`cpu`).
        calibration: file of `mvsearch calibrate`: predict by the user's own measurements.
        out: folder for the tables and the picture.
        progress: hears what is at hand.

    Raises:
        InputError: an unknown target, one that measures no pairs, or a folder that cannot be written.
        TargetError: the target neither measures nor predicts here.
        MeasureError: the machine is too unsteady to measure on.
    """
    from mvsearch.targets import get_target
    from mvsearch.targets.host.load import load_conditions
    from mvsearch.targets.lessons.catalog import lessons as catalog
    from mvsearch.targets.lessons.lesson import LessonResult, LessonsView, together
    from mvsearch.targets.lessons.measure import measures_pairs

    found = get_target(target)
    if measure is None:
        measure = calibration is None and measures_pairs(found)
    if measure and calibration is not None:
        raise InputError("`--calibration` with a measurement", "it is for predictions; give `--no-measure` with it")
    folder = None if out is None else _checked_folder(Path(out))
    run = _measuring(found) if measure else _predicting(found, calibration)
    before = load_conditions("before") if measure else ()
    results = []
    for lesson in catalog():
        if progress:
            progress(f"{lesson.name}: {len(lesson.pairs)} pairs")
        pairs = tuple(run(pair) for pair in lesson.pairs)
        results.append(LessonResult(lesson, pairs, together(p.verdict for p in pairs)))
    conditions = (*before, *load_conditions("after")) if measure else ()
    view = LessonsView(
        found.name, "measured" if measure else "predicted", found.spec.device, found.spec.runtime, conditions, tuple(results)
    )
    if folder is not None:
        from mvsearch.report.lessons_files import write_lessons

        write_lessons(view, folder)
    return view


def _measuring(target: Target) -> Callable[[Pair], PairResult]:
    from mvsearch.targets.lessons.measure import measure_pair, require_pairs

    machine = require_pairs(target)
    return lambda pair: measure_pair(pair, machine)


def _predicting(target: Target, calibration: str | Path | None) -> Callable[[Pair], PairResult]:
    from mvsearch.api.calibration import calibrated
    from mvsearch.spec.published import DEFAULT_RESOLUTION
    from mvsearch.targets.lessons.predict import predict_pair
    from mvsearch.targets.prepare import ready_target

    ready = calibrated(target, Path(calibration)) if calibration else ready_target(target.name, DEFAULT_RESOLUTION)[0]
    model = ready.latency_model
    if model is None:
        here = ready.capability()
        raise TargetError(f"`{target.name}` predicts no latency: {here.reason}", here.fix)
    return lambda pair: predict_pair(pair, ready, model)


def _checked_folder(path: Path) -> Path:
    """See that it can be a folder before anything is measured."""
    if path.exists() and not path.is_dir():
        raise InputError(f"`{path}` is no folder", "give an `--out` folder")
    return path
