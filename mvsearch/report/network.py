"""One network as a terminal table: every number with its kind, and where its costs go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.costs import Part, part_costs
from mvsearch.report.words import (
    METRIC_NAMES,
    PART_HEADINGS,
    exact_value,
    interval_text,
    kind_text,
    level_text,
    part_rows,
)
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import format_count
from mvsearch.spec.record import Evaluation


def render_network(
    name: str,
    evaluation: Evaluation,
    parts: Iterable[Part] | None = None,
    latency_by_part: Mapping[str, float] | None = None,
) -> RenderableType:
    """Configuration, every metric with value, unit, kind, interval and flags, and costs by stage.

    Args:
        name: as the user gave it.
        evaluation: the network's numbers.
        parts: `costs.lower(spec, resolution)`; without it the last table is left out.
        latency_by_part: milliseconds per part name, where a target can say so; they need not add up
            to the whole, which may hold a constant.
    """
    spec = evaluation.spec
    title = Text.assemble((name, "bold"), f"  {spec.arch_id} at {evaluation.resolution} px, {spec.num_classes} classes")
    sections: list[RenderableType] = [title, _configuration(spec), _metrics(evaluation)]
    sections += [Text(f"note: {line}") for line in _notes(evaluation)]
    if parts is not None:
        sections.append(_costs_by_part(tuple(parts), latency_by_part or {}))
    return Group(*sections)


def _plain_table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="")


def _configuration(spec: ArchSpec) -> Table:
    table = _plain_table()
    for heading in PART_HEADINGS:
        table.add_column(heading, justify="left" if heading in ("", "block") else "right")
    for row in part_rows(spec):
        table.add_row(
            row.part, row.block, row.channels, row.expansion, row.blocks, row.dim, row.depth, row.heads, row.ffn, row.patch
        )
    return table


def _metrics(evaluation: Evaluation) -> Table:
    table = _plain_table()
    for heading in ("metric", "value", "interval", "kind", "basis"):
        table.add_column(heading, justify="right" if heading == "value" else "left", overflow="fold")
    ordered = sorted(evaluation.measurements.values(), key=lambda m: _position(m.metric))
    for m in ordered:
        interval = interval_text(m)
        table.add_row(
            METRIC_NAMES.get(m.metric, m.metric),
            exact_value(m.metric, m.value),
            f"{interval} ({level_text(m)})" if interval and m.level else interval,
            kind_text(m),
            "; ".join(filter(None, (m.basis, ", ".join(m.flags)))),
        )
    return table


def _position(metric: str) -> int:
    order = list(METRIC_NAMES)
    return order.index(metric) if metric in order else len(order)


def _notes(evaluation: Evaluation) -> list[str]:
    notes = [f"{METRIC_NAMES.get(m.metric, m.metric)}: {m.protocol}" for m in evaluation.measurements.values() if m.protocol]
    if evaluation.failure:
        notes.append(f"failed ({evaluation.failure.kind}): {evaluation.failure.message}")
    return notes


def _costs_by_part(parts: tuple[Part, ...], latency: Mapping[str, float]) -> Table:
    costs = [part_costs(p) for p in parts]
    params, macs, milliseconds = sum(c.params for c in costs), sum(c.macs for c in costs), sum(latency.values())
    table = _plain_table()
    headings = ["part", "block", "output", "params", "", "MACs", "", "peak memory"] + (["ms", ""] if latency else [])
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("part", "block", "output") else "right", no_wrap=True)
    for part, cost in zip(parts, costs, strict=True):
        cells = [
            part.name, part.block, "x".join(map(str, part.output[1:])),
            format_count(cost.params), _share(cost.params, params), format_count(cost.macs), _share(cost.macs, macs),
            f"{cost.peak_memory / 1e6:.2f} MB",
        ]  # fmt: skip
        if latency:
            cells += (
                [f"{latency[part.name]:.2f}", _share(latency[part.name], milliseconds)] if part.name in latency else ["", ""]
            )
        table.add_row(*cells)
    return table


def _share(value: float, whole: float) -> str:
    return f"{value / whole * 100:.0f} %" if whole else ""
