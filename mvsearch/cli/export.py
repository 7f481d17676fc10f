"""`mvsearch export`, `mvsearch import` and `mvsearch library`: networks into other libraries, and back."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mvsearch.cli.commands import BUDGET_HELP
from mvsearch.spec import defaults

if TYPE_CHECKING:
    from mvsearch.api.export import Exported
    from mvsearch.export.exports import Outcome

NETWORK = "For a network by name or file"
TAG_HELP = "To find the entry by in its library; repeatable."
TO_HELP = (
    "`all`, or of timm, transformers, cvnets, training, onnx, torch, coreml, executorch, separated by commas. `all` leaves out "
    "what cannot express the network or is not installed, and says so."
)
LIBRARY_HELP = "Folder of many entries that the network goes into."


def export(
    source: Annotated[str, typer.Argument(help="A run's folder, an entry's folder, a published name, or a JSON file.")],
    to: Annotated[str, typer.Option("--to", help=TO_HELP)] = "all",
    library: Annotated[
        Path | None,
        typer.Option("--library", help=f"{LIBRARY_HELP} Without it: a run's or an entry's own folder, or `library`."),
    ] = None,
    member: Annotated[
        str | None, typer.Option("--member", help="Of a run: the arch_id of another network than the winner.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", "-t", help="Device that its latency is predicted for.", rich_help_panel=NETWORK)
    ] = "iphone12",
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Side of its images in pixels.", rich_help_panel=NETWORK)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="File with the names of the classes, one per line.", rich_help_panel=NETWORK),
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", help="Outputs of its classifier; 1000 by default.", rich_help_panel=NETWORK)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of its initial weights.", rich_help_panel=NETWORK)] = 0,
    tag: Annotated[list[str] | None, typer.Option("--tag", help=TAG_HELP)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace exports that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Export a network to model libraries and runtimes; each export is rebuilt from its files and compared."""
    from mvsearch.api.export import export as export_network

    exported = export_network(
        source, to, library=library, member=member, resolution=resolution, labels=labels, classes=classes, seed=seed,
        target=target, tags=tag or (), overwrite=overwrite, listener=ExportProgress(),
        command=shlex.join(["mvsearch", *sys.argv[1:]]),
    )  # fmt: skip
    _print_exported(exported, as_json)


def import_checkpoint(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint: .safetensors, .pt, .pth or .bin; of CVNets, timm, transformers or ours.")
    ],
    network: Annotated[
        str | None,
        typer.Option("--network", help="What it is of: a published name, a JSON file. By default the published one that fits."),
    ] = None,
    library: Annotated[Path, typer.Option("--library", help=LIBRARY_HELP)] = Path("library"),
    to: Annotated[str | None, typer.Option("--to", help="Export it at once; as for `mvsearch export`.")] = None,
    resolution: Annotated[int | None, typer.Option("--resolution", help="Side of its images in pixels.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="File with the names of the classes, one per line.")] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="Device that its latency is predicted for.")] = "iphone12",
    bgr: Annotated[
        bool, typer.Option("--bgr", help="It takes BGR images, as CVNets' released MobileViTs do; it is turned to RGB.")
    ] = False,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Run whatever code the file holds. Only for files that you made yourself.")
    ] = False,
    tag: Annotated[list[str] | None, typer.Option("--tag", help=TAG_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Bring a checkpoint of another library into an entry of ours."""
    from mvsearch.api.checkpoint import import_checkpoint as import_file

    exported, notes = import_file(
        checkpoint, network, library=library, to=to, resolution=resolution, labels=labels, target=target, bgr=bgr,
        trust_pickle=trust_pickle, tags=tag or (), listener=ExportProgress(), command=shlex.join(["mvsearch", *sys.argv[1:]]),
    )  # fmt: skip
    for note in notes:
        print(note, file=sys.stderr)
    _print_exported(exported, as_json)


def _print_exported(exported: Exported, as_json: bool) -> None:
    from mvsearch.report.exports import render_outcomes
    from mvsearch.report.table import print_renderable

    if as_json:
        print(json.dumps(_plain(exported), indent=2))
        return
    if exported.outcomes:
        print_renderable(render_outcomes(exported.outcomes, exported.folder))
    print(f"{exported.title}: {'a new entry' if exported.new else 'the entry'}  {exported.folder}")


def _plain(exported: Exported) -> dict[str, Any]:
    return {
        "folder": str(exported.folder),
        "network": exported.title,
        "new": exported.new,
        "exports": {
            o.name: {
                "status": o.status, "why": o.why, "hint": o.hint, "seconds": round(o.seconds, 3),
                "files": list((o.info or {}).get("files", ())), "check": o.check.to_json() if o.check else None,
            }
            for o in exported.outcomes
        },
    }  # fmt: skip


class ExportProgress:
    """A line for each export on stderr as it is made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def began(self, name: str, title: str) -> None:
        """See `ExportListener`."""
        print(f"{self._clock()}  {name}: {title}", file=sys.stderr)

    def ended(self, outcome: Outcome) -> None:
        """See `ExportListener`."""
        said = (
            f"written and checked, {outcome.seconds:.1f} s"
            if outcome.status == "written"
            else f"{outcome.status}: {outcome.why}"
        )
        print(f"{self._clock()}  {outcome.name}: {said}", file=sys.stderr)

    def _clock(self) -> str:
        return f"{time.monotonic() - self._start:6.1f} s"


LibraryFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The library's folder.")]


def list_library(
    folder: LibraryFolder,
    budget: Annotated[list[str] | None, typer.Option("--budget", "-b", help=BUDGET_HELP)] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Device for latencies; each entry's own by default.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only entries that have it; repeatable.")] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", help="With which a predicted latency has to keep its budget.")
    ] = defaults.CONFIDENCE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the entries of a library, or those that keep a budget."""
    from mvsearch.api.library import listed
    from mvsearch.report.exports import render_library
    from mvsearch.report.table import print_renderable

    found = listed(folder, budget or (), target, tag or (), confidence)
    if as_json:
        from dataclasses import asdict

        rows = [
            {
                **asdict(one.entry),
                "exports": list(one.exports),
                "measurements": {k: m.to_json() for k, m in one.measurements.items()},
            }
            for one in found
        ]
        print(json.dumps({"library": str(folder), "entries": rows}, indent=2))
        return
    if found:
        print_renderable(render_library([(one.entry, one.measurements, one.exports) for one in found]))
    print(f"{len(found)} {'entry' if len(found) == 1 else 'entries'} in {folder}")


def show_entry(
    folder: LibraryFolder,
    entry: Annotated[str, typer.Argument(help="Its folder, its published name, or its arch_id or the beginning of that.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show one entry of a library."""
    from mvsearch.api.library import show
    from mvsearch.report.exports import render_entry
    from mvsearch.report.table import print_renderable

    path, config, metrics = show(folder, entry)
    if as_json:
        print(json.dumps({"folder": str(path), "config": config, "metrics": metrics}, indent=2))
        return
    print_renderable(render_entry(path, config, metrics))


def add_entry(
    folder: LibraryFolder,
    entries: Annotated[list[Path], typer.Argument(metavar="ENTRY...", help="Folders of entries, e.g. `reports/RUN/winner`.")],
    tag: Annotated[list[str] | None, typer.Option("--tag", help=TAG_HELP)] = None,
) -> None:
    """Copy entries into a library; a network that is there stays one entry."""
    from mvsearch.export.shelf import Library

    for entry in entries:
        shelved, new = Library(folder).add(entry, tag or ())
        print(f"{'added' if new else 'is there as'}  {Library(folder).path(shelved)}")


def verify_library(folder: LibraryFolder) -> None:
    """Load every entry of a library, and put its index right; exit code 2 if an entry does not load."""
    from mvsearch.export.shelf import Library
    from mvsearch.report.exports import render_faults
    from mvsearch.report.table import print_renderable

    entries, faults = Library(folder).verify()
    if faults:
        print_renderable(render_faults(faults))
    print(f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'} in {folder} load")
    if any(f.lost for f in faults):
        raise typer.Exit(2)
