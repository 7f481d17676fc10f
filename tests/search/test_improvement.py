"""Gains in hypervolume, and the greedy choice by them, against their definitions."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.belief import Belief
from mvsearch.search.bench.volume import hypervolume as exact_volume
from mvsearch.search.encoding import Encoder
from mvsearch.search.improvement import Boxes, Staircase, non_dominated, region_of
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
@given(
    st.integers(1, 3).flatmap(
        lambda k: st.tuples(
            st.lists(st.tuples(*[values] * k), max_size=15), st.lists(st.tuples(*[values] * k), min_size=1, max_size=5)
        )
    )
)
def test_any_number_of_objectives(drawn):
    front, points = drawn
    reference = np.full(len(points[0]), 10.0)
    region = Boxes(np.array(front).reshape(-1, len(reference)), reference)

    def volume(members):
        return exact_volume([tuple(reference - m) for m in members])

    for p in points:
        assert region.gain(np.array(points)) == pytest.approx([volume([*front, q]) - volume(front) for q in points])
        region.take(np.array(p))
        front = [*front, p]


@quick
@given(st.lists(pairs, max_size=15), st.lists(pairs, min_size=1, max_size=5))
def test_two_objectives_either_way(front, points):
    front, points, reference = np.array(front).reshape(-1, 2), np.array(points), np.array(REFERENCE)
    one, other = region_of(front, reference), Boxes(front, reference)
    assert isinstance(one, Staircase)
    assert one.gain(points) == pytest.approx(other.gain(points))


def test_a_long_front_of_three_objectives():
    rng = np.random.default_rng(0)
    directions = np.abs(rng.standard_normal((300, 3)))
    front = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert non_dominated(front).all()
    reference = np.full(3, 1.1)
    region = region_of(front, reference)

    def volume(members):
        return exact_volume([tuple(reference - m) for m in members])

    points = rng.random((5, 3))
    assert region.gain(points) == pytest.approx([volume([*front, p]) - volume(front) for p in points], abs=1e-9)


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
