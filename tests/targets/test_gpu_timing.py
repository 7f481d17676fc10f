"""Warm-up, rounds, stop rule and refusals against a simulated GPU's clock."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest

pytest.importorskip("torch")

from mvsearch.errors import MeasureError
from mvsearch.targets.host.gpu.timing import (
    MIN_WARM_UP_RUNS,
    ROUND_S,
    mean_interval,
    measure_on,
    one_round,
    per_round,
    rounds_of_runs,
    warm_up,
)
from mvsearch.targets.target import StopPolicy
from tests.targets.fake_gpu import GRAPH_LAUNCH_S, LAUNCH_S, FakeGpu

POLICY = StopPolicy(warm_up_s=0.5, max_s=3.0, min_rounds=15, max_drift=0.05, attempts=2)


def eager(gpu, kernels=100, seconds=3e-6):
    def run():
        for _ in range(kernels):
            gpu.launch(seconds)

    return run


def graph(gpu, kernels=100, seconds=3e-6):
    return gpu.capture(eager(gpu, kernels, seconds))


def test_a_graph_shows_the_device_and_eager_launches_show_the_host() -> None:
    gpu = FakeGpu()
    launched = measure_on(gpu, eager(gpu), graph(gpu), POLICY)
    captured = measure_on(gpu, graph(gpu), graph(gpu), POLICY)
    assert captured.value_ms == pytest.approx(100 * 3e-3, rel=1e-6)
    assert launched.value_ms == pytest.approx(1e3 * 100 * LAUNCH_S, rel=0.01)


def test_within_a_round_the_hosts_launch_is_hidden_behind_the_run_before() -> None:
    gpu = FakeGpu()
    run = graph(gpu)
    alone, *_ = one_round(gpu, run, 1)
    first, *others = one_round(gpu, run, 10)
    assert [alone, first] == [pytest.approx(0.3 + 1e3 * GRAPH_LAUNCH_S)] * 2
    assert others == [pytest.approx(0.3)] * 9


@pytest.mark.parametrize(("kernels", "runs"), [(10, 1000), (100_000, MIN_WARM_UP_RUNS)])
def test_warm_up_is_by_time_and_by_count(kernels: int, runs: int) -> None:
    gpu = FakeGpu()
    warm = warm_up(gpu, graph(gpu, kernels), 0.5)
    assert warm.runs >= runs and warm.seconds >= 0.5
    assert warm.run_s == pytest.approx(kernels * 3e-6, rel=0.25)
    assert gpu.replays == warm.runs


def test_a_round_lasts_about_as_long_for_every_network() -> None:
    assert [per_round(s) for s in (1e-9, 1e-4, 7e-3, 0.5)] == [500, math.ceil(ROUND_S / 1e-4), 3, 1]


def test_a_steady_gpu_stops_at_once_and_a_noisy_one_takes_longer() -> None:
    steady = FakeGpu()
    times = measure_on(steady, graph(steady), graph(steady), POLICY)
    assert times.rounds == POLICY.min_rounds
    assert times.low_ms <= times.value_ms <= times.high_ms
    rng = random.Random(0)
    level = {}

    def slow_and_fast_rounds(t: float) -> float:
        return level.setdefault(int(t / ROUND_S), rng.uniform(1.0, 1.3))

    noisy = FakeGpu(slow_and_fast_rounds)
    samples, medians = rounds_of_runs(noisy, graph(noisy), POLICY, 60)
    assert len(medians) > 3 * POLICY.min_rounds and len(samples) == 60 * len(medians)


def test_the_cap_ends_a_hopeless_measurement_and_the_interval_tells() -> None:
    rng = random.Random(0)
    level = {}
    gpu = FakeGpu(lambda t: level.setdefault(int(t / ROUND_S), rng.uniform(1.0, 3.0)))
    rounds_of_runs(gpu, graph(gpu), StopPolicy(max_s=0.7, min_rounds=15, precision=0.001), 60)
    assert 0.7 <= gpu.now() < 0.9
    times = measure_on(gpu, graph(gpu), graph(gpu), StopPolicy(max_s=0.7, min_rounds=15, precision=0.001, max_drift=9))
    assert (times.high_ms - times.low_ms) / 2 > 0.02 * times.value_ms


def test_runs_of_one_round_are_not_taken_for_independent() -> None:
    """A thousand alike runs in each of a few different rounds must not make a narrow interval."""
    level = {}
    rng = random.Random(2)
    gpu = FakeGpu(lambda t: level.setdefault(int(t / ROUND_S), rng.choice((1.0, 1.2))))
    times = measure_on(gpu, graph(gpu), graph(gpu), StopPolicy(min_rounds=15, precision=0, max_s=0.5, max_drift=9))
    assert times.high_ms / times.low_ms > 1.1


def test_drift_of_the_reference_is_refused_and_may_be_tried_again() -> None:
    gpu = FakeGpu(lambda t: 1 + 0.2 * t)
    with pytest.raises(MeasureError, match=r"drifted by \d+% or more within one measurement, 2 times in a row") as error:
        measure_on(gpu, graph(gpu), graph(gpu), POLICY)
    assert error.value.kind == "unsteady" and error.value.retryable
    assert "at most 5% is accepted" in error.value.hint


def test_one_attempt_that_drifted_is_forgiven() -> None:
    gpu = FakeGpu(lambda t: 1.0 if t < 0.9 else 1.5)
    times = measure_on(gpu, graph(gpu), graph(gpu), POLICY)
    assert times.value_ms == pytest.approx(0.45) and times.drift < 0.01


def test_a_busy_host_drifts_eager_launches_and_not_graphs() -> None:
    def host(t):
        return 1 + t

    gpu = FakeGpu(host_slowdown=host)
    assert measure_on(gpu, graph(gpu), graph(gpu), POLICY).drift < 0.01
    with pytest.raises(MeasureError, match=r"for eager launches: or the processor"):
        measure_on(gpu, eager(gpu), eager(gpu), POLICY)


def test_a_fixed_number_of_runs_is_just_that_with_a_wait_after_each() -> None:
    gpu = FakeGpu()
    times = measure_on(gpu, graph(gpu), graph(gpu), POLICY, fixed_runs=300)
    assert len(times.samples_ms) == times.rounds == 300
    assert times.value_ms == pytest.approx(0.3 + 1e3 * GRAPH_LAUNCH_S)
    assert times.value_ms == pytest.approx(mean(times.samples_ms), rel=1e-4)


def test_the_interval_of_a_mean_covers_it() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(300):
        low, high = mean_interval([rng.gauss(5, 1) for _ in range(300)], 0.95)
        covered += low <= 5 <= high
    assert 0.90 <= covered / 300 <= 0.99
    assert mean_interval([2.0], 0.95) == (2.0, 2.0)
