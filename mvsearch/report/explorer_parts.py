"""Where the rows' costs go: by stage for every network, by kind of operation for those that are looked at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvsearch.costs import OP_KINDS, Part, lower, part_costs
from mvsearch.report.explorer_columns import short
from mvsearch.report.explorer_rows import ON_FRONT, Row
from mvsearch.search.pareto import ranks
from mvsearch.targets.anatomy import anatomy
from mvsearch.targets.target import Target

BY_KIND = 240
"""Networks beside the front and the published ones whose costs are shown by kind of operation."""


def part_columns(rows: Sequence[Row], target: Target | None) -> dict[str, Any]:
    """Costs by stage. Parts that networks share stand once.

    Args:
        rows: the networks.
        target: whose prediction is split; None for no milliseconds.

    Returns:
        `parts`: columns of map height and width, params, macs, activations, peak memory, and ms before the network's own
        factor; `of`: per row the indices of its parts from stem to head; `factor` and `constant` (ms) per row, None for a
        target that cannot split its prediction.
    """
    model = target.latency_model if target else None
    index: dict[int, int] = {}
    kept: list[Part] = []
    columns: dict[str, list[Any]] = {k: [] for k in ("height", "width", "params", "macs", "activations", "peak", "ms")}
    of: list[list[int]] = []
    factors: list[float | int | None] = []
    constants: list[float | int | None] = []
    for row in rows:
        parts = lower(row.evaluation.spec, row.evaluation.resolution)
        factor, start, split = model.split(parts) if model else (None, None, [None] * len(parts))
        factors.append(short(factor))
        constants.append(short(start))
        for part, ms in zip(parts, split, strict=True):
            if id(part) not in index:
                index[id(part)] = len(kept)
                kept.append(part)
                costs = part_costs(part)
                height, width = part.output[-2:] if len(part.output) == 4 else (1, 1)
                numbers = (
                    height, width, costs.params, costs.macs, costs.activations, costs.peak_memory,
                    short(ms / factor, 4) if ms is not None and factor else None,
                )  # fmt: skip
                for column, number in zip(columns.values(), numbers, strict=True):
                    column.append(number)
        of.append([index[id(part)] for part in parts])
    return {"parts": columns, "of": of, "factor": factors if model else None, "constant": constants if model else None}


def kind_columns(rows: Sequence[Row], target: Target | None) -> dict[str, Any]:
    """Costs by kind of operation, of the front, the published networks, and the best others.

    Returns:
        `kinds`: their names; `of`: row -> [[kind, operations, params, macs, bytes moved, ms], ...].
    """
    found: dict[str, Any] = {}
    for i in _looked_at(rows):
        e = rows[i].evaluation
        found[str(i)] = [
            [OP_KINDS.index(k.kind), k.count, k.params, k.macs, k.bytes_moved, short(k.ms, 4)]
            for k in anatomy(e.spec, e.resolution, target).kinds
        ]
    return {"kinds": OP_KINDS, "of": found}


def _looked_at(rows: Sequence[Row]) -> list[int]:
    first = [i for i, r in enumerate(rows) if r.role in (*ON_FRONT, "published", "struck")]
    rest = [
        (i, (r.lower_top1, r.evaluation.measurements["latency"].value))
        for i, r in enumerate(rows)
        if r.role in ("candidate", "over") and r.lower_top1 is not None and "latency" in r.evaluation.measurements
    ]
    order = sorted(zip(ranks([pair for _, pair in rest]), (i for i, _ in rest), strict=True))
    return first + [i for _, i in order[:BY_KIND]]
