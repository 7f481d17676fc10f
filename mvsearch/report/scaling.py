"""A scaled network's files: `scale.html`, `scale.csv`, `scale.svg`, `scale.png`."""

from __future__ import annotations

from pathlib import Path

from mvsearch.report.scaling_csv import write_scaling_csv
from mvsearch.report.scaling_page import render_scaling_page
from mvsearch.report.scaling_picture import draw_scaling
from mvsearch.scaling.view import ScalingView

SCALING_FILES = ("scale.html", "scale.csv", "scale.svg", "scale.png")


def write_scaling(view: ScalingView, folder: Path) -> tuple[Path, ...]:
    """Write all four into a folder that is there.

    Returns:
        The files written.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / "scale.html").write_text(render_scaling_page(view), encoding="utf-8")
    write_scaling_csv(folder / "scale.csv", view)
    draw_scaling(view, [folder / "scale.svg", folder / "scale.png"])
    return tuple(folder / name for name in SCALING_FILES)
