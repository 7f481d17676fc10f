"""One network as a terminal table: every number with its kind, and where its costs go."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.report.anatomy import By
from mvsearch.report.anatomy_table import notes as anatomy_notes
from mvsearch.report.anatomy_table import render_breakdown
from mvsearch.report.terminal import note
from mvsearch.report.words import METRIC_NAMES, PART_HEADINGS, exact_value, interval_text, kind_text, level_text, part_rows
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation
from mvsearch.targets.anatomy import Anatomy


def render_network(name: str, evaluation: Evaluation, anatomy: Anatomy | None = None, by: By = "stage") -> RenderableType:
    """Configuration, every metric with value, unit, kind, interval and flags, and where the costs go.

    Args:
        name: as the user gave it.
        evaluation: the network's numbers.
        anatomy: where its costs go; without it the last table is left out.
        by: what a line of that table is.
    """
    spec = evaluation.spec
    title = Text.assemble((name, "bold"), f"  {spec.arch_id} at {evaluation.resolution} px, {spec.num_classes} classes")
    sections: list[RenderableType] = [title, _configuration(spec), _metrics(evaluation)]
    sections += [Text(f"note: {line}") for line in _notes(evaluation)]
    if anatomy is not None:
        sections += [render_breakdown(anatomy, by), *(note(line) for line in anatomy_notes(anatomy, by))]
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
