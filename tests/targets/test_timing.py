"""Measurement against a simulated machine: steady, noisy, contended, drifting."""

from __future__ import annotations

import random

import pytest

from mvsearch.errors import TargetError
from mvsearch.targets.host.timing import measure_paired, median_interval
from mvsearch.targets.target import StopPolicy

POLICY = StopPolicy(warm_up_s=0.1, max_s=5.0)


class Machine:
    """A clock that inferences push forward.

    Args:
        noise: relative standard deviation of every run.
        slowdown: factor on both networks as a function of the time in seconds.
    """

    def __init__(self, noise: float = 0.0, slowdown=lambda t: 1.0) -> None:
        self.now, self.noise, self.slowdown = 0.0, noise, slowdown
        self.rng = random.Random(0)
        self.runs = 0

    def clock(self) -> float:
        return self.now

    def network(self, seconds: float):
        def run() -> None:
            self.runs += 1
            self.now += seconds * self.slowdown(self.now) * max(0.1, self.rng.gauss(1, self.noise))

        return run

    def measure(self, policy: StopPolicy = POLICY):
        return measure_paired(self.network(0.006), self.network(0.004), policy, self.clock, self.clock)


def test_a_steady_machine_stops_at_once() -> None:
    times = Machine().measure()
    assert times.ratio == pytest.approx(1.5)
    assert times.n == POLICY.min_rounds
    assert times.reference_s == pytest.approx(0.004)
    assert times.low == pytest.approx(times.high)


def test_noise_takes_more_pairs_and_is_covered_by_the_interval() -> None:
    times = Machine(noise=0.08).measure()
    assert times.n > 2 * POLICY.min_rounds
    assert times.low <= 1.5 <= times.high
    assert (times.high - times.low) / 2 <= POLICY.precision * times.ratio


def test_the_cap_ends_a_hopeless_measurement() -> None:
    machine = Machine(noise=0.5)
    times = machine.measure(StopPolicy(warm_up_s=0.1, max_s=0.5, max_drift=10))
    assert machine.now < 1.0
    assert (times.high - times.low) / 2 > POLICY.precision * times.ratio


def test_what_slows_both_cancels() -> None:
    wobble = Machine(slowdown=lambda t: 1.3 if int(t * 50) % 2 else 1.0).measure()
    assert wobble.ratio == pytest.approx(1.5, rel=0.02)


def test_drift_is_refused_with_what_to_do() -> None:
    machine = Machine(noise=0.2, slowdown=lambda t: 1 + 3 * t)
    with pytest.raises(TargetError, match=r"drifted by \d+% within one measurement, 3 times in a row") as error:
        machine.measure(StopPolicy(warm_up_s=0.1, max_s=2.0, precision=0.0, max_drift=0.2))
    assert "close what else is running" in error.value.hint


def test_one_bad_attempt_is_forgiven() -> None:
    machine = Machine(slowdown=lambda t: 1 + 10 * t if t < 0.4 else 5.0)
    assert machine.measure().ratio == pytest.approx(1.5, rel=0.1)
    assert machine.runs > 3 * POLICY.min_rounds


def test_warm_up_is_by_time() -> None:
    machine = Machine()
    machine.measure(StopPolicy(warm_up_s=2.0))
    assert machine.runs > 2 * POLICY.min_rounds + 300


def test_median_interval_covers() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(400):
        low, high = median_interval([rng.gauss(0, 1) for _ in range(40)], 0.95)
        covered += low <= 0 <= high
    assert covered / 400 >= 0.93
