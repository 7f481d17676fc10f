"""Measurements as a table, with what was predicted beside them, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mvsearch.report.table import print_renderable
from mvsearch.report.words import plural
from mvsearch.search.measuring import Measured, MeasureFailure, MeasureResult


def print_measured(found: MeasureResult, as_json: bool = False) -> None:
    """Print to stdout: a table, or one JSON object."""
    if as_json:
        print(json.dumps(measured_json(found), indent=2))
    else:
        print_renderable(render_measured(found))


def measured_json(found: MeasureResult) -> dict[str, Any]:
    """Plain data; single runs are left out, the cache and a run's `measurements.jsonl` hold them."""
    return {"target": found.target, "members": [_json(m) for m in found.members], "notes": list(found.notes)}


def _json(measured: Measured) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": measured.name, "arch_id": measured.arch_id}
    if measured.predicted:
        entry["predicted"] = measured.predicted.to_json()
    if isinstance(measured.outcome, MeasureFailure):
        return {**entry, "failure": {"kind": measured.outcome.kind, "message": measured.outcome.message}}
    record = measured.outcome
    return {
        **entry,
        "latency": record.measurement().to_json(),
        "p50_ms": record.p50_ms,
        "p90_ms": record.p90_ms,
        "conditions": dict(record.conditions),
        "taken_at": record.taken_at,
    }


def render_measured(found: MeasureResult) -> RenderableType:
    """One row per network: measured with its interval, predicted with its, and how the two agree."""
    with_predicted = any(m.predicted for m in found.members)
    columns = ["measured\nms", "interval", "runs", "p90\nms"]
    columns += ["predicted\nms", "its interval", "measured /\npredicted"] if with_predicted else []
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="", show_edge=False)
    table.add_column("network", overflow="fold", min_width=12)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for m in found.members:
        table.add_row(*_cells(m)[: len(columns) + 1])
    measured = [m for m in found.members if m.record]
    title = f"{plural(len(measured), 'network')} measured on {found.target}"
    notes = [*_agreement(measured), *_circumstances(measured), *_remarks(found.members), *found.notes]
    return Group(Text(title, style="bold"), table, *(Padding(Text(n), (0, 1)) for n in notes))


def _cells(m: Measured) -> list[str]:
    p, r = m.predicted, m.record
    cells = [m.name, "none", "", "", ""]
    if r:
        cells = [m.name, f"{r.value_ms:.2f}", f"{r.low_ms:.2f} to {r.high_ms:.2f}", f"{r.n:,}", f"{r.p90_ms:.2f}"]
    if p and p.low is not None and p.high is not None:
        cells += [f"{p.value:.2f}", f"{p.low:.2f} to {p.high:.2f}", f"{r.value_ms / p.value:.2f}" if r else ""]
    return cells


def _remarks(members: Sequence[Measured]) -> list[str]:
    """Failures and flags; those of one kind together, told by the example of the first."""
    about: dict[str, list[tuple[str, str]]] = {}
    for m in members:
        if isinstance(m.outcome, MeasureFailure):
            texts: tuple[str, ...] = (f"not measured, {m.outcome.kind}: {m.outcome.message}",)
        else:
            texts = m.outcome.flags
        for text in texts:
            kind, _, rest = text.partition(": ")
            about.setdefault(kind, []).append((m.name, rest))
    return [f"{kind} ({_few([name for name, _ in found], len(members))}): {found[0][1]}" for kind, found in about.items()]


def _few(names: list[str], total: int) -> str:
    if len(names) == total > 1:
        return "all"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _agreement(measured: list[Measured]) -> list[str]:
    """How many measurements lie inside their predicted intervals."""
    pairs = [(m.record, m.predicted) for m in measured if m.record and m.predicted]
    inside = sum(p.low <= r.value_ms <= p.high for r, p in pairs if p.low is not None and p.high is not None)
    if not pairs:
        return []
    level = f"{100 * (pairs[0][1].level or 0):.0f} %"
    return [f"{inside} of {len(pairs)} measured latencies lie inside their predicted {level} intervals."]


def _circumstances(measured: list[Measured]) -> list[str]:
    if not measured or measured[0].record is None:
        return []
    r = measured[0].record
    made_by = ", ".join(f"{name} {version}" for name, version in r.versions)
    return [f"Value: {r.statistic}; protocol {r.protocol} on {r.condition('device') or r.target}; {made_by}."]
