"""Gains in hypervolume, and the greedy choice by them, against their definitions."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.belief import Belief
from mvsearch.search.bench.volume import hypervolume as exact_volume
from mvsearch.search.encoding import Encoder
from mvsearch.search.improvement import Probes, Staircase, non_dominated, region_of
from mvsearch.search.judge import Candidate, Judge
from mvsearch.search.knowledge import Known
from mvsearch.search.pareto import hypervolume
from tests.search.landscape import dominated, reduced

quick = settings(deadline=None, max_examples=60)
values = st.integers(0, 12).map(float)
pairs = st.tuples(values, values)
triples = st.tuples(values, values, values)
REFERENCE = (10.0, 10.0)


def area(points):
    """By the report's own function: gain to maximise, cost to minimise."""
    return hypervolume([(-a, b) for a, b in points], (-REFERENCE[0], REFERENCE[1]))


@quick
@given(st.lists(st.one_of(pairs, st.sampled_from([(3.0, 3.0), (0.0, 12.0)])), max_size=25))
def test_non_dominated_two(points):
    check_non_dominated(points, 2)


@quick
@given(st.lists(triples, max_size=25))
def test_non_dominated_three(points):
    check_non_dominated(points, 3)


def check_non_dominated(points, size):
    keep = non_dominated(np.array(points, dtype=float).reshape(len(points), size))
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        assert keep[i] == (not dominated(p, others) and p not in points[:i])


@quick
@given(st.lists(pairs, max_size=15), st.lists(pairs, min_size=1, max_size=6))
def test_a_staircase_says_by_how_much_the_hypervolume_grows(front, points):
    region = Staircase(np.array(front, dtype=float).reshape(-1, 2), np.array(REFERENCE))
    for p in points:
        gains = region.gain(np.array(points))
        assert gains == pytest.approx([area([*front, q]) - area(front) for q in points])
        region.take(np.array(p))
        front = [*front, p]


def test_gains_keep_the_shape():
    region = Staircase(np.array([[2.0, 2.0]]), np.array(REFERENCE))
    grid = np.arange(24.0).reshape(3, 4, 2)
    assert region.gain(grid).shape == (3, 4)
    assert region.gain(grid)[1, 2] == region.gain(grid[1, 2])


@quick
@given(st.integers(0, 10**6))
def test_probes_estimate_the_volume(seed):
    rng = np.random.default_rng(seed)
    front, points = rng.random((rng.integers(0, 12), 3)), rng.random((8, 3)) * 0.8
    reference = np.array([1.1, 1.1, 1.1])
    region = region_of(front, reference, np.zeros(3))
    assert isinstance(region, Probes)

    def volume(members):
        return exact_volume([tuple(reference - m) for m in members])

    for p in points:
        exact = [volume([*front, q]) - volume(front) for q in points]
        # Of the box that is probed: two thousand free probes tell no smaller volumes apart.
        assert region.gain(points) == pytest.approx(exact, rel=0.05, abs=0.005)
        region.take(p)
        front = np.vstack([front, p])


def test_probes_are_the_same_every_time():
    front, points = np.array([[1.0, 2.0, 3.0]]), np.random.default_rng(0).random((5, 3)) * 4
    gains = [Probes(front, np.full(3, 5.0), np.zeros(3)).gain(points).tolist() for _ in range(2)]
    assert gains[0] == gains[1]


@quick
@given(st.lists(pairs, min_size=1, max_size=8), st.lists(pairs, max_size=12), st.integers(1, 12))
def test_the_choice_is_greedy_by_hypervolume(front, candidates, size):
    space = reduced(keep=1)
    point = {d.name: d.choices[0] for d in space.dimensions}
    observed = [(Known(point, str(i), f), Belief(f)) for i, f in enumerate(front)]
    judge = Judge(Encoder(space), observed, [t for t, _ in observed])
    pool = judge.judge([Candidate(point, i, "", Belief(c)) for i, c in enumerate(candidates)])
    region = copy.deepcopy(judge.region)
    chosen = [candidates[c.spec] for c in judge.choose(pool, size)]
    for c in chosen:
        gains = region.gain(np.array(candidates))
        assert 0 < region.gain(np.array(c)) == gains.max()
        region.take(np.array(c))
    if len(chosen) < size and candidates:
        assert region.gain(np.array(candidates)).max() == 0
