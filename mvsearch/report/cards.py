"""What the page tells of one network when it is pointed at: plain data for the page's script."""

from __future__ import annotations

from typing import Any

from mvsearch.report.scene import Point
from mvsearch.report.words import PART_HEADINGS, PartRow, bare_value, exact_value, flags_of, full_text, part_rows
from mvsearch.spec.record import Evaluation

_SHOWN = {"top1": "top-1", "latency": "latency", "params": "params", "macs": "MACs", "weight_bytes": "weights"}


def card(point: Point, confidence: float) -> dict[str, Any]:
    """Title, what it is, its numbers and its whole configuration.

    Returns:
        `id`, `role`, `numbers` [[name, text], ...], `parts` [[stem, block, width, ...], ...] under
        `part_headings()`, and `notes`.
    """
    numbers = [
        [name, _number(point.evaluation, metric)] for metric, name in _SHOWN.items() if metric in point.evaluation.measurements
    ]
    numbers.insert(1, ["at least", f"{bare_value('top1', point.lower_top1)} % ({confidence * 100:.0f} % confidence)"])
    if point.published_top1 is not None:
        numbers.insert(0, ["authors", f"{point.published_top1:.1f} % top-1, published"])
    notes = [point.sureness] if point.sureness else []
    notes += [f"nearest published network: {point.nearest}"] if point.nearest else []
    if point.role == "published" and not point.feasible:
        notes.append("not within the budget")
    if point.trial is not None:
        notes.append(f"trial {point.trial}" + (f", {point.origin}" if point.origin else ""))
    notes += flags_of(point.evaluation)
    return {
        "id": point.name,
        "role": {"tied": "tied with the winner", "front": "front member"}.get(point.role, point.role),
        "arch": point.evaluation.arch_id,
        "numbers": numbers,
        "parts": [_cells(row) for row in part_rows(point.evaluation.spec)],
        "notes": notes,
    }


def _number(evaluation: Evaluation, metric: str) -> str:
    m = evaluation.measurements[metric]
    return f"{exact_value(metric, m.value)}, counted" if m.kind == "counted" else full_text(m)


def _cells(row: PartRow) -> list[str]:
    return [
        row.part, row.block, row.channels, row.expansion, row.blocks, row.dim, row.depth, row.heads, row.ffn, row.patch
    ]  # fmt: skip


def part_headings() -> list[str]:
    """Column heads of a card's `parts`."""
    return list(PART_HEADINGS)
