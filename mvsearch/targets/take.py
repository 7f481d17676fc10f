"""`take`: the one way to a measurement: from the cache, or with the device to itself, again where that may help."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvsearch.errors import MeasureError
from mvsearch.targets.cache import MeasurementCache
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, StopPolicy, Target

ATTEMPTS = 3
PAUSE_S = 2.0
"""Before the second attempt; doubled before the third."""


@contextmanager
def device_lock(target: Target) -> Iterator[None]:
    """One measurement at a time on a device, whatever the number of this user's workers and runs."""
    from filelock import FileLock

    user = getattr(os, "getuid", lambda: 0)()  # Nobody may open a lock of another user's in a shared folder.
    with FileLock(Path(tempfile.gettempdir()) / f"mvsearch-{user}-{target.resource}.lock"):
        yield


def take(
    target: Target,
    artifact: Artifact,
    policy: StopPolicy | None = None,
    cache: MeasurementCache | None = None,
    attempts: int = ATTEMPTS,
    *,
    fresh: bool = False,
) -> LatencyRecord:
    """Latency of an artefact on a target.

    Args:
        target: the device.
        artifact: of `target.prepare`.
        policy: how long to measure; the target's own by default.
        cache: where measurements are kept; None neither reads nor writes.
        attempts: in all, where a fault may pass (a locked phone, a busy machine).
        fresh: measure even if the cache has a record; the new one is kept beside the old, and counts from then on.

    Raises:
        MeasureError: it did not come about; the cache is as it was.
    """

    def known() -> LatencyRecord | None:
        return cache.get(artifact.key, target.spec) if cache and not fresh else None

    if record := known():
        return record
    with device_lock(target):
        if record := known():  # Another process has measured it while this one waited.
            return record
        for attempt in range(1, attempts + 1):
            try:
                record = target.measure(artifact, policy)
                break
            except MeasureError as error:
                if not error.retryable or attempt == attempts:
                    raise
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
        assert record is not None
        if cache:
            cache.put(record)
    return record
