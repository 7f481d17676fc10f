"""`mvsearch lessons`: what EfficientFormer's authors learnt about latency, tried on a target."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mvsearch.cli.commands import CALIBRATION_HELP


def lessons(
    target: Annotated[str, typer.Option("--target", "-t", help="Device for the latency.")] = "iphone12",
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure", help="Run the pairs on the target, or predict; by default measured on `cpu`.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help=CALIBRATION_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the tables as CSV and a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:  # fmt: skip
    """Try EfficientFormer's four observations about latency on a target, each on networks that differ in one thing."""
    from mvsearch.api.lessons import lessons as try_lessons

    view = try_lessons(target, measure=measure, calibration=calibration, out=out, progress=_say)
    if as_json:
        from mvsearch.report.lessons_files import to_plain

        print(json.dumps(to_plain(view), indent=2))
        return
    from mvsearch.report.lessons import render_lessons
    from mvsearch.report.table import print_renderable

    print_renderable(render_lessons(view))
    if out is not None:
        for name in ("lessons.csv", "operations.csv", "lessons.svg", "lessons.png"):
            print(out / name)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
