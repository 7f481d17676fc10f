"""Measurement against a simulated machine: steady, noisy, contended, drifting."""

from __future__ import annotations

import gc
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.errors import MeasureError
from mvsearch.targets.host.timing import BLOCKS, PATIENCE, measure_alone, measure_paired, median_interval
from mvsearch.targets.target import StopPolicy

POLICY = StopPolicy(warm_up_s=0.1, max_s=5.0, min_rounds=10)
NETWORK_S, REFERENCE_S = 0.006, 0.004


class Machine:
    """Clocks that inferences push forward.

    Args:
        noise: relative standard deviation of every run.
        slowdown: factor on both networks as a function of the CPU time in seconds.
        share: of a core that this process gets; the rest of the wall time passes without work.
        after_other: factor on a run that comes after one of the other network.
    """

    def __init__(self, noise: float = 0.0, slowdown=lambda t: 1.0, share: float = 1.0, after_other: float = 1.0) -> None:
        self.now, self.noise, self.slowdown, self.share, self.after_other = 0.0, noise, slowdown, share, after_other
        self.rng = random.Random(0)
        self.log: list[str] = []

    def work(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now / self.share

    def network(self, name: str, seconds: float):
        def run() -> None:
            other = self.after_other if self.log and self.log[-1] != name else 1.0
            self.log.append(name)
            self.now += seconds * other * self.slowdown(self.now) * max(0.1, self.rng.gauss(1, self.noise))

        return run

    def measure(self, policy: StopPolicy = POLICY):
        networks = self.network("B", NETWORK_S), self.network("A", REFERENCE_S)
        return measure_paired(*networks, policy, self.work, self.wall)

    def measure_alone(self, **seconds):
        return measure_alone(self.network("A", REFERENCE_S), **seconds, work=self.work, wall=self.wall)


def test_a_steady_machine_stops_at_once() -> None:
    times = Machine().measure()
    assert times.ratio == pytest.approx(1.5)
    assert times.n == POLICY.min_rounds == len(times.run_s) == len(times.reference_s)
    assert times.seen_s == pytest.approx(REFERENCE_S)
    assert times.wall_s == pytest.approx(NETWORK_S)
    assert times.low == pytest.approx(times.high)
    assert times.attempts == 1 and times.drift == pytest.approx(0)


def test_who_goes_first_alternates() -> None:
    machine = Machine()
    n = machine.measure(StopPolicy(warm_up_s=0.0, min_rounds=6)).n
    assert "".join(machine.log) == "ABBA" * (n // 2) == "ABBAABBAABBA"


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_what_the_one_before_leaves_in_the_caches_cancels(noise: float) -> None:
    # A run after the other network takes 10 % longer; in alternation each network has as many of such runs.
    times = Machine(noise, after_other=1.1).measure(StopPolicy(warm_up_s=0.0, min_rounds=80, precision=0.0, max_s=0.1))
    after_other = [b > 1.05 * NETWORK_S for b in times.run_s]
    if not noise:
        assert sum(after_other) == times.n / 2
        assert sum(a > 1.05 * REFERENCE_S for a in times.reference_s) in (times.n / 2, times.n / 2 - 1)
    assert times.ratio == pytest.approx(1.5, rel=0.02)


def test_noise_takes_more_pairs_and_is_covered_by_the_interval() -> None:
    times = Machine(noise=0.08).measure()
    assert times.n > 2 * POLICY.min_rounds
    assert times.low <= 1.5 <= times.high
    assert (times.high - times.low) / 2 <= POLICY.precision * times.ratio


def test_the_cap_ends_a_hopeless_measurement() -> None:
    machine = Machine(noise=0.5)
    times = machine.measure(StopPolicy(warm_up_s=0.1, max_s=0.5, max_drift=10))
    assert 0.5 < machine.now < 0.7
    assert (times.high - times.low) / 2 > POLICY.precision * times.ratio


def test_seconds_are_those_of_work_up_to_a_limit() -> None:
    policy = StopPolicy(warm_up_s=0.2, max_s=1.0, precision=0.0)
    half, starved = Machine(0.02, share=0.5), Machine(0.02, share=0.05)
    assert half.measure(policy).n == Machine(0.02).measure(policy).n
    times = starved.measure(policy)
    assert starved.wall() == pytest.approx(PATIENCE * 1.2, rel=0.1)
    assert times.wall_s == pytest.approx(NETWORK_S / 0.05, rel=0.02)


def test_what_slows_both_cancels() -> None:
    wobble = Machine(slowdown=lambda t: 1.3 if int(t * 50) % 2 else 1.0).measure()
    assert wobble.ratio == pytest.approx(1.5, rel=0.02)


def test_drift_is_refused_with_what_to_do() -> None:
    machine = Machine(noise=0.05, slowdown=lambda t: math.exp(0.5 * t))
    with pytest.raises(MeasureError, match=r"drifted by \d+% within one measurement, 3 times in a row") as error:
        machine.measure(StopPolicy(warm_up_s=0.1, max_s=2.0, precision=0.0, max_drift=0.2))
    assert "close what else is running" in error.value.hint and "at most 20%" in error.value.hint
    assert error.value.kind == "unsteady" and error.value.retryable and error.value.exit_code == 2


def test_one_bad_attempt_is_forgiven_and_told() -> None:
    machine = Machine(slowdown=lambda t: 1 + 10 * t if t < 0.4 else 5.0)
    times = machine.measure()
    assert times.ratio == pytest.approx(1.5, rel=0.1)
    assert times.attempts > 1


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0])
def test_warm_up_is_by_time(seconds: float) -> None:
    machine = Machine()
    times = machine.measure(StopPolicy(warm_up_s=seconds))
    turn = NETWORK_S + REFERENCE_S
    assert seconds <= times.warm_up_s < seconds + turn + 1e-9
    assert times.warm_up_n == pytest.approx(seconds / turn, abs=1)
    assert machine.log.count("B") == times.n + times.warm_up_n


def test_the_collector_rests_while_the_clock_runs() -> None:
    seen = []
    machine = Machine()
    run = machine.network("B", NETWORK_S)

    def watched() -> None:
        seen.append(gc.isenabled())
        run()

    measure_paired(watched, machine.network("A", REFERENCE_S), StopPolicy(warm_up_s=0.0), machine.work, machine.wall)
    assert seen and not any(seen)
    assert gc.isenabled()


def test_alone_the_calmest_block_counts() -> None:
    machine = Machine(noise=0.02, slowdown=lambda t: 1.0 if 1.8 < t < 2.4 else 1.4)
    times = machine.measure_alone(warm_up_s=0.5, block_s=0.4)
    assert len(times.blocks_s) == BLOCKS
    assert times.value_s == min(times.blocks_s) == pytest.approx(REFERENCE_S, rel=0.05)
    assert max(times.blocks_s) == pytest.approx(1.4 * REFERENCE_S, rel=0.05)
    assert times.n > 3 * 100


def test_alone_one_lucky_reading_does_not_count() -> None:
    machine = Machine(slowdown=lambda t: 0.1 if 1.0 < t < 1.003 else 1.0)
    assert machine.measure_alone().value_s == pytest.approx(REFERENCE_S)


def test_median_interval_covers() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(400):
        low, high = median_interval([rng.gauss(0, 1) for _ in range(40)], 0.95)
        covered += low <= 0 <= high
    assert covered / 400 >= 0.93


VALUES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60)


@given(VALUES, st.floats(0.5, 0.99))
def test_median_interval_holds_the_median_and_is_made_of_values(values: list[float], level: float) -> None:
    low, high = median_interval(values, level)
    assert low in values and high in values
    assert low <= statistics.median(values) <= high


@given(VALUES, st.floats(0.5, 0.98), st.randoms(use_true_random=False))
def test_median_interval_ignores_order_and_grows_with_the_level(values: list[float], level: float, rng) -> None:
    shuffled = values[:]
    rng.shuffle(shuffled)
    low, high = median_interval(values, level)
    assert (low, high) == median_interval(shuffled, level)
    wide_low, wide_high = median_interval(values, level + 0.01)
    assert wide_low <= low <= high <= wide_high


@given(VALUES, st.floats(0.1, 10.0))
def test_median_interval_scales(values: list[float], factor: float) -> None:
    low, high = median_interval(values, 0.9)
    assert median_interval([factor * v for v in values], 0.9) == (factor * low, factor * high)


@given(st.integers(8, 200))
def test_one_wild_value_does_not_move_the_interval_far(n: int) -> None:
    values = [1 + i / n for i in range(n)]
    assert max(median_interval([*values, 1e9], 0.95)) <= 2
