"""Successive halving: who goes on, that nobody is trained twice, and that a resumed run goes on as it was."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.halving import ETA, FINALISTS, Halving, Job, num_rungs, rung_steps

LOSSES = st.lists(st.one_of(st.none(), st.floats(0.1, 5)), min_size=1, max_size=30)


def run(
    losses: list[float | None], latencies: list[float], rungs: int, seeds: int, workers: int, after: int = 10**9
) -> list[Job]:
    """Train with so many workers, first in first out; jobs in the order in which they finished."""
    halving = Halving(latencies, rungs, seeds)
    return drive(halving, losses, workers, after)


def drive(halving: Halving, losses: list[float | None], workers: int, after: int = 10**9) -> list[Job]:
    running: list[Job] = []
    done: list[Job] = []
    while len(done) < after:
        while len(running) < workers and (job := halving.next()):
            running.append(job)
        if not running:
            break
        job = running.pop(0)
        halving.report(job, losses[job.candidate])
        done.append(job)
    return done


@settings(max_examples=60, deadline=None)
@given(LOSSES, st.integers(1, 4), st.integers(1, 3), st.randoms())
def test_it_ends_and_nobody_is_trained_twice(losses, workers, seeds, rng) -> None:
    latencies = [rng.uniform(1, 5) for _ in losses]
    rungs = num_rungs(len(losses))
    jobs = run(losses, latencies, rungs, seeds, workers)
    assert len(set(jobs)) == len(jobs)
    assert {j.candidate for j in jobs if j.rung == 0} == set(range(len(losses)))
    finished = {(j.candidate, j.rung) for j in jobs if losses[j.candidate] is not None}
    assert all((j.candidate, j.rung - 1) in finished for j in jobs if j.rung > 0)
    good = sum(loss is not None for loss in losses)
    for rung in range(1, rungs):
        before, now = (len({j.candidate for j in jobs if j.rung == r}) for r in (rung - 1, rung))
        usable = min(before, good)
        assert now >= min(usable, max(usable // ETA, FINALISTS))
    last = [j for j in jobs if j.rung == rungs - 1 and losses[j.candidate] is not None]
    assert {j.seed for j in last} == (set(range(seeds)) if last else set())
    per_candidate = {c: sum(j.candidate == c for j in last) for c in {j.candidate for j in last}}
    assert set(per_candidate.values()) <= {seeds}


@settings(max_examples=40, deadline=None)
@given(LOSSES, st.integers(0, 40), st.randoms())
def test_a_resumed_run_trains_what_is_left(losses, after, rng) -> None:
    """With one worker the order is fixed, and killing it anywhere changes nothing."""
    latencies = [rng.uniform(1, 5) for _ in losses]
    rungs = num_rungs(len(losses))
    whole = run(losses, latencies, rungs, 2, 1)
    first = run(losses, latencies, rungs, 2, 1, after)
    resumed = Halving(latencies, rungs, 2)
    for job in first:
        resumed.report(job, losses[job.candidate])
    assert first + drive(resumed, losses, 1) == whole


def test_the_best_of_equal_latency_go_on() -> None:
    losses = [float(9 - i) for i in range(9)]
    jobs = run(losses, [2.0] * 9, 3, 1, 1)
    assert {j.candidate for j in jobs if j.rung == 2} >= {8}
    synchronous = Halving([2.0] * 9, 2)
    for i, loss in enumerate(losses):
        synchronous.report(Job(i, 0), loss)
    assert [synchronous.next() for _ in range(4)] == [Job(8, 1), Job(7, 1), Job(6, 1), None]


def test_a_fast_network_is_not_beaten_by_slow_ones() -> None:
    """The fastest has the worst loss and goes on all the same: nobody dominates it."""
    halving = Halving([1.0, 2.0, 2.1, 2.2, 2.3, 2.4], 2)
    for i, loss in enumerate([3.0, 1.0, 1.1, 1.2, 1.3, 1.4]):
        halving.report(Job(i, 0), loss)
    assert {halving.next(), halving.next()} == {Job(0, 1), Job(1, 1)}
    assert halving.next() is None


def test_a_failed_candidate_goes_no_further() -> None:
    jobs = run([None, None, None, 1.0], [1.0] * 4, 2, 2, 1)
    assert {j.candidate for j in jobs if j.rung == 1} == {3}
    assert all(j.rung == 0 for j in run([None] * 4, [1.0] * 4, 2, 2, 1))


def test_rungs() -> None:
    assert [num_rungs(n) for n in (1, 2, 3, 8, 9, 12, 64)] == [1, 1, 2, 2, 3, 3, 3]
    assert rung_steps(900, 3) == (100, 300, 900)
    assert rung_steps(2, 3) == (1, 1, 2)


def test_planned_is_what_one_worker_does_at_least() -> None:
    for n, seeds in itertools.product((1, 2, 5, 12, 20), (1, 2)):
        losses = [1.0 + 0.01 * i for i in range(n)]
        halving = Halving([1.0 + i for i in range(n)], num_rungs(n), seeds)
        planned = len(halving.planned())
        assert (
            0.5 * len(drive(halving, losses, 1))
            <= planned
            <= len(run(losses, [1.0 + i for i in range(n)], num_rungs(n), seeds, 1))
        )
