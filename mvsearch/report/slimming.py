"""`slimming.csv`: every network on every slimming path of a run, each column documented in `SLIMMING_COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mvsearch.report.number_columns import ARCH_ID, COUNTED, FLAGS, number_cells, number_text, uncertain_columns
from mvsearch.spec.run import RunView

SLIMMING_COLUMNS: tuple[tuple[str, str], ...] = (
    ARCH_ID,
    ("path", "number of the path, from 1"),
    ("aim", "what the path makes for; once that is met, it goes on by milliseconds"),
    ("judged_by", "estimate, or measurement: what the path's moves were taken by"),
    ("step", "moves from the largest network, from 0"),
    ("trial", "number of the trial in trials.csv"),
    ("move", "what the step changed, in words"),
    ("in_budget", "1 if every budget is kept with the run's confidence, else 0"),
    ("lost_top1", "points of lower_top1 that the move took; negative where it brought some"),
    ("saved_ms", "milliseconds of latency_ms that it took off"),
    ("score", "points lost for one unit of what slim_by sets them against; moves that lose nothing come first"),
    ("slim_by", "accuracy-per-ms: the share of what was over the budgets, ms once they are met; mes: Mobile Efficiency Score"),
    ("lower_top1", "lower bound of top-1 in % at the run's confidence"),
    *uncertain_columns("predicted, estimated or measured"),
    *COUNTED.items(),
    ("resolution", "side of the square image in pixels"),
    FLAGS,
)
"""(column, meaning), in order."""


def slimming_rows(view: RunView) -> Iterator[dict[str, Any]]:
    """One row per network and path, in the order of the paths."""
    for number, path in enumerate(view.slimming, start=1):
        for at, step in enumerate(path.steps):
            yield {
                **number_cells(step.evaluation, view.settings.confidence),
                "path": number,
                "aim": path.aim,
                "judged_by": "measurement" if path.measured else "estimate",
                "step": at,
                "trial": step.trial,
                "move": step.move,
                "in_budget": int(step.in_budget),
                "lost_top1": number_text(step.lost),
                "saved_ms": number_text(step.saved_ms),
                "score": number_text(step.score),
                "slim_by": view.settings.slim_by,
            }


def write_slimming_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under the documented columns; what a row lacks stays empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name, _ in SLIMMING_COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
