"""How far to trust the numbers: predicted latencies and estimated top-1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvsearch.errors import InputError
from mvsearch.spec import defaults

DEFAULT_TARGET = "iphone12"


def validate(
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help=f"Device, {DEFAULT_TARGET} by default; `mvsearch targets` lists them."),
    ] = None,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Estimated top-1 instead of latency; both, if --target is given too.")
    ] = False,
    anchors: Annotated[
        Path | None,
        typer.Option("--anchors", help="With --accuracy: your own networks on ImageNet-1k, columns `network` and `top1` in %."),
    ] = None,
    no_proxies: Annotated[
        bool,
        typer.Option("--no-proxies", help="With --accuracy: leave out what runs untrained networks; takes seconds."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="With --accuracy: of bootstrap, untrained weights and images.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the table, the picture and the figures as JSON.")
    ] = None,
) -> None:
    """Show how far to trust predicted latency, or with --accuracy estimated top-1; everything is refitted now."""
    if not accuracy and (anchors is not None or no_proxies or seed):
        given = "--anchors" if anchors is not None else "--no-proxies" if no_proxies else "--seed"
        raise InputError(f"`{given}` without `--accuracy`", "the latency report needs none; add `--accuracy`")
    if target is not None or not accuracy:
        _validate_latency(target or DEFAULT_TARGET, out)
    if accuracy:
        _validate_accuracy(anchors, not no_proxies, seed, out)


def _validate_latency(target: str, out: Path | None) -> None:
    from mvsearch.api.validate import validate as validate_target
    from mvsearch.report.table import print_renderable
    from mvsearch.report.validation import render_validation, write_validation

    found = validate_target(target)
    written = write_validation(found, out) if out else ()
    print_renderable(render_validation(found))
    for path in written:
        print(path)


def _validate_accuracy(anchors: Path | None, proxies: bool, seed: int, out: Path | None) -> None:
    from mvsearch.api.validate import validate_accuracy
    from mvsearch.cli.output import TerminalListener
    from mvsearch.report.accuracy_validation import render_accuracy_validation, write_accuracy_validation
    from mvsearch.report.table import print_renderable

    listener = TerminalListener(defaults.CONFIDENCE)
    try:
        found = validate_accuracy(anchors, proxies=proxies, seed=seed, progress=listener.progress)
    finally:
        listener.close()
    written = write_accuracy_validation(found, out) if out else ()
    print_renderable(render_accuracy_validation(found))
    for path in written:
        print(path)
