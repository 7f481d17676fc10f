"""One latency from several measurements of the same network, and what repeats say about the noise between them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

from mvsearch.spec.record import Measurement
from mvsearch.targets import LatencyRecord
from mvsearch.targets.cache import REFERENCE_TIME

MAX_MEASUREMENTS = 3
"""Of one network, the first one included."""
BETWEEN = 0.01
"""Standard deviation, in logs, between two sessions on one device, before repeats say otherwise.

Runs of one session are more alike than sessions. Ten processes that timed one network each beside its reference spread
by 1.9 to 5.1 % from lowest to highest (`benchmarks/cpu_repeatability.py`), which is 0.6 to 1.7 % as a standard deviation.
"""
BETWEEN_N = 4
"""Repeats that this guess weighs as much as."""


def between_sessions(records: Mapping[str, Sequence[LatencyRecord]]) -> float:
    """Standard deviation between sessions on a device, in logs, from all networks that were measured more than once.

    The variance between a network's values, less what they vary within a session by their intervals, pooled over the
    networks and with `BETWEEN`, which counts as `BETWEEN_N` repeats.

    Args:
        records: of one target, by network.
    """
    total, count = BETWEEN_N * BETWEEN**2, float(BETWEEN_N)
    for sessions in records.values():
        if len(sessions) > 1:
            values = [math.log(r.value_ms) for r in sessions]
            within = statistics.fmean(_within(r) ** 2 for r in sessions)
            total += (len(sessions) - 1) * (statistics.variance(values) - within)
            count += len(sessions) - 1
    return math.sqrt(max(0.0, total) / count)


def combined(records: Sequence[LatencyRecord], between: float = BETWEEN) -> Measurement:
    """The latency of a network that was measured once or several times.

    The value is the median of the sessions' values (of two their geometric mean), which one disturbed session does
    not move far. Its interval holds what varies between sessions as well as within: for k sessions of variance v each
    that is v, v / 2, 0.449 v for three (the median of three normal values), and pi / 2 v / k for more.

    Args:
        records: of one network on one target, oldest first; those on another scale than the newest are left out.
        between: standard deviation between sessions, in logs.
    """
    newest = records[-1]
    sessions = comparable(records)
    values = sorted(math.log(r.value_ms) for r in sessions)
    k = len(values)
    value = newest.value_ms if k == 1 else math.exp(statistics.median(values))
    variance = statistics.fmean(_within(r) ** 2 for r in sessions) + between**2
    share = {1: 1.0, 2: 0.5, 3: 0.449}.get(k, math.pi / 2 / k)
    half = math.sqrt(variance * share) * NormalDist().inv_cdf(0.5 + newest.level / 2)
    one = newest.measurement()
    what = "one session" if k == 1 else f"median of {k} sessions"
    return replace(
        one,
        value=value,
        low=value * math.exp(-half),
        high=value * math.exp(half),
        basis=f"{one.basis}; {what}, {100 * between:.1f} % between sessions",
        n=sum(r.n for r in sessions),
        flags=tuple(dict.fromkeys(f for r in sessions for f in r.flags)),
    )


def comparable(records: Sequence[LatencyRecord]) -> list[LatencyRecord]:
    """Those that are ratios to the same timing of a reference network as the newest, or to none as it."""
    taken_at = records[-1].condition(REFERENCE_TIME)
    return [r for r in records if r.condition(REFERENCE_TIME) == taken_at]


def _within(record: LatencyRecord) -> float:
    """Standard deviation within the session, in logs, from the record's own interval."""
    width = math.log(record.high_ms / record.low_ms)
    return width / (2 * NormalDist().inv_cdf(0.5 + record.level / 2))
