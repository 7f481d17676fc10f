"""A run's files: CSV, page and pictures, each complete or not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mvsearch.report.csv import front_rows, trial_rows, write_csv
from mvsearch.report.page import render_page
from mvsearch.report.picture import draw_pictures
from mvsearch.report.slimming import slimming_rows, write_slimming_csv
from mvsearch.report.slimming_picture import draw_slimming
from mvsearch.report.training_csv import training_rows, write_training_csv
from mvsearch.search.trained_front import Trained
from mvsearch.spec.run import RunView
from mvsearch.targets import Target

REPORT_FILES = ("trials.csv", "front.csv", "report.html", "pareto.svg", "pareto.png")


def write_report(view: RunView, folder: Path, trained: Trained | None = None, target: Target | None = None) -> tuple[Path, ...]:
    """Write `trials.csv`, `front.csv`, `report.html`, `pareto.svg`, `pareto.png` into a folder.

    Of a run with trainings `training.csv` as well, of one by slimming `slimming.csv` and `slimming.svg`.

    Every file is written beside its place and then moved there, so that a reader, or a run that is killed,
    never meets half a file. The pictures are left out while there is nothing to draw.

    Args:
        view: the run.
        folder: where the files go.
        trained: what training brought.
        target: as the run had it; splits the predicted latencies on the page.

    Returns:
        The files written.
    """
    written = [
        _replace(folder / "trials.csv", lambda path: write_csv(path, trial_rows(view))),
        _replace(folder / "front.csv", lambda path: write_csv(path, front_rows(view))),
        write_page(view, folder, trained, target),
    ]
    if trained:
        rows = training_rows(trained.marriage, trained.records, trained.anchors)
        written.append(_replace(folder / "training.csv", lambda path: write_training_csv(path, rows)))
    if view.slimming:
        written.append(_replace(folder / "slimming.csv", lambda path: write_slimming_csv(path, slimming_rows(view))))
        written.append(_replace(folder / "slimming.svg", lambda path: draw_slimming(view, path)))
    if view.front or view.published:
        svg, png = folder / "pareto.svg", folder / "pareto.png"
        drafts = (_draft(svg), _draft(png))
        try:
            draw_pictures(view, drafts)
            written += [draft.replace(path) for draft, path in zip(drafts, (svg, png), strict=True)]
        finally:
            for draft in drafts:
                draft.unlink(missing_ok=True)
    return tuple(written)


def write_page(view: RunView, folder: Path, trained: Trained | None = None, target: Target | None = None) -> Path:
    """Write `report.html` alone, as `write_report` does."""
    text = render_page(view, trained, target)
    return _replace(folder / "report.html", lambda path: path.write_text(text, encoding="utf-8"))


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.stem}.draft{path.suffix}")


def _replace(path: Path, write: Callable[[Path], object]) -> Path:
    draft = _draft(path)
    try:
        write(draft)
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
