"""The commands around latency: measuring it, and refitting it to one's own measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvsearch.spec import defaults

TARGET = Annotated[str, typer.Option("--target", "-t", help="Device; `mvsearch targets` lists them.")]


def measure(
    source: Annotated[
        str,
        typer.Argument(
            help="A run folder, a `.mlpackage`, a network (name, JSON file or entry), or `http://HOST:PORT` of a "
            "search that runs with `--queue`."
        ),
    ],
    target: Annotated[str | None, typer.Option("--target", "-t", help="Device; a run's own by default.")] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Image side in pixels, for a network; 256 by default.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure what was measured before, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Measure latencies on a device that is attached here, and write them back into the run."""
    from mvsearch.api.measure import measure as measure_source
    from mvsearch.cli.output import TerminalListener
    from mvsearch.report.measured import print_measured

    listener = TerminalListener(defaults.CONFIDENCE)
    try:
        found = measure_source(source, target, resolution=resolution, fresh=again, listener=listener)
    finally:
        listener.close()
    print_measured(found, as_json)


def calibrate(
    csv: Annotated[Path, typer.Option("--csv", help="Your measurements: columns `network`, `ms`, perhaps `resolution`.")],
    target: TARGET = "iphone12",
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the refitted predictor; TARGET-calibration.json by default.")
    ] = None,
) -> None:
    """Refit a phone's predictor to your own measurements and show what that does to its error."""
    from mvsearch.api.calibrate import calibrate as calibrate_target
    from mvsearch.report.table import print_renderable
    from mvsearch.report.validation import render_calibration

    path = out or Path(f"{target}-calibration.json")
    found = calibrate_target(csv, target, path)
    print_renderable(render_calibration(found))
    print(f"\ncalibration  {path}")
