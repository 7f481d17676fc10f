"""Timing that survives a shared machine: pairs with a reference network, CPU time, and refusal on drift.

The two networks take turns, so that whatever slows the machine slows both; what is reported is the median
ratio. On a machine with two busy loops on two cores the median of wall times of one network differed by a
factor of 3.9 between ten processes, the median of thread CPU times by 12 %, and the paired ratio of thread
CPU times by 2 % (4 s each, ONNX Runtime). Thread CPU time counts all the work only while a single thread
does it.

Who goes first alternates from pair to pair (A B, B A), so that each network comes after itself as often as
after the other: with A always first the ratio was 0.4 % larger. The median of a loaded machine was within
0.3 % of that of an idle one.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import NormalDist, median

from mvsearch.errors import MeasureError
from mvsearch.targets.target import StopPolicy

Clock = Callable[[], float]
"""Seconds, never going back."""

PATIENCE = 4
"""Wall time that a stretch of work may take, in multiples of its own: a process on a loaded machine gets a share."""
BLOCKS = 6
"""Of a reference network that is timed alone."""


def work_clock() -> Clock:
    """CPU time of this thread, in seconds; wall time where the thread's clock is too coarse (Windows)."""
    return time.perf_counter if sys.platform == "win32" else time.thread_time


@dataclass(frozen=True, slots=True)
class PairedTimes:
    """Times of a network beside those of a reference, in seconds.

    Attributes:
        ratio: median of (network / reference) over pairs.
        low, high: interval of that median at `level` (order statistics, no assumption on the distribution).
        run_s, reference_s: of the single runs, pair by pair; in every second pair the network went first.
        wall_s: median of the network's runs by the clock of the day, which tells how much of a core there was.
        seen_s: what the reference took here, see `usual`.
        drift: relative change of the reference between the first and the last third.
        warm_up_n, warm_up_s: runs of the network before the first pair, and the time that they and the reference's took.
        attempts: how many times it was begun.
    """

    ratio: float
    low: float
    high: float
    level: float
    run_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    wall_s: float
    seen_s: float
    drift: float
    warm_up_n: int
    warm_up_s: float
    attempts: int

    @property
    def n(self) -> int:
        """Pairs."""
        return len(self.run_s)


@dataclass(frozen=True, slots=True)
class AloneTimes:
    """Times of one network that runs back to back, in seconds.

    Attributes:
        value_s: lowest of the blocks.
        blocks_s: what it took in each, see `usual`.
        n: runs in all.
    """

    value_s: float
    blocks_s: tuple[float, ...]
    n: int


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
        policy: when to stop, and when to refuse; its seconds are those of `work`, and at most `PATIENCE` times as many
            of `wall`.
        work: clock of the timed calls.
        wall: clock of the day.

    Raises:
        MeasureError: the reference drifted by more than `policy.max_drift` in every attempt.
    """
    work = work or work_clock()
    attempts = max(1, policy.attempts)
    for attempt in range(1, attempts + 1):
        warm_up_n, warm_up_s = _run_for(policy.warm_up_s, (reference, run), work, wall)
        with without_collector():
            run_s, reference_s, wall_s = _pairs(run, reference, policy, work, wall)
        drift = _drift(reference_s)
        if drift <= policy.max_drift:
            ratios = [a / b for a, b in zip(run_s, reference_s, strict=True)]
            low, high = median_interval(ratios, policy.level)
            return PairedTimes(
                median(ratios), low, high, policy.level, tuple(run_s), tuple(reference_s), median(wall_s),
                usual(reference_s), drift, warm_up_n, warm_up_s, attempt,
            )  # fmt: skip
    raise MeasureError(
        "unsteady",
        f"the machine is too unsteady to measure on: the reference network drifted by {drift:.0%} "
        f"within one measurement, {attempts} times in a row",
        f"at most {policy.max_drift:.0%} is accepted; close what else is running, or use fewer workers, and measure again",
        retryable=True,
    )


def measure_alone(
    run: Callable[[], object],
    warm_up_s: float = 1.0,
    block_s: float = 0.4,
    work: Clock | None = None,
    wall: Clock = time.perf_counter,
) -> AloneTimes:
    """Time one network back to back in `BLOCKS` blocks, and take the best of them.

    What disturbs a run only ever makes it longer, and disturbance comes in stretches: the lowest block is nearest to
    the undisturbed machine, and within a block a quantile, unlike a minimum, does not hang on one reading of the clock.

    Args:
        run: one inference.
        warm_up_s: before the first block.
        block_s: of each.
        work: clock of the timed calls.
        wall: clock of the day.
    """
    work = work or work_clock()
    _run_for(warm_up_s, (run,), work, wall)
    blocks, n = [], 0
    with without_collector():
        for _ in range(BLOCKS):
            times: list[float] = []
            end = wall() + PATIENCE * block_s
            while len(times) < 3 or (sum(times) < block_s and wall() < end):
                times.append(_timed(run, work))
            blocks.append(usual(times))
            n += len(times)
    return AloneTimes(min(blocks), tuple(blocks), n)


def usual(times: Sequence[float]) -> float:
    """Time that nine in ten runs reach or exceed: what the network takes where nothing disturbs it."""
    return sorted(times)[len(times) // 10]


def _run_for(seconds: float, runs: Sequence[Callable[[], object]], work: Clock, wall: Clock) -> tuple[int, float]:
    """Run these in turns for a time; turns and seconds of work."""
    start, end, n = work(), wall() + PATIENCE * seconds, 0
    while work() - start < seconds and wall() < end:
        for run in runs:
            run()
        n += 1
    return n, work() - start


def _timed(run: Callable[[], object], work: Clock) -> float:
    start = work()
    run()
    return max(work() - start, 1e-9)


def _pairs(
    run: Callable[[], object], reference: Callable[[], object], policy: StopPolicy, work: Clock, wall: Clock
) -> tuple[list[float], list[float], list[float]]:
    """Times of the network and of the reference, pair by pair, and of the network by the clock of the day."""
    run_s: list[float] = []
    reference_s: list[float] = []
    wall_s: list[float] = []
    start, end = work(), wall() + PATIENCE * policy.max_s
    enough = check = max(2, policy.min_rounds)
    while True:
        # Two pairs at a time, one in each order.
        reference_s.append(_timed(reference, work))
        for _ in range(2):
            began = wall()
            run_s.append(_timed(run, work))
            wall_s.append(wall() - began)
        reference_s.append(_timed(reference, work))
        if len(run_s) < enough:
            continue
        if work() - start >= policy.max_s or wall() >= end:
            return run_s, reference_s, wall_s
        if len(run_s) >= check:
            check = math.ceil(1.25 * len(run_s))
            ratios = [a / b for a, b in zip(run_s, reference_s, strict=True)]
            low, high = median_interval(ratios, policy.level)
            if (high - low) / 2 <= policy.precision * median(ratios):
                return run_s, reference_s, wall_s


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection: it would run inside a timed call, and goes over all that a compiler holds again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
