"""Finished races on disk: one CSV, appended race by race, so that a bench that was killed goes on where it was."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.search.bench.contenders import VARIANTS, Variant
from mvsearch.search.bench.race import Row

COLUMNS = (*(f.name for f in fields(Row)), "share")
"""`share` is the hypervolume as a share of the reference front's; empty where no reference front is known."""
Race = tuple[str, str, Variant, int]
"""(problem, contender, variant, seed)."""


def race_of(row: Row) -> Race:
    """Which race a row belongs to."""
    return row.problem, row.contender, row.variant, row.seed


class Results:
    """The races of a folder.

    Args:
        path: the CSV; it is made with the first race.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def races(self) -> dict[Race, list[Row]]:
        """Every race, rows in order; of one raced twice the later. The last of a file that was cut short may be incomplete.

        Raises:
            InputError: it is no file of races.
        """
        found: dict[Race, list[Row]] = {}
        if not self.path.is_file():
            return found
        with self.path.open(encoding="utf-8", newline="") as file:
            for number, record in enumerate(csv.DictReader(file), start=2):
                row = _read(record)
                if row is None:
                    if file.read(1):
                        raise InputError(f"`{self.path}`, line {number}: no row of a race", f"columns {', '.join(COLUMNS)}")
                    break
                rows = found.setdefault(race_of(row), [])
                if rows and row.trials <= rows[-1].trials:
                    rows.clear()  # raced again, further
                rows.append(row)
        return found

    def finished(self, trials: int) -> dict[Race, list[Row]]:
        """The races that went as far as asked."""
        return {race: rows for race, rows in self.races().items() if rows[-1].trials >= trials}

    def add(self, rows: Sequence[Row], reference: Mapping[str, float]) -> None:
        """Append a race in one write, durable when it returns."""
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerows(_written(row, reference) for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, races: Mapping[Race, Sequence[Row]], reference: Mapping[str, float]) -> None:
        """Replace the file by these races in order of their names, with shares of this reference."""
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_written(row, reference) for race in sorted(races) for row in races[race])
        temporary.replace(self.path)


def _written(row: Row, reference: Mapping[str, float]) -> list[object]:
    whole = reference.get(row.problem, 0.0)
    cells = [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)]
    return [*cells, f"{row.hypervolume / whole:.5f}" if whole > 0 else ""]


def _read(record: Mapping[str, str | None]) -> Row | None:
    """A row, or None if the record is not one."""
    try:
        text = {name: record[name] or "" for name in COLUMNS}
        variant = next((v for v in VARIANTS if v == text["variant"]), None)
        if variant is None or record["share"] is None:
            return None
        return Row(
            text["problem"], text["contender"], variant, int(text["seed"]),
            int(text["trials"]), float(text["seconds"]), float(text["hypervolume"]), int(text["proposals"]),
            int(text["duplicates"]), int(text["infeasible"]),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None
