"""The field's networks on a run's picture: published numbers beside estimated ones, and never mixed with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvsearch.accuracy.field import FieldPoint, field_points
from mvsearch.spec.budget import Budget
from mvsearch.spec.run import RunSettings

MARGIN = 0.01
"""Share of its cost that a mark keeps from the frame."""


@dataclass(frozen=True, slots=True)
class FieldMark:
    """One network of the field on a panel.

    Attributes:
        label: its name.
        cost: published: latency in ms, parameters or MACs in millions.
        top1: published ImageNet-1k top-1, in %.
        feasible: whether it is known to keep every budget.
    """

    label: str
    cost: float
    top1: float
    feasible: bool


def field_marks(settings: RunSettings, cost: str) -> tuple[FieldMark, ...]:
    """What can be set against a run's networks: other families, trained without a teacher as an estimate assumes.

    A latency counts only if it was taken under the protocol that the run predicts for its target; the MobileViTs are on the
    picture already, judged by the run's own models.

    Args:
        settings: of the run.
        cost: `latency`, `params` or `macs`.
    """
    marks = []
    for p in field_points(settings.target):
        value = _value(p, cost)
        if value is not None and not p.is_distilled and not p.family.startswith("MobileViT"):
            feasible = all(_keeps(p, budget) for budget in settings.budgets)
            marks.append(FieldMark(p.name, value, p.top1, feasible))
    return tuple(marks)


def _value(point: FieldPoint, cost: str) -> float | None:
    if cost == "latency":
        return point.latency_ms if point.latencies and point.latencies[0].is_reference else None
    value = point.params if cost == "params" else point.macs
    return None if value is None else value / 1e6


def _keeps(point: FieldPoint, budget: Budget) -> bool:
    known = {
        "params": point.params,
        "macs": point.macs,
        "flops": None if point.macs is None else 2 * point.macs,
        "latency": _value(point, "latency"),
    }.get(budget.metric)
    return known is not None and known <= budget.limit


def in_view(marks: Sequence[FieldMark], costs: tuple[float, float], top1: tuple[float, float]) -> list[FieldMark]:
    """Those within the shown part of both axes, the best ones first."""
    low, high = costs[0] * (1 + MARGIN), costs[1] / (1 + MARGIN)
    inside = [m for m in marks if low < m.cost < high and top1[0] < m.top1 < top1[1]]
    return sorted(inside, key=lambda m: (not m.feasible, -m.top1, m.label))
