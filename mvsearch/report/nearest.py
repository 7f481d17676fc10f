"""What to show when no candidate keeps the budget: the nearest ones, and which budget binds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.report.words import kind_text, plural
from mvsearch.spec.budget import Budget, format_value
from mvsearch.spec.record import Evaluation

MAX_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Shortfall:
    """How far one candidate is from one budget.

    Attributes:
        budget: the limit.
        value: what counts against it: the number itself, for a latency the value not exceeded with the
            asked confidence.
    """

    budget: Budget
    value: float

    @property
    def ratio(self) -> float:
        """Value over limit; above 1 the budget is not kept."""
        return self.value / self.budget.limit


def shortfalls(evaluation: Evaluation, budgets: Iterable[Budget], confidence: float = 0.8) -> tuple[Shortfall, ...]:
    """One entry per budget whose metric is known of this candidate."""
    known = ((b, evaluation.measurements.get(b.metric)) for b in budgets)
    return tuple(Shortfall(b, m.value if b.is_counted else m.quantile(confidence)) for b, m in known if m is not None)


def by_distance(
    evaluations: Iterable[Evaluation], budgets: Sequence[Budget], confidence: float = 0.8
) -> list[tuple[Evaluation, tuple[Shortfall, ...]]]:
    """Candidates with the one whose worst budget is exceeded least first."""
    pairs = [(e, shortfalls(e, budgets, confidence)) for e in evaluations]
    return sorted((p for p in pairs if p[1]), key=lambda p: max(s.ratio for s in p[1]))


def render_nearest(
    evaluations: Iterable[Evaluation], budgets: Sequence[Budget], confidence: float = 0.8, limit: int = MAX_NEAREST
) -> RenderableType:
    """The nearest candidates, what each of them exceeds and by how much, and the budget that binds.

    Args:
        evaluations: any candidates with at least their counted costs.
        budgets: what was asked.
        confidence: with which a predicted latency has to meet its budget.
        limit: rows at most.
    """
    ranked = by_distance(evaluations, budgets, confidence)
    if not ranked:
        return Text("No candidate was evaluated.")
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("nearest", no_wrap=True)
    for budget in budgets:
        said = f"{budget.metric}, {confidence * 100:.0f} % sure" if not budget.is_counted else budget.metric
        table.add_column(f"{said}\nbudget {budget.text}", justify="right")
    table.add_column("blocks of stages 3-5", overflow="fold")
    for evaluation, short in ranked[:limit]:
        values = {s.budget.metric: s for s in short}
        cells = [_cell(values[b.metric]) if b.metric in values else "not known" for b in budgets]
        table.add_row(evaluation.arch_id, *cells, " ".join(evaluation.spec.blocks))
    return Group(table, *(Text(line) for line in verdict(ranked[0], confidence)))


def _cell(s: Shortfall) -> str:
    return f"{format_value(s.budget.metric, s.value)}  {excess(s.ratio)}"


def excess(ratio: float) -> str:
    """`fits`, `+12 %`, or `3.4 times`."""
    if ratio <= 1:
        return "fits"
    return f"+{max(0.1, (ratio - 1) * 100):.{0 if ratio >= 1.1 else 1}f} %" if ratio < 2 else f"{ratio:.1f} times"


def _against(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio >= 2 else f"{excess(ratio).removeprefix('+')} over"


def verdict(nearest: tuple[Evaluation, tuple[Shortfall, ...]], confidence: float) -> list[str]:
    """Which budget binds, in sentences, by the nearest candidate of `by_distance`."""
    evaluation, short = nearest
    over = sorted((s for s in short if s.ratio > 1), key=lambda s: -s.ratio)
    if not over:
        return ["The nearest candidate keeps every budget that is known of it."]
    binding = over[0]
    metric = binding.budget.metric
    lines = [
        f"What binds is {binding.budget.text}: the nearest candidate needs {format_value(metric, binding.value)}, "
        f"{_against(binding.ratio)} the limit."
    ]
    if not binding.budget.is_counted:
        m = evaluation.measurements[metric]
        lines.append(
            f"Its latency is {format_value(metric, m.value)}, {kind_text(m)}; {format_value(metric, binding.value)} "
            f"is not exceeded with {confidence * 100:.0f} % confidence. A lower --confidence asks for less."
        )
    if len(over) > 1:
        lines.append(f"It exceeds {plural(len(over), 'budget')}: {', '.join(s.budget.text for s in over)}.")
    return lines
