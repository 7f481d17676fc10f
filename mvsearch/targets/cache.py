"""Measurements kept across runs, by what was measured and on which target. One SQLite file per user.

Beside them: the latencies of reference networks, which the ratios of a machine are multiplied with. README.md says
what a record holds and how to read the file with other tools.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import TargetSpec

CACHE_VARIABLE = "MVSEARCH_CACHE"
"""Environment variable that moves the cache's folder."""
FILE = "measurements.sqlite"
WAIT_S = 30.0
"""For other processes that write at this moment."""
REFERENCE_TIME = "reference_taken_at"
"""Condition of a record that is a ratio to a reference: when the reference's latency was taken."""
_TABLES = """
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY, artifact TEXT NOT NULL, target_key TEXT NOT NULL, target TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_key ON records (artifact, target_key);
CREATE TABLE IF NOT EXISTS reference_networks (id INTEGER PRIMARY KEY, machine_key TEXT NOT NULL, reference TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """Latency of the network that others are measured beside, on one machine with one set of versions.

    Attributes:
        network: which, e.g. `mobilevit_xxs@256`.
        value_ms: its latency in ms.
        blocks_ms: of the blocks of runs that it comes from.
        n: runs in all.
        taken_at: UTC, ISO 8601.
        conditions: (what, value), e.g. the load of the machine at that time.
    """

    network: str
    value_ms: float
    blocks_ms: tuple[float, ...]
    n: int
    taken_at: str
    conditions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Reference:
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: not a reference.
        """
        if set(data) != {f.name for f in fields(cls)}:
            raise ValueError("not a reference")
        conditions = tuple((str(a), str(b)) for a, b in data["conditions"])
        return cls(**{**data, "blocks_ms": tuple(data["blocks_ms"]), "conditions": conditions})


class MeasurementCache:
    """Latency records by artefact and target. Nothing is averaged and nothing replaced: the newest record counts.

    Several processes may use it at a time: every call is one short transaction.

    Args:
        folder: made if absent; `cache_folder()` by default.

    Raises:
        InputError: here or in any call: the file cannot be used, or is not a cache; it is left as it is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or cache_folder()) / FILE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        with self._open() as db:
            db.executescript(_TABLES)

    def get(self, artifact: str, target: TargetSpec) -> LatencyRecord | None:
        """The newest record of this artefact on this target.

        One whose reference network was timed anew since is not given: its milliseconds are on another scale.
        """
        with self._open() as db:
            rows = db.execute(
                "SELECT record FROM records WHERE artifact = ? AND target_key = ? ORDER BY id DESC", (artifact, target.key)
            ).fetchall()
        record = next((r for (text,) in rows if (r := _read(text)) is not None), None)
        if record and (taken_at := record.condition(REFERENCE_TIME)):
            reference = self.reference(target, record.versions, record.host)
            return None if reference and reference.taken_at != taken_at else record
        return record

    def put(self, record: LatencyRecord) -> None:
        """Keep a record."""
        with self._open() as db:
            db.execute(
                "INSERT INTO records (artifact, target_key, target, record) VALUES (?, ?, ?, ?)",
                (record.artifact, record.target_key, record.target, json.dumps(record.to_json())),
            )

    def records(self, target: TargetSpec | None = None) -> list[LatencyRecord]:
        """All records, oldest first, of one target or of all; those of another schema are left out."""
        with self._open() as db:
            rows = db.execute("SELECT record, target_key FROM records ORDER BY id").fetchall()
        found = (_read(text) for text, key in rows if target is None or key == target.key)
        return [r for r in found if r is not None]

    def reference(self, target: TargetSpec, versions: Sequence[tuple[str, str]], host: str) -> Reference | None:
        """The reference network's latency on this target, as last taken on this host with these versions."""
        with self._open() as db:
            row = db.execute(
                "SELECT reference FROM reference_networks WHERE machine_key = ? ORDER BY id DESC LIMIT 1",
                (_machine_key(target, versions, host),),
            ).fetchone()
        try:
            return Reference.from_json(json.loads(row[0])) if row else None
        except (ValueError, TypeError):
            return None

    def set_reference(self, target: TargetSpec, versions: Sequence[tuple[str, str]], host: str, reference: Reference) -> None:
        """Keep the reference network's latency; records that hang on one before it no longer count."""
        with self._open() as db:
            db.execute(
                "INSERT INTO reference_networks (machine_key, reference) VALUES (?, ?)",
                (_machine_key(target, versions, host), json.dumps(asdict(reference))),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Opened for every call: several workers share the file, and none keeps it locked.
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as db, db:
                yield db
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> InputError:
        message = f"the cache of measurements `{self.path}` cannot be used: {error}"
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return InputError(message, f"another process has kept it for {WAIT_S:.0f} s; end that one, and start again")
        if isinstance(error, OSError | sqlite3.OperationalError):
            return InputError(message, f"name a folder that you may write to in the environment variable `{CACHE_VARIABLE}`")
        return InputError(
            message,
            f"nothing was changed in it; rename it to start with an empty cache (`sqlite3 {FILE} .recover` may save "
            f"what it holds), or name another folder in the environment variable `{CACHE_VARIABLE}`",
        )


def cache_folder() -> Path:
    """Where measurements are kept: `$MVSEARCH_CACHE`, or the platform's place for caches."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_path("mvsearch", appauthor=False))


def _machine_key(target: TargetSpec, versions: Sequence[tuple[str, str]], host: str) -> str:
    return hashlib.sha256(json.dumps([target.key, [list(v) for v in versions], host]).encode()).hexdigest()[:16]


def _read(text: str) -> LatencyRecord | None:
    """A record; one of another schema is as if it had never been taken."""
    try:
        return LatencyRecord.from_json(json.loads(text))
    except (ValueError, TypeError, AttributeError):
        return None
