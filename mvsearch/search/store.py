"""The store: one SQLite file per run, one row per trial, written once when the trial ends. The truth of a run."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError, SpecError
from mvsearch.files import parse_json
from mvsearch.search.store_schema import prepare_tables
from mvsearch.search.trial_row import COLUMNS, TrialReader, pack_trial, provenance_of, read_provenance
from mvsearch.spec.plain import read_value
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.space import SearchSpace

SYNC_S = 1.0
"""Seconds between two waits for the disk, at least."""
CACHE_KB = 16_000
BUSY_S = 30.0
"""How long a writer waits for another process that has the file, in seconds."""
_RESTORE = "put back a copy of the file, or start a new run"


class Store:
    """One run's file. What a measurement shares with many others (unit, kind, basis, ...) is written once.

    What was written is safe from a killed process at once. It is safe from a power cut too if a second or more had passed
    since the disk was waited for the last time: of a search of thousands of estimates the last second may have to be done
    again, of trainings and measurements nothing.

    A store of an older schema is migrated when it is opened.

    Attributes:
        notes: what was changed on opening, in sentences for the user.

    Args:
        path: the SQLite file; made if absent.
        space: decodes the points of its trials.
        resolution: of the run, in pixels.

    Raises:
        InputError: the file is not a store, is damaged, cannot be written, or is of a schema that this version does not
            read. So do all methods where the file cannot be read or written.
    """

    def __init__(self, path: Path, space: SearchSpace, resolution: int) -> None:
        self._path = path
        self._space = space
        self._resolution = resolution
        wal = path.with_name(f"{path.name}-wal")
        emptied = path.exists() and not path.stat().st_size and not wal.exists()
        self._synced, self._waits = -SYNC_S, True  # SQLite waits for the disk unless told otherwise.
        with self._explained():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
        try:
            with self._explained():
                # Nothing that the file says of itself is run.
                self._db.execute("PRAGMA trusted_schema=OFF")
                self._db.execute("PRAGMA cell_size_check=ON")
                # The index of a hundred thousand networks stays in memory.
                self._db.execute(f"PRAGMA cache_size=-{CACHE_KB}")
                # A write-ahead log survives a killed process; each trial is one transaction.
                self._db.execute("PRAGMA journal_mode=WAL")
                self.notes = prepare_tables(self._db, path)
                if emptied:
                    self.notes = (*self.notes, f"`{path}` was empty: the search begins anew")
                self._provenance = self._known_provenance()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the one file, unless somebody is reading it just now, and close it."""
        with suppress(sqlite3.DatabaseError):
            self._db.execute("PRAGMA busy_timeout=1000")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()

    def meta(self, key: str) -> Any:
        """A value kept with the run, or None."""
        with self._explained():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        with self._checked(f"`{key}`"):
            return parse_json(row[0]) if row else None

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a value with the run."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value, allow_nan=False)))

    def add(self, trial: Trial) -> None:
        """Write a finished trial: safe when this returns, and never written again.

        Raises:
            ValueError: a number of it is not finite.
            InputError: the disk is full, or the file cannot be written.
        """
        with self._writing():
            for shared in {provenance_of(m) for m in trial.evaluation.measurements.values()}:
                if shared not in self._provenance:
                    cursor = self._db.execute(
                        "INSERT INTO provenance (text) VALUES (?)", (json.dumps(shared, allow_nan=False),)
                    )
                    self._provenance[shared] = int(cursor.lastrowid or 0)
            row = pack_trial(trial, self._provenance)
            self._db.execute(f"INSERT INTO trials ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", row)

    def trials(self) -> list[Trial]:
        """All finished trials in order."""
        reader = TrialReader(self._space, self._resolution, {i: shared for shared, i in self._provenance.items()})
        trials = []
        with self._explained():
            for row in self._db.execute(f"SELECT {', '.join(COLUMNS)} FROM trials ORDER BY number"):
                with self._checked(f"trial {row[0]}"):
                    trials.append(reader.trial(row))
        return trials

    def last_ended(self) -> float:
        """When the last trial ended, in seconds of the run's work; 0 without any."""
        with self._explained(), self._checked("the time of its last trial"):
            (last,) = self._db.execute("SELECT MAX(ended) FROM trials").fetchone()
            return 0.0 if last is None else read_value(float, last, "ended")

    def set_generation(self, number: int, proposed: int, over_budget: int, duplicates: int) -> None:
        """Keep what a generation's screen rejected; the same generation again replaces it."""
        with self._writing():
            self._db.execute(
                "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?)", (number, proposed, over_budget, duplicates)
            )

    def screened(self) -> tuple[int, int, int]:
        """(proposed, over budget, duplicates) of all generations."""
        with self._explained(), self._checked("the counts of its generations"):
            rows = self._db.execute("SELECT proposed, over_budget, duplicates FROM generations").fetchall()
            if any(type(count) is not int or count < 0 for row in rows for count in row):
                raise ValueError("a count is none")
        proposed, over_budget, duplicates = (sum(column) for column in zip(*rows, strict=True)) if rows else (0, 0, 0)
        return proposed, over_budget, duplicates

    def set_verified(self, evaluation: Evaluation) -> None:
        """Keep a front member's record of a higher rung."""
        text = json.dumps(evaluation.to_json(), allow_nan=False)
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO verified VALUES (?, ?)", (evaluation.arch_id, text))

    def verified(self) -> dict[str, Evaluation]:
        """Records of higher rungs by `arch_id`."""
        with self._explained():
            rows = self._db.execute("SELECT arch_id, evaluation FROM verified").fetchall()
        found = {}
        for arch_id, text in rows:
            with self._checked(f"the record of `{arch_id}`"):
                evaluation = Evaluation.from_json(parse_json(text))
                if evaluation.arch_id != arch_id:
                    raise ValueError("it is of another network")
                found[evaluation.arch_id] = evaluation
        return found

    def _known_provenance(self) -> dict[tuple[Any, ...], int]:
        with self._checked("what its measurements share"):
            return {read_provenance(text): i for i, text in self._db.execute("SELECT id, text FROM provenance")}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, on disk as the class says when the block ends; nothing of it if the block fails."""
        due = time.monotonic() - self._synced >= SYNC_S
        with self._explained():
            if due != self._waits:
                self._db.execute(f"PRAGMA synchronous={'FULL' if due else 'NORMAL'}")
                self._waits = due
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.DatabaseError):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    self._provenance = self._known_provenance()
                raise
        if due:
            self._synced = time.monotonic()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's troubles with the file in words for the user."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # A trial written twice is our fault, never the user's.
        except sqlite3.DatabaseError as error:
            what, hint = _words(error)
            raise InputError(f"`{self._path}` {what}: {error}", hint) from None

    @contextmanager
    def _checked(self, what: str) -> Iterator[None]:
        """The fault of a value that is not what was written there, in words for the user."""
        try:
            yield
        except (ValueError, SpecError) as error:
            raise InputError(f"`{self._path}` is damaged: {what}: {error}", _RESTORE) from None


def _words(error: sqlite3.DatabaseError) -> tuple[str, str]:
    """What is wrong with the file, and what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return (
            "cannot be written or read",
            "make room on the disk, or look after it, then `--resume`: what was finished is kept",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return "cannot be written", "its folder has to allow writing; then go on with `--resume`"
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is in use by another process", "wait for it, then `--resume`"
    if primary == sqlite3.SQLITE_NOTADB:
        return "is not a run's store", "give another `--out`"
    return "is damaged", _RESTORE
