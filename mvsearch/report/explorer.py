"""What the explorer's script draws from: the whole run as plain data.

The scripts are `explorer_*.js`, put into the page in the order of `SCRIPTS`; they share one object, `mv`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mvsearch.accuracy.field import FieldPoint
from mvsearch.report.explorer_columns import (
    METRICS,
    Texts,
    constant,
    fixed_parts,
    knob_columns,
    knobs_of,
    metric_columns,
    short,
)
from mvsearch.report.explorer_field import MAIN_FAMILIES, field_rows
from mvsearch.report.explorer_parts import kind_columns, part_columns
from mvsearch.report.explorer_rows import ON_FRONT, ROLES, Row, rows_of
from mvsearch.report.nearest import by_distance
from mvsearch.report.select import knee, thinned
from mvsearch.report.words import FAMILY_NAMES, flags_of, level_text
from mvsearch.search.importance import Importance, importances
from mvsearch.spec.budget import Budget
from mvsearch.spec.run import RunView
from mvsearch.targets.target import Target

SCRIPTS = (
    "explorer_data.js",
    "explorer_draw.js",
    "explorer_state.js",
    "explorer_colours.js",
    "explorer_axes.js",
    "explorer_scatter.js",
    "explorer_pointing.js",
    "explorer_stages.js",
    "explorer_about.js",
    "explorer_network.js",
    "explorer_parallel.js",
    "explorer_filter.js",
    "explorer_controls.js",
    "explorer_table.js",
    "explorer_history.js",
    "explorer_live.js",
    "painted.js",
    "page.js",
)
OBJECTIVES = ("lower", "top1", "latency", "params", "macs", "peak_memory")
"""Whose dimensions are looked for."""
IMPORTANCE_TRIALS = 4000
"""Of more feasible trials as many at even steps: a share is known well enough by then."""


def explorer_data(
    view: RunView, rows: Sequence[Row], field: tuple[FieldPoint, ...] = (), target: Target | None = None
) -> dict[str, Any]:
    """Everything that the page's script needs.

    Args:
        view: the run.
        rows: of `rows_of`.
        field: of `explorer_field.field_of`.
        target: whose prediction is split among the stages.
    """
    specs = [row.evaluation.spec for row in rows]
    columns, sources = metric_columns(rows)
    return {
        **_identities(view, rows),
        "metrics": columns,
        "sources": sources,
        "knobs": knob_columns(specs),
        **fixed_parts(specs),
        "costs": part_columns(rows, target),
        "kinds": kind_columns(rows, target),
        "field": field_rows(field),
        "off": sorted({p.family for p in field} - set(MAIN_FAMILIES)),
        "families": FAMILY_NAMES,
        "budgets": [_budget(b) for b in view.settings.budgets],
        "target": view.settings.target,
        "resolution": view.settings.resolution,
        "confidence": view.settings.confidence,
        "knee": knee(view.front),
        "first": _first(view),
        "growth": [[n, short(area), seconds] for n, area, seconds in view.hypervolume],
        "running": None if view.finished else {"trials": view.counts.evaluated, "seconds": round(view.seconds, 1)},
    }


def _identities(view: RunView, rows: Sequence[Row]) -> dict[str, Any]:
    origins, notes, rungs, nearest = Texts(), Texts(), Texts(), Texts()
    levels = sorted({level_text(m) for r in rows if r.role in ON_FRONT for m in r.evaluation.measurements.values() if m.level})
    return {
        "names": [r.name for r in rows],
        "ids": {str(i): r.evaluation.arch_id for i, r in enumerate(rows) if r.name != r.evaluation.arch_id},
        "roles": ROLES,
        "role": constant([ROLES.index(r.role) for r in rows]),
        "feasible": constant([int(r.feasible) for r in rows]),
        "origin": constant([origins.index(r.origin) for r in rows]),
        "origins": origins.texts,
        "rung": constant([rungs.index(r.evaluation.rung) for r in rows]),
        "rungs": rungs.texts,
        "nearest": constant([nearest.index(r.nearest) for r in rows]),
        "nearests": nearest.texts,
        "published": {
            str(i): [r.label, r.family, r.said] for i, r in enumerate(rows) if r.role == "published"
        },
        "flags": {str(i): [notes.index(f) for f in flags] for i, r in enumerate(rows) if (flags := flags_of(r.evaluation))},
        "failures": {
            str(i): f"{f.kind}: {f.message}" for i, r in enumerate(rows) if (f := r.evaluation.failure) is not None
        },
        "notes": notes.texts,
        "level": "/".join(levels),
    }  # fmt: skip


def _first(view: RunView) -> str | None:
    """Who is shown before anybody is pointed at: the winner, the front's best, else who comes nearest to the budget."""
    if view.winner or view.front:
        return view.winner or max(view.front, key=lambda m: m.lower_top1).evaluation.arch_id
    ranked = by_distance((t.evaluation for t in view.trials), view.settings.budgets, view.settings.confidence)
    return ranked[0][0].arch_id if ranked else None


def _budget(budget: Budget) -> dict[str, Any]:
    """On the axis that shows it: a limit on FLOPs is one on MACs."""
    flops = budget.metric == "flops"
    return {
        "metric": "macs" if flops else budget.metric,
        "limit": budget.limit / 2 if flops else budget.limit,
        "text": budget.text,
        "counted": budget.is_counted,
    }


def run_importances(rows: Sequence[Row]) -> tuple[Importance, ...]:
    """Which knobs go with which numbers, among the feasible trials that have all of them."""
    read = {m.key: m.read for m in METRICS if m.key in OBJECTIVES}
    usable = []
    for row in thinned([r for r in rows if r.feasible and r.trial is not None and r.role != "failed"], IMPORTANCE_TRIALS):
        found = {key: read[key](row) for key in OBJECTIVES}
        if all(v is not None for v in found.values()):
            numbers = {k: v if isinstance(v, float | int) else v.value for k, v in found.items() if v is not None}
            usable.append((knobs_of(row.evaluation.spec), numbers))
    names = dict.fromkeys(name for knobs, _ in usable for name in knobs)
    return importances(
        {name: [knobs.get(name) for knobs, _ in usable] for name in names},
        {key: [numbers[key] for _, numbers in usable] for key in OBJECTIVES},
    )


def failures_by_kind(view: RunView) -> list[tuple[str, int, str]]:
    """(kind, how many, one of the messages) of all failures, struck members included, most frequent first."""
    failed = {t.evaluation.arch_id: t.evaluation.failure for t in view.trials if t.evaluation.failure}
    failed |= {e.arch_id: e.failure for e in view.struck if e.failure}
    counted = Counter(f.kind for f in failed.values() if f)
    example = {f.kind: f.message for f in failed.values() if f}
    return [(kind, count, example[kind]) for kind, count in counted.most_common()]


def origins_of(view: RunView) -> list[tuple[str, int, int, int]]:
    """(origin, evaluated, feasible, on the front) of the trials, most frequent first."""
    members = {m.trial for m in view.front}
    evaluated: Counter[str] = Counter()
    feasible: Counter[str] = Counter()
    on_front: Counter[str] = Counter()
    for t in view.trials:
        evaluated[t.origin] += 1
        feasible[t.origin] += t.feasible
        on_front[t.origin] += t.number in members
    return [(origin, count, feasible[origin], on_front[origin]) for origin, count in evaluated.most_common()]


__all__ = ["SCRIPTS", "explorer_data", "failures_by_kind", "origins_of", "rows_of", "run_importances"]
