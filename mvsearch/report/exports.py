"""Tables of exports and libraries for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from mvsearch.spec.budget import format_value
from mvsearch.spec.record import Measurement

if TYPE_CHECKING:
    from mvsearch.export.exports import Outcome
    from mvsearch.export.shelf import Fault, Shelved

_STYLES = {"written": "green", "kept": "", "refused": "yellow", "missing": "yellow"}


def render_outcomes(outcomes: Sequence[Outcome], folder: Path) -> Table:
    """What became of each export, with what it was checked by."""
    table = _table("export", "", "files", "size", "checked, or why not")
    for o in outcomes:
        files = tuple(o.info["files"]) if o.info else ()
        size = sum(_bytes(folder / f) for f in files)
        table.add_row(
            o.name, Text(o.status, style=_STYLES[o.status]), Text(", ".join(files)),
            format_value("weight_bytes", size) if files else "", Text(_said(o)),
        )  # fmt: skip
    return table


def _said(o: Outcome) -> str:
    if o.check is None:
        return f"{o.why} ({o.hint})" if o.hint else o.why
    within = f": within {o.check.difference:.1e}" if o.check.difference is not None else ""
    return "; ".join((f"{o.check.by}{within}", *o.check.notes))


def render_library(rows: Sequence[tuple[Shelved, dict[str, Measurement], Sequence[str]]]) -> Table:
    """Entries with their numbers, each with its kind below it."""
    table = _table("entry", "params", "latency", "top-1", "weights, exports, tags")
    for entry, numbers, exports in rows:
        what = [f"{entry.weights}, {entry.resolution} px", " ".join(exports), ", ".join(f"#{tag}" for tag in entry.tags)]
        name = entry.folder if entry.arch_id in entry.folder else f"{entry.folder}\n{entry.arch_id}"
        table.add_row(
            Text(name), *(_number(numbers.get(k)) for k in ("params", "latency", "top1")), Text("\n".join(filter(None, what)))
        )
    return table


def _number(m: Measurement | None) -> str:
    if m is None:
        return ""
    value, kind = format_value(m.metric, m.value), " ".join(filter(None, (m.kind, m.target)))
    if m.low is None or m.high is None:
        return f"{value}\n{kind}"
    digits = 1 if m.unit == "%" else 2
    return f"{value} ({m.low:.{digits}f} to {m.high:.{digits}f})\n{kind}"


def render_faults(faults: Sequence[Fault]) -> Table:
    """What was wrong in a library."""
    table = _table("entry", "what was wrong", "")
    for f in faults:
        table.add_row(Text(f.folder), Text(f.message), "index mended" if f.mended else "left as it is")
    return table


def render_entry(path: Path, config: dict[str, Any], metrics: dict[str, Any]) -> Table:
    """An entry's numbers and exports."""
    from mvsearch.export.card import title, weights_line

    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    rows = [("network", title(config)), ("arch_id", config["arch"]["arch_id"]), ("weights", weights_line(config))]
    rows += [(k, _number(Measurement.from_json(m)).replace("\n", " ")) for k, m in metrics["measurements"].items()]
    rows += [(f"export {k}", ", ".join(e.get("files", ()))) for k, e in metrics["exports"].items()]
    rows += [("folder", str(path))]
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    return table


def _bytes(path: Path) -> int:
    return sum(f.stat().st_size for f in (path.rglob("*") if path.is_dir() else (path,)) if f.is_file())
