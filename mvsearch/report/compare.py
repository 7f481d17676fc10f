"""A comparison's files: page, pictures and tables in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.files import kind_of, staged
from mvsearch.report.compare_csv import (
    ATTAINMENT_COLUMNS,
    FRONT_COLUMNS,
    RUN_COLUMNS,
    attainment_rows,
    front_rows,
    run_rows,
    write_rows,
)
from mvsearch.report.compare_data import Comparison
from mvsearch.report.compare_page import KIND, render_comparison_page
from mvsearch.report.compare_picture import draw_comparison
from mvsearch.report.document import GENERATOR

PAGE = "compare.html"
COMPARE_FILES = (PAGE, "compare.svg", "compare.png", "compare.csv", "fronts.csv", "attainment.csv")


def check_place(folder: Path) -> None:
    """See that a comparison may be written into a folder: absent, empty, or holding a comparison and nothing else.

    Raises:
        InputError: it holds something else.
    """
    if not kind_of(folder):
        return
    hint = "give an `--out` that does not exist yet, is empty, or holds a comparison; nothing was changed"
    if kind_of(folder) != "folder":
        raise InputError(f"`{folder}` is not a folder", hint)
    names = {p.name for p in folder.iterdir()}
    if names and not (names <= set(COMPARE_FILES) and _is_page(folder / PAGE)):
        other = sorted(names - set(COMPARE_FILES)) or sorted(names)
        raise InputError(f"`{folder}` holds `{other[0]}`: it is no comparison, or more than that", hint)


def _is_page(path: Path) -> bool:
    if kind_of(path) != "file":
        return False
    with path.open("rb") as file:
        return GENERATOR.format(KIND).encode() in file.read(1024)


def write_compare(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write `COMPARE_FILES` into a folder, all of them or none; a former comparison there is replaced.

    The pictures are left out where nothing was found within the budgets.

    Returns:
        The files written.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    check_place(folder)
    with staged(folder, replace=folder.exists()) as place:
        (place / PAGE).write_text(render_comparison_page(comparison), encoding="utf-8")
        write_rows(place / "compare.csv", RUN_COLUMNS, run_rows(comparison))
        write_rows(place / "fronts.csv", FRONT_COLUMNS, front_rows(comparison))
        write_rows(place / "attainment.csv", ATTAINMENT_COLUMNS, attainment_rows(comparison))
        if any(p.reference for p in comparison.panels):
            draw_comparison(comparison, [place / "compare.svg", place / "compare.png"])
    return tuple(folder / name for name in COMPARE_FILES if (folder / name).exists())
