"""The store: one SQLite file per run, one row per trial, written once when the trial ends. The truth of a run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError
from mvsearch.search.store_schema import prepare_tables
from mvsearch.spec.record import Evaluation, Failure, Measurement, Trial
from mvsearch.spec.space import SearchSpace

_COLUMNS = "number, arch_id, origin, feasible, point, metrics, failure, seconds, generation"


class Store:
    """One run's file. What a measurement shares with many others (unit, kind, basis, ...) is written once.

    A store of an older schema is migrated when it is opened.

    Attributes:
        notes: what was changed on opening, in sentences for the user.

    Args:
        path: the SQLite file; made if absent.
        space: decodes the points of its trials.
        resolution: of the run, in pixels.

    Raises:
        InputError: the file is not a store, or of a schema that this version does not read.
    """

    def __init__(self, path: Path, space: SearchSpace, resolution: int) -> None:
        self._space = space
        self._resolution = resolution
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            # A write-ahead log survives a killed process; each trial is one transaction.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self.notes = prepare_tables(self._db, path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise InputError(f"`{path}` is not a run's store: {error}", "give another `--out`") from None
        except InputError:
            self._db.close()
            raise
        self._provenance = {text: i for i, text in self._db.execute("SELECT id, text FROM provenance")}

    def close(self) -> None:
        """Fold the write-ahead log into the one file, unless somebody is reading it just now, and close it."""
        with suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()

    def meta(self, key: str) -> Any:
        """A value kept with the run, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a value with the run."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def add(self, trial: Trial) -> None:
        """Write a finished trial: durable when this returns, and never written again."""
        e = trial.evaluation
        self._db.execute("BEGIN")
        metrics = json.dumps({name: self._pack(m) for name, m in e.measurements.items()})
        failure = json.dumps([e.failure.kind, e.failure.message]) if e.failure else None
        self._db.execute(
            f"INSERT INTO trials ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                trial.number,
                e.arch_id,
                trial.origin,
                int(trial.feasible),
                json.dumps(dict(trial.point)),
                metrics,
                failure,
                e.seconds,
                trial.generation,
            ),
        )
        self._db.execute("COMMIT")

    def trials(self) -> list[Trial]:
        """All finished trials in order."""
        shared = {i: json.loads(text) for text, i in self._provenance.items()}
        return [self._trial(row, shared) for row in self._db.execute(f"SELECT {_COLUMNS} FROM trials ORDER BY number")]

    def set_generation(self, number: int, proposed: int, over_budget: int, duplicates: int) -> None:
        """Keep what a generation's screen rejected; the same generation again replaces it."""
        self._db.execute("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?)", (number, proposed, over_budget, duplicates))

    def screened(self) -> tuple[int, int, int]:
        """(proposed, over budget, duplicates) of all generations."""
        row = self._db.execute("SELECT TOTAL(proposed), TOTAL(over_budget), TOTAL(duplicates) FROM generations").fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def set_verified(self, evaluation: Evaluation) -> None:
        """Keep a front member's record of a higher rung."""
        self._db.execute(
            "INSERT OR REPLACE INTO verified VALUES (?, ?)", (evaluation.arch_id, json.dumps(evaluation.to_json()))
        )

    def verified(self) -> dict[str, Evaluation]:
        """Records of higher rungs by `arch_id`."""
        rows: Iterable[tuple[str, str]] = self._db.execute("SELECT arch_id, evaluation FROM verified")
        return {arch_id: Evaluation.from_json(json.loads(text)) for arch_id, text in rows}

    def _pack(self, m: Measurement) -> list[Any]:
        text = json.dumps([m.unit, m.kind, m.level, m.scale, m.target, m.protocol, m.n, m.versions])
        if text not in self._provenance:
            cursor = self._db.execute("INSERT INTO provenance (text) VALUES (?)", (text,))
            self._provenance[text] = int(cursor.lastrowid or 0)
        return [m.value, m.low, m.high, self._provenance[text], m.basis, list(m.flags)]

    def _trial(self, row: tuple[Any, ...], shared: dict[int, list[Any]]) -> Trial:
        number, _, origin, feasible, point_text, metrics, failure, seconds, generation = row
        point = json.loads(point_text)
        measurements = {}
        for metric, (value, low, high, provenance, basis, flags) in json.loads(metrics).items():
            unit, kind, level, scale, target, protocol, n, versions = shared[provenance]
            measurements[metric] = Measurement(
                metric, value, unit, kind, low, high, level, scale, basis, target, protocol, n,
                tuple((str(a), str(b)) for a, b in versions), tuple(flags),
            )  # fmt: skip
        evaluation = Evaluation(
            self._space.decode(point),
            self._resolution,
            measurements,
            failure=Failure(*json.loads(failure)) if failure else None,
            seconds=seconds,
        )
        return Trial(number, point, evaluation, bool(feasible), origin, generation)
