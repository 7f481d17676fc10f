"""`compare.csv` (a row per run and its winner), `fronts.csv` (a row per network on a front), `attainment.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mvsearch.report.compare_data import Comparison, Group, Panel
from mvsearch.report.compare_fronts import cost_on, points_of
from mvsearch.report.csv import COLUMNS, evaluation_row
from mvsearch.report.scene import COSTS

_RUN = (
    ("run", "the run's folder, as short as tells it from the others"),
    ("group", "letter of its group: runs that differ in nothing but their seed"),
    ("group_label", "what the group's settings are where groups differ"),
    ("seed", "of the run"),
    ("common_lower_top1", "lower bound of top-1 in % at `common_confidence`, the same for all rows"),
    ("common_confidence", "the highest confidence that one of the runs was asked for"),
)
_OUTCOME = (
    ("finished", "1 if the run came to its end, else 0"),
    ("trials_done", "evaluated candidates"),
    ("trials_asked", "distinct candidates that the run was asked for"),
    ("run_seconds", "wall clock of the run"),
    ("hypervolume", "area that the run's front dominates in (lower bound of top-1, latency), in points x ms"),
    (
        "reference_top1",
        "lower bound of top-1 in % from which the hypervolume is measured, the same for all of one latency axis",
    ),
    ("reference_latency_ms", "latency from which it is measured"),
    ("latency_axis", "the axis that the run shares with others: hypervolumes of two axes are not compared"),
)
_NETWORK = tuple(c for c in COLUMNS if c[0] not in ("arch_id", "number", "probability_on_front", "origin", "feasible"))
RUN_COLUMNS = (("arch_id", "content hash of the run's winner; empty without one"), *_RUN, *_OUTCOME, *_NETWORK)
FRONT_COLUMNS = (("arch_id", "content hash of the network"), *_RUN, *_NETWORK)
ATTAINMENT_COLUMNS = (
    ("axis", "latency, params or macs"),
    ("axis_title", "kind, device and unit of the cost"),
    ("group", "letter of the group"),
    ("group_label", "what the group's settings are where groups differ"),
    ("runs", "of the group"),
    ("attained_by", "at least so many of them attain the corner"),
    ("median", "1 for the level that at least half of the runs attain, else 0"),
    ("lower_top1", "lower bound of top-1 in %, at the comparison's confidence"),
    ("cost", "in the unit of the axis"),
)
"""(column, meaning) of the three files, in order; a corner of a level need not be a network."""


def write_rows(path: Path, columns: Sequence[tuple[str, str]], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under documented columns; what a row lacks stays empty, what has no column is left out."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name, _ in columns], lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def run_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One row per run: its winner, and what its front dominates."""
    places = {comparison.groups[f.group].letter: (p, f) for p in comparison.panels_of("latency") for f in p.fronts}
    for group in comparison.groups:
        panel, found = places[group.letter]
        for run, area in zip(group.runs, found.areas, strict=True):
            view = run.view
            row: dict[str, Any] = {}
            if run.winner is not None:
                evaluation = run.winner.evaluation
                row = evaluation_row(evaluation, view.settings) | {"role": "winner"}
                row["common_lower_top1"] = _number(evaluation.measurements["top1"].quantile(1 - comparison.confidence))
            row |= _run_cells(comparison, group, run.name, view.settings.seed)
            row |= {"finished": int(view.finished), "trials_done": len(view.trials), "trials_asked": view.settings.trials}
            row |= {"run_seconds": _number(view.seconds), "hypervolume": _number(area), "latency_axis": panel.title}
            if panel.reference:
                row |= {"reference_top1": _number(panel.reference[0]), "reference_latency_ms": _number(panel.reference[1])}
            yield row


def front_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One row per network on a run's front of (lower bound of top-1, latency), fastest first."""
    for group, run in comparison.runs:
        best = float("-inf")
        points = points_of(run, comparison.confidence)
        for lower, evaluation in sorted(points, key=lambda p: (cost_on("latency", p[1]), -p[0])):
            if lower <= best:
                continue
            best = lower
            yield {
                **evaluation_row(evaluation, run.view.settings),
                **_run_cells(comparison, group, run.name, run.view.settings.seed),
                "common_lower_top1": _number(lower),
                "role": "winner" if evaluation.arch_id == run.view.winner else "front",
            }


def attainment_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One row per corner of every level."""
    for axis in COSTS:
        for panel in comparison.panels_of(axis):
            yield from _level_rows(comparison, panel)


def _level_rows(comparison: Comparison, panel: Panel) -> Iterator[dict[str, Any]]:
    for found in panel.fronts:
        group = comparison.groups[found.group]
        for k, level in enumerate(found.levels, start=1):
            for lower, cost in level:
                yield {
                    "axis": panel.axis, "axis_title": panel.title, "group": group.letter, "group_label": group.label,
                    "runs": len(group.runs), "attained_by": k, "median": int(level is found.median),
                    "lower_top1": _number(lower), "cost": _number(cost),
                }  # fmt: skip


def _run_cells(comparison: Comparison, group: Group, name: str, seed: int) -> dict[str, Any]:
    return {
        "run": name,
        "group": group.letter,
        "group_label": group.label,
        "seed": seed,
        "common_confidence": _number(comparison.confidence),
    }


def _number(value: float) -> str:
    return f"{value:.7g}"
