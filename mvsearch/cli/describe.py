"""`mvsearch describe`: networks, their numbers, and where these go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mvsearch.cli.commands import ANCHORS_HELP, CALIBRATION_HELP
from mvsearch.errors import InputError

if TYPE_CHECKING:
    from mvsearch.api import Description
    from mvsearch.report.anatomy import By

MAX_NETWORKS = 6


def describe(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK", help="Published names, JSON files or library entries; several are shown side by side."
        ),
    ],
    target: Annotated[str, typer.Option("--target", "-t", help="Device for the latency.")] = "iphone12",
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Image side in pixels; 256, or 224 for EfficientFormers, by default.")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="Show where latency, MACs, parameters and memory go by `stage`, `kind` or `op`.")
    ] = "stage",
    calibration: Annotated[Path | None, typer.Option("--calibration", help=CALIBRATION_HELP)] = None,
    anchors: Annotated[Path | None, typer.Option("--anchors", help=ANCHORS_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the tables as CSV and a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show networks: costs, predicted latency and estimated top-1, and where they go; two or more side by side."""
    from mvsearch.api.describe import describe_all

    how = _by(by, len(networks))
    described = describe_all(networks, target, resolution, calibration, anchors)
    written = _write(described, how, out) if out else ()
    if as_json:
        print(json.dumps(_one(described[0], how) if len(described) == 1 else _several(described, how), indent=2))
        return
    _print(described, how)
    for path in written:
        print(path)


def _by(text: str, number: int) -> By:
    from mvsearch.report.anatomy import BY

    found: dict[str, By] = {name: name for name in BY}
    if text not in found:
        raise InputError(f"`--by` is `{text}`", f"one of {', '.join(f'`{name}`' for name in BY)}")
    if number > MAX_NETWORKS:
        raise InputError(f"{number} networks are too many to show side by side", f"name at most {MAX_NETWORKS}")
    if number > 1 and text == "op":
        raise InputError("`--by op` with several networks", "their operations do not pair; compare by `stage` or `kind`")
    return found[text]


def _write(described: Sequence[Description], by: By, out: Path) -> tuple[Path, ...]:
    from mvsearch.report.anatomy_files import write_anatomy
    from mvsearch.report.words import kind_text

    known = [(d, d.anatomy) for d in described if d.anatomy is not None]
    if not known:
        raise InputError("nothing to write: the costs could not be counted", "see the reason without `--out`")
    latency = known[0][0].evaluation.measurements.get("latency")
    ids, names = [d.evaluation.arch_id for d, _ in known], [d.name for d, _ in known]
    return write_anatomy(out, ids, names, [a for _, a in known], by, kind_text(latency) if latency else "")


def _print(described: Sequence[Description], by: By) -> None:
    from mvsearch.report.network import render_network
    from mvsearch.report.networks import render_networks
    from mvsearch.report.table import print_renderable

    if len(described) == 1:
        (only,) = described
        print_renderable(render_network(only.name, only.evaluation, only.anatomy, by))
        return
    print_renderable(
        render_networks([d.name for d in described], [d.evaluation for d in described], [d.anatomy for d in described], by)
    )


def _one(found: Description, by: By) -> dict[str, Any]:
    from mvsearch.spec.arch import to_json

    e = found.evaluation
    return {
        "name": found.name,
        "arch_id": e.arch_id,
        "resolution": e.resolution,
        **{metric: m.to_json() for metric, m in e.measurements.items()},
        "anatomy": _anatomy(found, by),
        "arch": to_json(e.spec),
    }


def _anatomy(found: Description, by: By) -> dict[str, Any] | None:
    a = found.anatomy
    if a is None:
        return None
    parts = [{"title": p.title, **asdict(p)} for p in a.parts]
    kinds = [asdict(k) for k in a.kinds]
    ops = {"ops": [asdict(op) for op in a.ops]} if by == "op" else {}
    return {"constant_ms": a.constant_ms, "total_ms": a.total_ms, "parts": parts, "kinds": kinds, **ops}


def _several(described: Sequence[Description], by: By) -> dict[str, Any]:
    from mvsearch.report.anatomy import changes

    first, *others = described
    return {
        "networks": [_one(d, by) for d in described],
        "changes": [
            {"to": d.name, "from": first.name, **asdict(c)}
            for d in others
            for c in changes(first.evaluation.spec, d.evaluation.spec)
        ],
    }
