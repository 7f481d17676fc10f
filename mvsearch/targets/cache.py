"""Measurements kept across runs, by what was measured and on which target. One SQLite file per user."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import TargetSpec

CACHE_VARIABLE = "MVSEARCH_CACHE"
"""Environment variable that moves the cache's folder."""
FILE = "measurements.sqlite"
_TABLE = """
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY, artifact TEXT NOT NULL, target_key TEXT NOT NULL, target TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_key ON records (artifact, target_key);
"""


def cache_folder() -> Path:
    """Where measurements are kept: `$MVSEARCH_CACHE`, or the platform's place for caches."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_path("mvsearch", appauthor=False))


class MeasurementCache:
    """Latency records by artefact and target. Nothing is averaged and nothing replaced: the newest record counts.

    Args:
        folder: made if absent; `cache_folder()` by default.

    Raises:
        InputError: the folder cannot be written, or holds something else.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or cache_folder()) / FILE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as db:
                db.executescript(_TABLE)
        except (OSError, sqlite3.DatabaseError) as error:
            raise InputError(
                f"the cache of measurements `{self.path}` cannot be used: {error}",
                f"delete it, or name another folder in the environment variable `{CACHE_VARIABLE}`",
            ) from None

    def get(self, artifact: str, target: TargetSpec) -> LatencyRecord | None:
        """The newest record of this artefact on this target."""
        with self._open() as db:
            row = db.execute(
                "SELECT record FROM records WHERE artifact = ? AND target_key = ? ORDER BY id DESC LIMIT 1",
                (artifact, target.key),
            ).fetchone()
        return _read(row[0]) if row else None

    def put(self, record: LatencyRecord) -> None:
        """Keep a record."""
        with self._open() as db:
            db.execute(
                "INSERT INTO records (artifact, target_key, target, record) VALUES (?, ?, ?, ?)",
                (record.artifact, record.target_key, record.target, json.dumps(record.to_json())),
            )

    def records(self, target: TargetSpec | None = None) -> list[LatencyRecord]:
        """All records, oldest first, of one target or of all."""
        with self._open() as db:
            rows = db.execute("SELECT record, target_key FROM records ORDER BY id").fetchall()
        found = (_read(text) for text, key in rows if target is None or key == target.key)
        return [r for r in found if r is not None]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Opened for every call: several workers share the file, and none keeps it locked.
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            yield db


def _read(text: str) -> LatencyRecord | None:
    """A record; one of another schema is as if it had never been taken."""
    try:
        return LatencyRecord.from_json(json.loads(text))
    except ValueError:
        return None
