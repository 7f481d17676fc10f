"""Timing that survives a shared machine: pairs with a reference network, CPU time, and refusal on drift.

The two networks take turns, so that whatever slows the machine slows both; what is reported is the median
ratio. On a contended machine the median of wall times varies by 26 % between sessions and the paired
ratio of thread CPU times by 2 % (12 sessions each, ONNX Runtime, load 5 to 10 on 2 cores). Thread CPU
time counts all the work only while a single thread does it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from mvsearch.errors import MeasureError
from mvsearch.targets.target import StopPolicy

Clock = Callable[[], float]
"""Seconds, never going back."""


def work_clock() -> Clock:
    """CPU time of this thread, in seconds; wall time where the thread's clock is too coarse (Windows)."""
    return time.perf_counter if sys.platform == "win32" else time.thread_time


@dataclass(frozen=True, slots=True)
class PairedTimes:
    """Times of a network beside those of a reference, in seconds.

    Attributes:
        ratio: median of (network / reference) over pairs.
        low, high: interval of that median at `level` (order statistics, no assumption on the distribution).
        n: pairs.
        reference_s: fastest run of the reference.
        drift: relative change of the reference between the first and the last third.
        ratios: of the single pairs, in order.
    """

    ratio: float
    low: float
    high: float
    level: float
    n: int
    reference_s: float
    drift: float
    ratios: tuple[float, ...] = ()


def measure_paired(
    run: Callable[[], object],
    reference: Callable[[], object],
    policy: StopPolicy,
    work: Clock | None = None,
    wall: Clock = time.perf_counter,
) -> PairedTimes:
    """Time `run` against `reference`, pair by pair, until the ratio is known or the time is up.

    Args:
        run: one inference of the network.
        reference: one inference of the reference.
        policy: when to stop, and when to refuse.
        work: clock of the timed calls.
        wall: clock of warm-up and time limit.

    Raises:
        MeasureError: the reference drifted by more than `policy.max_drift` in every attempt.
    """
    work = work or work_clock()
    drift = 0.0
    for _ in range(max(1, policy.attempts)):
        _warm_up(run, reference, policy, wall)
        result = _pairs(run, reference, policy, work, wall)
        if result.drift <= policy.max_drift:
            return result
        drift = result.drift
    raise MeasureError(
        "unsteady",
        f"the machine is too unsteady to measure on: the reference network drifted by {drift:.0%} "
        f"within one measurement, {max(1, policy.attempts)} times in a row",
        f"at most {policy.max_drift:.0%} is accepted; close what else is running, or use fewer workers, and measure again",
    )


def _warm_up(run: Callable[[], object], reference: Callable[[], object], policy: StopPolicy, wall: Clock) -> None:
    end = wall() + policy.warm_up_s
    while wall() < end:
        reference()
        run()


def _pairs(
    run: Callable[[], object], reference: Callable[[], object], policy: StopPolicy, work: Clock, wall: Clock
) -> PairedTimes:
    ratios: list[float] = []
    references: list[float] = []
    end = wall() + policy.max_s
    check = policy.min_rounds
    while True:
        a = work()
        reference()
        b = work()
        run()
        c = work()
        references.append(max(b - a, 1e-9))
        ratios.append((c - b) / references[-1])
        if len(ratios) < policy.min_rounds:
            continue
        late = wall() >= end
        if late or len(ratios) >= check:
            check = math.ceil(1.25 * len(ratios))
            low, high = median_interval(ratios, policy.level)
            centre = median(ratios)
            if late or (high - low) / 2 <= policy.precision * centre:
                return PairedTimes(
                    centre, low, high, policy.level, len(ratios), min(references), _drift(references), tuple(ratios)
                )


def _drift(references: Sequence[float]) -> float:
    third = max(1, len(references) // 3)
    first, last = median(references[:third]), median(references[-third:])
    return abs(last - first) / min(first, last)


def median_interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """Interval of the median from order statistics: the ranks around the middle that a coin would stay within."""
    ordered = sorted(values)
    n = len(ordered)
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(n) / 2
    low = max(0, math.floor((n - 1) / 2 - reach))
    return ordered[low], ordered[n - 1 - low]
