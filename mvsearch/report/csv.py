"""`trials.csv` and `front.csv`: one row per network, every column documented in `COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from mvsearch.report.number_columns import ARCH_ID, COUNTED, FLAGS, number_cells, number_text, uncertain_columns
from mvsearch.report.words import ON_FRONT_MEANING, head_text, patch_text
from mvsearch.spec.arch import (
    SWITCHES,
    ArchSpec,
    ConvStem,
    ExpandHead,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
)
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import RunSettings, RunView

NUM_STAGES = 5
"""Of every published network, and of every network of a search space."""

_FIRST = (
    ARCH_ID,
    ("number", "number of the trial, from 0"),
    ("role", "winner, tied (with the winner), front, struck (off the front), candidate, over (a budget), failed"),
    ("feasible", "1 if every budget is kept with the run's confidence, else 0"),
    ("lower_top1", "lower bound of top-1 in % at the run's confidence: what the search maximises"),
    ("probability_in_budget", "probability that the latency budgets are kept; 1 if only counted metrics are limited"),
    ("probability_on_front", f"of a member of the front: {ON_FRONT_MEANING}"),
)
_LAST = (
    ("stem", "channels of the stem"),
    ("head", "pool, or expand RATIO max CHANNELS"),
    ("activation", "activation function"),
    ("num_classes", "outputs of the classifier"),
    ("in_channels", "channels of the image"),
    ("resolution", "side of the square image in pixels"),
    ("origin", "where the proposal came from: published, scaled, bred, random, ..."),
    ("ended_s", "seconds that the run had worked when the trial ended; empty where nobody took the time"),
    ("rung", "how far the candidate got: estimated, built, converted, measured, trained"),
    FLAGS,
    ("failure", "why the candidate failed, `kind: message`"),
)
_KNOBS = (
    ("block", "block of stage {i}: mv2, v1, v2, v3-v1, v3-v2, or v1+/v2+ and the letters of MobileViTv3's changes"),
    ("c", "channels of stage {i}"),
    ("e", "expansion ratio of stage {i}"),
    ("n", "inverted residuals in stage {i}; empty where it has a transformer"),
    ("s", "stride of stage {i}"),
    ("d", "transformer width of stage {i}"),
    ("L", "transformer layers of stage {i}"),
    ("heads", "attention heads of stage {i}; empty for the single context of v2"),
    ("ffn", "feed-forward ratio of stage {i}"),
    ("patch", "patch of stage {i}, height x width in pixels of its map"),
)


def columns(num_stages: int = NUM_STAGES) -> tuple[tuple[str, str], ...]:
    """(column, meaning) in order, for networks of at most so many stages."""
    return (
        *_FIRST,
        *uncertain_columns("predicted, estimated, measured or published"),
        *COUNTED.items(),
        ("blocks", "blocks of the transformer stages in order"),
        *((f"{name}{i}", what.format(i=i)) for name, what in _KNOBS for i in range(1, num_stages + 1)),
        *_LAST,
    )


COLUMNS = columns()
"""(column, meaning) of both files, in order; a network of more stages adds columns, so that nothing of it is lost."""


def columns_markdown() -> str:
    """`COLUMNS` as a table, the stages' columns in one line each: what README.md beside this file holds."""
    knobs = ((f"{name}1` .. `{name}{NUM_STAGES}", what.replace("stage {i}", "the stage")) for name, what in _KNOBS)
    before = tuple(c for c in columns(0) if c not in _LAST)
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in (*before, *knobs, *_LAST))
    return f"| column | meaning |\n|---|---|\n{rows}\n"


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under the documented columns; what a row lacks stays empty."""
    rows = list(rows)
    stages = NUM_STAGES
    while any(f"block{stages + 1}" in row for row in rows):
        stages += 1
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name, _ in columns(stages)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def trial_rows(view: RunView) -> Iterator[dict[str, Any]]:
    """One row per trial, in order."""
    roles = view.roles
    for trial in view.trials:
        yield {**evaluation_row(trial.evaluation, view.settings), **_trial_cells(trial, roles)}


def front_rows(view: RunView) -> Iterator[dict[str, Any]]:
    """One row per member of the front, fastest first, at the highest rung that it reached."""
    roles = view.roles
    trials = {t.number: t for t in view.trials}
    for member in view.front:
        row = evaluation_row(member.evaluation, view.settings)
        trial = trials.get(member.trial)
        row |= _trial_cells(trial, roles) if trial else {"role": roles.get(member.evaluation.arch_id, "front"), "feasible": 1}
        row |= {
            "number": member.trial,
            "lower_top1": number_text(member.lower_top1),
            "probability_in_budget": number_text(member.probability_in_budget),
            "probability_on_front": number_text(member.probability_on_front),
        }
        yield row


def _trial_cells(trial: Trial, roles: Mapping[str, str]) -> dict[str, Any]:
    plain = "failed" if trial.evaluation.failure else "candidate" if trial.feasible else "over"
    return {
        "number": trial.number,
        "role": roles.get(trial.evaluation.arch_id, plain),
        "feasible": int(trial.feasible),
        "origin": trial.origin,
        "ended_s": number_text(trial.ended),
    }


def evaluation_row(evaluation: Evaluation, settings: RunSettings) -> dict[str, Any]:
    """Every number and knob of one candidate."""
    numbers, failure = evaluation.measurements, evaluation.failure
    row = number_cells(evaluation, settings.confidence)
    if "latency" in numbers:
        limits = [b.limit for b in settings.budgets if not b.is_counted]
        row["probability_in_budget"] = number_text(min((numbers["latency"].probability_at_most(x) for x in limits), default=1))
    row |= {"rung": evaluation.rung, "failure": f"{failure.kind}: {failure.message}" if failure else ""}
    return row | spec_cells(evaluation.spec)


def spec_cells(spec: ArchSpec) -> dict[str, Any]:
    """The architecture in columns, all of its stages; `spec_of_row` reads it back."""
    cells: dict[str, Any] = {
        "blocks": " ".join(spec.blocks), "stem": spec.stem.channels, "head": head_text(spec.head),
        "activation": spec.activation, "num_classes": spec.num_classes, "in_channels": spec.in_channels,
    }  # fmt: skip
    for i, stage in enumerate(spec.stages, start=1):
        cells |= {f"block{i}": stage.block, f"c{i}": stage.channels, f"e{i}": f"{stage.expansion:g}"}
        if isinstance(stage, InvertedResidualStage):
            cells |= {f"n{i}": stage.num_blocks, f"s{i}": stage.stride}
            continue
        cells |= {f"s{i}": 2, f"d{i}": stage.dim, f"L{i}": stage.depth, f"ffn{i}": f"{stage.ffn_ratio:g}"}
        cells[f"patch{i}"] = patch_text(stage.patch)
        if isinstance(stage, MobileViTStage):
            cells[f"heads{i}"] = stage.heads
    return cells


def spec_of_row(row: Mapping[str, str]) -> ArchSpec:
    """The architecture that a row of either file describes."""
    stages = tuple(_stage(row, str(i)) for i in takewhile(lambda i: row.get(f"block{i}"), count(1)))
    head: Head = PoolHead()
    if row["head"] != "pool":
        _, ratio, _, channels = row["head"].split()
        head = ExpandHead(int(ratio), int(channels))
    return ArchSpec(
        ConvStem(int(row["stem"])), stages, head, row["activation"], int(row["num_classes"]), int(row["in_channels"])
    )


def _stage(row: Mapping[str, str], i: str) -> Stage:
    block, channels, expansion = row[f"block{i}"], int(row[f"c{i}"]), float(row[f"e{i}"])
    if block == "mv2":
        return InvertedResidualStage(channels, expansion, int(row[f"n{i}"]), int(row[f"s{i}"]))
    height, _, width = row[f"patch{i}"].partition("x")
    dim, depth, ffn, patch = int(row[f"d{i}"]), int(row[f"L{i}"]), float(row[f"ffn{i}"]), (int(height), int(width))
    letters = {"v3-v1": "ABCD", "v3-v2": "CD"}.get(block, block.partition("+")[2])
    switches = {name: letter in letters for letter, name in zip("ABCD", SWITCHES, strict=True)}
    if row[f"heads{i}"]:
        return MobileViTStage(channels, dim, depth, expansion, int(row[f"heads{i}"]), ffn, patch, **switches)
    return MobileViTV2Stage(channels, dim, depth, expansion, ffn, patch, switches["concat_local"], switches["residual"])
