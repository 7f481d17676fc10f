"""`measurements.jsonl`: every latency that was measured for a run, one record per line, whole and in order of arrival."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.targets import LatencyRecord


class MeasurementFile:
    """A run's latency records, of its own target and of others. Only ever appended to; the newest of a network counts.

    Args:
        path: of the file; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def append(self, record: LatencyRecord) -> None:
        """Write a record, unless it is there: durable when this returns; from any thread.

        Raises:
            InputError: the file cannot be written.
        """
        line = json.dumps(record.to_json()) + "\n"
        try:
            with self._lock, self.path.open("a+b") as file:
                if record in self.records():
                    return
                if file.tell() and not self._ends_well(file.tell()):
                    line = "\n" + line  # A writer that was killed left half a line, which is not to spoil this one.
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"`{self.path}` cannot be written: {error.strerror}", "make room, then measure again") from None

    def records(self) -> list[LatencyRecord]:
        """All records, oldest first; lines that are none are passed over."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"`{self.path}` cannot be read: {error.strerror}", "") from None
        found = []
        for line in lines:
            try:
                found.append(LatencyRecord.from_json(json.loads(line)))
            except (ValueError, TypeError, AttributeError):
                continue
        return found

    def newest(self, arch_id: str, resolution: int, target_key: str) -> LatencyRecord | None:
        """The newest record of a network on a target."""
        wanted = (arch_id, resolution, target_key)
        return next((r for r in reversed(self.records()) if (r.arch_id, r.resolution, r.target_key) == wanted), None)

    def _ends_well(self, size: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"
