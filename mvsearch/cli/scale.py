"""`mvsearch scale`: one network in many sizes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mvsearch.cli.commands import ANCHORS_HELP, CALIBRATION_HELP
from mvsearch.spec import defaults

SIZES = "Sizes (one of these)"


def scale(
    network: Annotated[str, typer.Argument(help="A published name, a JSON file, or a library entry's folder.")],
    params: Annotated[str | None, typer.Option("--params", help="Range such as `1M..8M`.", rich_help_panel=SIZES)] = None,
    macs: Annotated[str | None, typer.Option("--macs", help="Range such as `200M..2G`.", rich_help_panel=SIZES)] = None,
    ms: Annotated[
        str | None, typer.Option("--ms", help="Range of predicted milliseconds such as `1..6`.", rich_help_panel=SIZES)
    ] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="Device for the latency.")] = "iphone12",
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Image side of the network as it is, in pixels; 256 by default.")
    ] = None,
    rules: Annotated[
        str | None, typer.Option("--rules", help="Of width, depth, resolution, compound; all by default, separated by commas.")
    ] = None,
    members: Annotated[int, typer.Option("--members", help="Sizes of a family, at most.")] = 8,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", "-b", help="Cost at which compound exponents are compared: `1G-macs`, `5ms`; an end of the range."
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", help="With which top-1 reaches its lower bound.")
    ] = defaults.CONFIDENCE,
    calibration: Annotated[Path | None, typer.Option("--calibration", help=CALIBRATION_HELP)] = None,
    anchors: Annotated[Path | None, typer.Option("--anchors", help=ANCHORS_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", help="New folder for the page, the table and the pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Scale one network by width, depth, resolution and compound rules; fit the laws; show where it stops paying."""
    from mvsearch.api.scale import scale as scale_network

    view = scale_network(
        network, params=params, macs=macs, ms=ms, target=target, resolution=resolution, rules=rules, members=members,
        budget=budget, confidence=confidence, calibration=calibration, anchors=anchors, out=out,
        command=shlex.join(["mvsearch", *sys.argv[1:]]), progress=_say,
    )  # fmt: skip
    if as_json:
        from mvsearch.scaling.plain import to_plain

        print(json.dumps(to_plain(view), indent=2))
        return
    from mvsearch.report.scaling_table import render_scaling
    from mvsearch.report.table import print_renderable

    print_renderable(render_scaling(view))
    if out is not None:
        for path in sorted(out.iterdir()):
            print(path)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
