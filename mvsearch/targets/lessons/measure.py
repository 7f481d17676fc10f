"""The latencies of a pair by measurement: the two networks take turns, so that what slows the machine slows both."""

from __future__ import annotations

from statistics import median

from mvsearch.costs.lessons import lower_lesson
from mvsearch.errors import InputError, TargetError
from mvsearch.spec.record import Measurement
from mvsearch.targets.host.cpu import CpuTarget
from mvsearch.targets.host.timing import PairedTimes, median_interval
from mvsearch.targets.lessons.lesson import Pair, PairResult, Ratio, judge
from mvsearch.targets.lessons.predict import both_costs, differences
from mvsearch.targets.take import device_lock
from mvsearch.targets.target import StopPolicy, Target

POLICY = StopPolicy(warm_up_s=0.6, max_s=5.0, min_rounds=16, precision=0.005, max_drift=0.25, attempts=3)
"""Longer and finer than for one network: differences of a few per cent are looked for."""


def measures_pairs(target: Target) -> bool:
    """Whether pairs can be measured on the target, here and now."""
    return isinstance(target, CpuTarget) and target.capability().status == "available"


def require_pairs(target: Target) -> CpuTarget:
    """The target, if pairs can be measured on it.

    Raises:
        InputError: it takes no pairs.
        TargetError: what it needs is missing here.
    """
    if not isinstance(target, CpuTarget):
        raise InputError(
            f"`--measure` with `{target.name}`, which measures single networks only",
            "leave it out for predictions; pairs are measured on `cpu`",
        )
    if (here := target.capability()).status != "available":
        raise TargetError(f"`{target.name}` cannot be measured here: {here.reason}", here.fix)
    return target


def measure_pair(pair: Pair, target: CpuTarget, policy: StopPolicy = POLICY) -> PairResult:
    """Both networks built with initial weights and run in turns on one thread of this machine.

    Raises:
        MeasureError: the machine is too unsteady.
    """
    from mvsearch.models.lessons import build_lesson

    assert pair.first.resolution == pair.second.resolution, "one image for both"
    with device_lock(target):
        times = target.compare(build_lesson(pair.first), build_lesson(pair.second), pair.first.resolution, policy)
    lowered = [lower_lesson(n) for n in (pair.first, pair.second)]
    ratio = Ratio(
        times.ratio, times.low, times.high, times.level, None,
        f"median of {times.n} pairs of runs in turns, thread CPU time",
    )  # fmt: skip
    latencies = (_latency(times.run_s, times, target), _latency(times.reference_s, times, target))
    model = target.latency_model
    return PairResult(
        pair, both_costs(lowered), latencies, ratio, differences(lowered[0], lowered[1], model), *judge(pair.claim, ratio)
    )


def _latency(samples_s: tuple[float, ...], times: PairedTimes, target: Target) -> Measurement:
    low, high = median_interval(samples_s, times.level)
    return Measurement(
        "latency", 1e3 * median(samples_s), "ms", "measured", 1e3 * low, 1e3 * high, times.level, "log",
        "median of runs in turns", target.name, target.spec.protocol, len(samples_s),
    )  # fmt: skip
