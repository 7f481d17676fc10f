"""Reference fronts: the best that is known of each problem, in `data/`, one CSV each.

The front of the table is exact: all of it was evaluated. The others are the union of long runs of several engines, several
seeds each, improved by local search: every neighbour of every member (one knob changed) was tried until none was better.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvsearch.search.bench.volume import Direction, Values, front, gains, hypervolume

FOLDER = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True, slots=True)
class Member:
    """A network of a reference front.

    Attributes:
        arch_id: the network.
        values: objectives, in the order and directions of the problem.
        point: choices of the knobs in the order of the space, as text, `|` between them.
    """

    arch_id: str
    values: Values
    point: str = ""


def reference_file(problem: str) -> Path:
    """Where the front of a problem is kept; the tabular ones have one truth and so one front."""
    return FOLDER / f"{'tabular' if problem.startswith('tabular') else problem}.csv"


def load_reference(problem: str) -> list[Member]:
    """The front of a problem; empty if none was made yet."""
    path = reference_file(problem)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [Member(row[0], tuple(float(v) for v in row[2:]), row[1]) for row in rows]


def save_reference(problem: str, objectives: Sequence[str], members: Iterable[Member]) -> Path:
    """Write a front, best first objective first."""
    path = reference_file(problem)
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arch_id", "point", *objectives])
        for m in members:
            writer.writerow([m.arch_id, m.point, *(repr(v) for v in m.values)])
    return path


def merge(members: Iterable[Member], directions: Sequence[Direction]) -> list[Member]:
    """Those that no other dominates, best first objective first."""
    pool = list({m.arch_id: m for m in members}.values())
    origin = (0.0,) * len(directions)
    return [pool[i] for i in front([gains(m.values, directions, origin) for m in pool])]


def reference_volume(members: Sequence[Member], directions: Sequence[Direction], reference: Values) -> float:
    """Hypervolume of a reference front; 0 if there is none."""
    return hypervolume(gains(m.values, directions, reference) for m in members)
