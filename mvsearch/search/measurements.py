"""`measurements.jsonl`: every latency that was measured for a run."""

from __future__ import annotations

from pathlib import Path

from mvsearch.search.record_file import RecordFile
from mvsearch.targets import LatencyRecord


class MeasurementFile(RecordFile[LatencyRecord]):
    """A run's latency records, of its own target and of others.

    Args:
        path: of the file; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, LatencyRecord.from_json)

    def newest(self, arch_id: str, resolution: int, target_key: str) -> LatencyRecord | None:
        """The newest record of a network on a target."""
        wanted = (arch_id, resolution, target_key)
        return next((r for r in reversed(self.records()) if (r.arch_id, r.resolution, r.target_key) == wanted), None)

    def sessions(self, resolution: int, target_key: str) -> dict[str, list[LatencyRecord]]:
        """All records of a target by network, oldest first."""
        found: dict[str, list[LatencyRecord]] = {}
        for r in self.records():
            if (r.resolution, r.target_key) == (resolution, target_key):
                found.setdefault(r.arch_id, []).append(r)
        return found
