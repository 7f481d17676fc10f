"""Timing on a GPU: warm-up by time, rounds of back-to-back runs, a stop rule, and refusal where the clocks moved.

Every run is timed on the device by two marks in its queue. Within a round the host does not wait: a captured
graph keeps the device busy, so that its launch is not part of the time; eager launches are part of it wherever
the device waits for them. Runs of one round are alike, and it is rounds that differ, so that the interval
comes from the medians of rounds. A reference network is timed before and after: clocks that fell in between
would go unseen in a single network's times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, median, stdev

from mvsearch.errors import MeasureError
from mvsearch.targets.host.gpu.device import Device, GpuState, Run
from mvsearch.targets.host.timing import median_interval
from mvsearch.targets.target import StopPolicy

MIN_WARM_UP_RUNS = 20
ROUND_S = 0.02
"""Runs that take about this long make a round."""
MAX_PER_ROUND = 500
REFERENCE_ROUNDS = 5
SETTLE_S = 0.1
"""Of warm-up again, where another network ran, or the device idled while it was asked how it is doing."""
MEAN_BLOCKS = 30
"""Consecutive runs are put into so many blocks for the interval of a mean."""


@dataclass(frozen=True, slots=True)
class GpuTimes:
    """Times of a network on a GPU.

    Attributes:
        value_ms: median, or mean where a fixed number of runs was asked for, in ms for one batch.
        low_ms, high_ms: its interval at the policy's level.
        samples_ms: single runs in order.
        rounds: blocks of back-to-back runs.
        warm_up_n, warm_up_s: before the first sample.
        reference_ms: median of the reference network before and after.
        before, after: the GPU's own readings, warmed up and at the end.
        processes: on the GPU, this one included; None if unknown.
    """

    value_ms: float
    low_ms: float
    high_ms: float
    samples_ms: tuple[float, ...]
    rounds: int
    warm_up_n: int
    warm_up_s: float
    reference_ms: tuple[float, float]
    before: GpuState
    after: GpuState
    processes: int | None

    @property
    def drift(self) -> float:
        """Relative change of the reference."""
        return abs(self.reference_ms[1] - self.reference_ms[0]) / min(self.reference_ms)


def measure_on(device: Device, run: Run, reference: Run, policy: StopPolicy, fixed_runs: int = 0) -> GpuTimes:
    """Time a network until its median is known or the time is up.

    Args:
        device: the GPU.
        run: one inference of the network.
        reference: one inference of the reference network.
        policy: warm-up, stop rule, and how much drift is accepted.
        fixed_runs: run so often instead, with a synchronisation after each, and report the mean.

    Raises:
        MeasureError: the reference drifted by more than `policy.max_drift` in every attempt.
    """
    attempts = max(1, policy.attempts)
    drifts = []
    for _ in range(attempts):
        times = _attempt(device, run, reference, policy, fixed_runs)
        if times.drift <= policy.max_drift:
            return times
        drifts.append(times.drift)
    raise MeasureError(
        "unsteady",
        f"the GPU is too unsteady to measure on: the reference network drifted by {min(drifts):.0%} or more "
        f"within one measurement, {attempts} times in a row",
        f"at most {policy.max_drift:.0%} is accepted; end what else uses the GPU (for eager launches: or the processor), "
        "let it cool down, and measure again",
        retryable=True,
    )


def _attempt(device: Device, run: Run, reference: Run, policy: StopPolicy, fixed_runs: int) -> GpuTimes:
    warm = warm_up(device, run, policy.warm_up_s)
    before = device.state()
    first = _reference_ms(device, reference)
    settled = warm_up(device, run, SETTLE_S, min_runs=3)
    if fixed_runs:
        samples = single_runs(device, run, fixed_runs)
        rounds, value = fixed_runs, mean(samples)
        low, high = mean_interval(samples, policy.level)
    else:
        samples, medians = rounds_of_runs(device, run, policy, per_round(settled.run_s))
        rounds, value = len(medians), median(samples)
        low, high = median_interval(medians, policy.level)
    last = _reference_ms(device, reference)
    after = device.state()
    return GpuTimes(
        value, min(low, value), max(high, value), tuple(round(s, 5) for s in samples), rounds,
        warm.runs + settled.runs, warm.seconds + settled.seconds, (first, last), before, after, device.processes(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A warm-up that was: runs, seconds, and seconds per run at its end."""

    runs: int
    seconds: float
    run_s: float


def warm_up(device: Device, run: Run, seconds: float, min_runs: int = MIN_WARM_UP_RUNS) -> WarmUp:
    """Run for at least this long and at least so often, in bursts that grow to the length of a round."""
    start = begin = device.now()
    done, burst = 0, 1
    while True:
        for _ in range(burst):
            run()
        device.synchronize()
        now = device.now()
        done += burst
        run_s = (now - begin) / burst
        if done >= min_runs and now - start >= seconds:
            return WarmUp(done, now - start, run_s)
        burst = min(2 * burst, per_round(run_s))
        begin = now


def per_round(run_s: float) -> int:
    """Runs in one round of a network that takes this long."""
    return max(1, min(MAX_PER_ROUND, math.ceil(ROUND_S / max(run_s, 1e-9))))


def one_round(device: Device, run: Run, n: int) -> list[float]:
    """Device times of `n` back-to-back runs, in ms."""
    marks = [(device.event(), device.event()) for _ in range(n)]
    for start, end in marks:
        device.record(start)
        run()
        device.record(end)
    device.synchronize()
    return [device.elapsed_ms(start, end) for start, end in marks]


def rounds_of_runs(device: Device, run: Run, policy: StopPolicy, n: int) -> tuple[list[float], list[float]]:
    """(all samples, median of each round) in ms, until the interval is narrow enough or the time is up."""
    samples: list[float] = []
    medians: list[float] = []
    end = device.now() + policy.max_s
    check = max(2, policy.min_rounds)
    while True:
        times = one_round(device, run, n)
        samples += times
        medians.append(median(times))
        if len(medians) < max(2, policy.min_rounds):
            continue
        late = device.now() >= end
        if late or len(medians) >= check:
            # Looked at now and then only: a rule that looks after every round stops on lucky ones.
            check = math.ceil(1.25 * len(medians))
            low, high = median_interval(medians, policy.level)
            if late or (high - low) / 2 <= policy.precision * median(medians):
                return samples, medians


def single_runs(device: Device, run: Run, n: int) -> list[float]:
    """Device times of `n` runs with a synchronisation after each, in ms."""
    return [one_round(device, run, 1)[0] for _ in range(n)]


def mean_interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """Interval of the mean from the means of consecutive blocks: neighbours in time are not independent."""
    size = max(1, len(values) // MEAN_BLOCKS)
    blocks = [mean(values[i : i + size]) for i in range(0, size * (len(values) // size), size)]
    centre = mean(values)
    if len(blocks) < 2:
        return centre, centre
    reach = NormalDist().inv_cdf((1 + level) / 2) * stdev(blocks) / math.sqrt(len(blocks))
    return centre - reach, centre + reach


def _reference_ms(device: Device, reference: Run) -> float:
    n = per_round(warm_up(device, reference, SETTLE_S, min_runs=3).run_s)
    return median(median(one_round(device, reference, n)) for _ in range(REFERENCE_ROUNDS))
