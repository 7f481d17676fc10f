"""`take`: the one way to a measurement: from the cache, or with the device to itself, again where that may help."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from mvsearch.errors import MeasureError
from mvsearch.targets.cache import MeasurementCache
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, StopPolicy, Target

ATTEMPTS = 3
PAUSE_S = 2.0
"""Before the second attempt; doubled before the third."""


def take(
    target: Target,
    artifact: Artifact,
    policy: StopPolicy | None = None,
    cache: MeasurementCache | None = None,
    attempts: int = ATTEMPTS,
) -> LatencyRecord:
    """Latency of an artefact on a target.

    Args:
        target: the device.
        artifact: of `target.prepare`.
        policy: how long to measure; the target's own by default.
        cache: where measurements are kept; None neither reads nor writes.
        attempts: in all, where a fault may pass (a locked phone, a busy machine).

    Raises:
        MeasureError: it did not come about.
    """
    if cache and (known := cache.get(artifact.key, target.spec)):
        return known
    from filelock import FileLock

    # One measurement at a time on a device, whatever the number of workers and of runs.
    with FileLock(Path(tempfile.gettempdir()) / f"mvsearch-{target.resource}.lock"):
        for attempt in range(1, attempts + 1):
            try:
                record = target.measure(artifact, policy)
                break
            except MeasureError as error:
                if not error.retryable or attempt == attempts:
                    raise
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
    if cache:
        cache.put(record)
    return record
