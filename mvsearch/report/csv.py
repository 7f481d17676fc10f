"""`trials.csv` and `front.csv`: one row per network, every column documented in `COLUMNS`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from mvsearch.report.number_columns import ARCH_ID, COUNTED, FLAGS, number_cells, number_text, uncertain_columns
from mvsearch.report.stage_cells import EXTRA_KNOBS, KNOBS, head_of, stage_cells, stage_of, stem_of
from mvsearch.report.words import ON_FRONT_MEANING
from mvsearch.spec.arch import LAYER_NORM, ArchSpec, ConvStem
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import RunSettings, RunView

STEM_KIND = "stem_kind"
"""Column of stems other than one convolution."""
NORM = "norm"
"""Column of transformers' norms other than their family's own."""
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


def columns(num_stages: int = NUM_STAGES, extra: tuple[tuple[str, str], ...] = ()) -> tuple[tuple[str, str], ...]:
    """(column, meaning) in order, for networks of at most so many stages, and with these knobs besides `stage_cells.KNOBS`."""
    return (
        *_FIRST,
        *uncertain_columns("predicted, estimated, measured or published"),
        *COUNTED.items(),
        ("blocks", "blocks of the transformer stages in order"),
        *((f"{name}{i}", what.format(i=i)) for name, what in (*KNOBS, *extra) for i in range(1, num_stages + 1)),
        *_LAST,
    )


COLUMNS = columns()
"""(column, meaning) of both files, in order; more stages or another family add columns: nothing of a network is lost."""


def columns_markdown() -> str:
    """`COLUMNS` as a table, the stages' columns in one line each: what README.md beside this file holds."""
    knobs = ((f"{name}1` .. `{name}{NUM_STAGES}", what.replace("stage {i}", "the stage")) for name, what in KNOBS)
    before = tuple(c for c in columns(0) if c not in _LAST)
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in (*before, *knobs, *_LAST))
    return f"| column | meaning |\n|---|---|\n{rows}\n"


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under the documented columns; what a row lacks stays empty."""
    rows = list(rows)
    stages = NUM_STAGES
    while any(f"block{stages + 1}" in row for row in rows):
        stages += 1
    used = {name for row in rows for name in row}
    extra = tuple(knob for knob in EXTRA_KNOBS if any(f"{knob[0]}{i}" in used for i in range(1, stages + 1)))
    names = [name for name, _ in columns(stages, extra)]
    if NORM in used:
        names.insert(names.index("activation") + 1, NORM)
    if STEM_KIND in used:
        names.insert(names.index("stem") + 1, STEM_KIND)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
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
        "blocks": " ".join(spec.blocks), "stem": spec.stem.channels, "head": spec.head.label,
        "activation": spec.activation, "num_classes": spec.num_classes, "in_channels": spec.in_channels,
    }  # fmt: skip
    if spec.norm != LAYER_NORM:
        cells[NORM] = spec.norm
    if not isinstance(spec.stem, ConvStem):
        cells[STEM_KIND] = f"{spec.stem.kind} {spec.stem.activation}".strip()
    for i, stage in enumerate(spec.stages, start=1):
        cells |= {f"{name}{i}": value for name, value in stage_cells(stage).items()}
    return cells


def spec_of_row(row: Mapping[str, str]) -> ArchSpec:
    """The architecture that a row of either file describes."""
    numbers = takewhile(lambda i: row.get(f"block{i}"), count(1))
    stages = tuple(stage_of(lambda name, i=i: row.get(f"{name}{i}", "")) for i in numbers)  # type: ignore[misc]
    stem = stem_of(row.get(STEM_KIND, ""), int(row["stem"]))
    norm = row.get(NORM) or LAYER_NORM
    num_classes, in_channels = int(row["num_classes"]), int(row["in_channels"])
    return ArchSpec(stem, stages, head_of(row["head"]), row["activation"], num_classes, in_channels, norm)
