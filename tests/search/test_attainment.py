"""Attainment over runs: by hand, and by its definition on random fronts."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.attainment import (
    attained_share,
    attainment_levels,
    attains,
    common_reference,
    dominated_share,
    gain_at,
    median_level,
    staircase,
)
from mvsearch.search.pareto import hypervolume

# Few distinct values, so that ties and equal points occur.
pairs = st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float))
fronts = st.lists(st.lists(pairs, max_size=8), min_size=1, max_size=5)


def test_two_runs_by_hand():
    a, b = [(1, 1), (3, 3)], [(2, 2), (4, 4)]
    best, both = attainment_levels([a, b])
    assert best == ((1, 1), (2, 2), (3, 3), (4, 4))
    assert both == ((1, 2), (2, 3), (3, 4))
    assert [median_level(n) for n in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]


@given(fronts, pairs)
@settings(max_examples=100, deadline=None)
def test_levels_are_what_the_attainment_function_says(runs, goal):
    for k, level in enumerate(attainment_levels(runs), start=1):
        assert attains(level, goal) == (attained_share(runs, goal) >= k / len(runs) - 1e-12)


@given(fronts)
@settings(max_examples=100, deadline=None)
def test_levels_are_staircases_one_inside_the_other(runs):
    levels = attainment_levels(runs)
    assert len(levels) == len(runs)
    for level in levels:
        assert level == staircase(level)
        for (g1, c1), (g2, c2) in pairwise(level):
            assert g1 < g2 and c1 < c2
    for better, worse in pairwise(levels):
        assert all(attains(better, corner) for corner in worse)
        assert hypervolume(better, (-1, 10)) >= hypervolume(worse, (-1, 10))
    for run in runs:
        assert all(attains(levels[0], point) for point in run), "every run stays within the best level"
        if all(runs):
            assert all(attains(run, corner) for corner in levels[-1]), "and attains the worst"


@given(st.lists(pairs, max_size=8), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_equal_runs_have_equal_levels(run, count):
    assert attainment_levels([run] * count) == (staircase(run),) * count


@given(fronts, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_runs_and_points_does_not_matter(runs, random):
    shuffled = [random.sample(run, len(run)) for run in runs]
    random.shuffle(shuffled)
    assert attainment_levels(shuffled) == attainment_levels(runs)


@given(st.lists(pairs, min_size=1, max_size=8), st.lists(pairs, max_size=8))
@settings(max_examples=100, deadline=None)
def test_shares_of_domination(mine, other):
    a, b = staircase(mine), staircase(other)
    assert dominated_share(a, a) == 0, "no front dominates itself"
    assert dominated_share(a, ()) == 0
    assert 0 <= dominated_share(a, b) <= 1
    if dominated_share(a, b) == 1:
        assert hypervolume(b, (-1, 10)) > hypervolume(a, (-1, 10))


def test_shares_by_hand():
    assert dominated_share([(1, 1), (3, 3), (5, 5)], [(2, 1), (3, 3), (4, 9)]) == pytest.approx(1 / 3)
    assert gain_at(((1, 1), (3, 3)), 2.9) == 1
    assert gain_at(((1, 1), (3, 3)), 0.5) == float("-inf")
    assert common_reference([[(1, 1), (3, 3)], [(2, 2), (0, 9)], []]) == (1, 3)
    assert common_reference([[], []]) is None


def test_nothing_is_said_of_nothing():
    with pytest.raises(ValueError, match="no runs"):
        attained_share([], (0, 0))
    with pytest.raises(ValueError, match="no points"):
        dominated_share([], [(1, 1)])
    assert attainment_levels([]) == ()
