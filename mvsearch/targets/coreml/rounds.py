"""Rounds of back-to-back predictions: what a protocol reports of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from mvsearch.errors import MeasureError
from mvsearch.targets.host.timing import median_interval
from mvsearch.targets.target import StopPolicy

WARM_UP_S, WARM_UP_RUNS = 0.5, 20
"""Warm-up lasts at least both."""
ROUNDS, RUNS = 20, 50
"""As in Apple's ModelBench (the app of the MobileOne repository)."""
TRIM = 10
"""Runs that ModelBench drops at either end of a round of 50."""
POLICY = StopPolicy(warm_up_s=WARM_UP_S, max_s=30.0, min_rounds=ROUNDS, precision=0.02, max_drift=0.15)
"""How long a Core ML measurement runs unless it is told otherwise."""


@dataclass(frozen=True)
class Summary:
    """Of all rounds, in ms.

    Attributes:
        value: median over all runs.
        low, high, level: interval from the medians of the rounds, as order statistics: runs within a round are
            too alike for an interval of their own. It holds the value.
        trimmed_mean: mean over the rounds of the mean without the lowest and the highest fifth, as ModelBench reports.
        drift: relative change of the median from the first third of the rounds to the last.
        samples: all runs in their order.
        rounds: how many.
    """

    value: float
    low: float
    high: float
    level: float
    trimmed_mean: float
    drift: float
    samples: tuple[float, ...]
    rounds: int

    @property
    def settled(self) -> float:
        """Half the interval over the value."""
        return (self.high - self.low) / 2 / self.value

    def figures(self) -> dict[str, Any]:
        """The same as fields of a `LatencyRecord`."""
        return {
            "value_ms": self.value,
            "low_ms": self.low,
            "high_ms": self.high,
            "level": self.level,
            "statistic": "median",
            "samples_ms": self.samples,
            "rounds": self.rounds,
        }


def summarise(rounds: Sequence[Sequence[float]], level: float) -> Summary:
    """Put rounds of runs, each in ms, into one figure.

    Args:
        rounds: at least one, none empty.
        level: coverage of the interval.
    """
    samples = tuple(ms for r in rounds for ms in r)
    medians = [median(r) for r in rounds]
    value = median(samples)
    low, high = median_interval(medians, level)
    third = max(1, len(medians) // 3)
    first, last = median(medians[:third]), median(medians[-third:])
    return Summary(
        value=value,
        low=min(low, value),
        high=max(high, value),
        level=level,
        trimmed_mean=fmean(_trimmed_mean(r) for r in rounds),
        drift=abs(last - first) / min(first, last),
        samples=samples,
        rounds=len(rounds),
    )


def _trimmed_mean(runs: Sequence[float]) -> float:
    drop = len(runs) * TRIM // RUNS
    ordered = sorted(runs)
    return fmean(ordered[drop : len(ordered) - drop])


def require_steady(summary: Summary, policy: StopPolicy, device: str) -> None:
    """Refuse a measurement that drifted.

    Raises:
        MeasureError: `unsteady`; the same may succeed later.
    """
    if summary.drift > policy.max_drift:
        raise MeasureError(
            "unsteady",
            f"{device} is too unsteady to measure on: the median drifted by {summary.drift:.0%} within one measurement",
            f"at most {policy.max_drift:.0%} is accepted; close what else is running there, and let it cool down",
            retryable=True,
        )
