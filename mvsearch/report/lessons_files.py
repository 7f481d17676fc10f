"""Lessons as files: `lessons.csv` (a row per pair), `operations.csv` (where pairs differ), and a picture of the ratios."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError
from mvsearch.targets.lessons.lesson import RULE, LessonsView, PairResult, factors_text

COLUMNS = (
    "lesson", "differs", "first", "second", "target", "kind", "first_ms", "first_low_ms", "first_high_ms", "second_ms",
    "second_low_ms", "second_high_ms", "ratio", "ratio_low", "ratio_high", "ratio_level", "probability_first_slower",
    "first_params", "second_params", "first_macs", "second_macs", "paper_says", "paper_factor", "verdict", "why",
    "lesson_verdict",
)  # fmt: skip
OPERATION_COLUMNS = ("lesson", "first", "second", "kind", "only_in_first", "only_in_second", "ms", "share_of_difference")


def write_lessons(view: LessonsView, folder: Path) -> tuple[Path, ...]:
    """Write the two tables and `lessons.svg` and `lessons.png`; other files in the folder stay as they are.

    Args:
        view: what to write.
        folder: made if it is not there.

    Raises:
        InputError: the folder cannot be written.
    """
    from mvsearch.report.lessons_picture import draw_lessons

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written beside its place and then moved there, so that nobody ever meets half a file.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".lessons-") as place:
            drafts = [Path(place) / name for name in ("lessons.csv", "operations.csv", "lessons.svg", "lessons.png")]
            _write(drafts[0], COLUMNS, _rows(view))
            _write(drafts[1], OPERATION_COLUMNS, _operation_rows(view))
            draw_lessons(view, drafts[2:])
            return tuple(draft.replace(folder / draft.name) for draft in drafts)
    except OSError as error:
        raise InputError(
            f"cannot write into `{folder}`: {error.strerror or error}", "give an `--out` folder that can be written"
        ) from None


def to_plain(view: LessonsView) -> dict[str, Any]:
    """Plain data for `json.dumps`."""
    return {
        "target": view.target,
        "kind": view.kind,
        "device": view.device,
        "runtime": view.runtime,
        "conditions": dict(view.conditions),
        "rule": RULE,
        "lessons": [
            {
                **{name: getattr(r.lesson, name) for name in ("name", "finding", "source", "certainty")},
                "verdict": r.verdict,
                "pairs": [_plain_pair(p) for p in r.pairs],
            }
            for r in view.results
        ],
    }


def _plain_pair(result: PairResult) -> dict[str, Any]:
    pair = result.pair
    networks = [
        {
            "name": n.name,
            "resolution": n.resolution,
            "params": costs.params,
            "macs": costs.macs,
            "latency": m.to_json(),
        }
        for n, costs, m in zip((pair.first, pair.second), result.costs, result.latencies, strict=True)
    ]
    return {
        "differs": pair.differs,
        "first": networks[0],
        "second": networks[1],
        "ratio": asdict(result.ratio),
        "operations": [asdict(k) for k in result.kinds],
        "paper": asdict(pair.claim) if pair.claim else None,
        "caveat": pair.caveat,
        "verdict": result.verdict,
        "why": result.why,
    }


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(v) for v in row] for row in rows)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value)


def _rows(view: LessonsView) -> Iterator[list[object]]:
    for r in view.results:
        for p in r.pairs:
            (one, other), (a, b) = p.latencies, p.costs
            claim = p.pair.claim
            factors = factors_text(claim.factors) if claim and claim.factors else ""
            yield [
                r.lesson.name, p.pair.differs, p.pair.first.name, p.pair.second.name, view.target, view.kind,
                one.value, one.low, one.high, other.value, other.low, other.high,
                p.ratio.value, p.ratio.low, p.ratio.high, p.ratio.level, p.ratio.first_slower,
                a.params, b.params, a.macs, b.macs, claim.text if claim else "", factors,
                p.verdict, p.why, r.verdict,
            ]  # fmt: skip


def _operation_rows(view: LessonsView) -> Iterator[list[object]]:
    for r in view.results:
        for p in r.pairs:
            for k in p.kinds:
                yield [r.lesson.name, p.pair.first.name, p.pair.second.name, k.kind, k.first, k.second, k.ms, k.share]
