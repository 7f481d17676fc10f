"""Rank statistics: equal to scipy's on lists, and to those of the list that a bootstrap sample stands for."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mvsearch.accuracy.validation.ranks import Statistic, bootstrap, draws, pairs_right, partial_spearman, spearman, tau_b

LISTS = st.integers(3, 9).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.integers(0, 6), min_size=n, max_size=n) for _ in range(2)], st.just(n), st.integers(0, 99)
    )
)


def scipys(function, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(x, y).statistic)


@settings(max_examples=80, deadline=None)
@given(LISTS)
def test_a_sample_counts_as_the_list_it_stands_for(drawn):
    x, y, n, seed = drawn
    x, y = np.array(x, float), np.array(y, float)
    weights = np.vstack([np.ones(n), draws(n, seed, 3)])
    for mine, theirs in ((tau_b, stats.kendalltau), (spearman, stats.spearmanr)):
        for row, found in zip(weights, mine(x, y, weights), strict=True):
            copies = row.astype(int)
            expected = scipys(theirs, np.repeat(x, copies), np.repeat(y, copies))
            assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_partial_correlation_is_that_of_residual_ranks():
    generator = np.random.default_rng(3)
    y, a, b, x = generator.standard_normal((4, 25))
    x, y = x + a, y + a + 0.5 * x
    ranks = [stats.rankdata(v) for v in (x, y, a, b)]
    given_ranks = np.column_stack([np.ones(25), *ranks[2:]])
    residuals = [v - given_ranks @ np.linalg.lstsq(given_ranks, v, rcond=None)[0] for v in ranks[:2]]
    expected = np.corrcoef(*residuals)[0, 1]
    assert partial_spearman(x, y, [a, b], np.ones((1, 25)))[0] == pytest.approx(expected)
    assert math.isnan(partial_spearman(a, y, [a, b], np.ones((1, 25)))[0])  # nothing of `a` is left


def test_share_of_pairs():
    x, y = np.array([1.0, 2.0, 3.0, 3.0]), np.array([1.0, 2.0, 2.5, 4.0])
    every = 1 - np.eye(4)
    assert pairs_right(x, y, every, np.ones((1, 4)))[0] == pytest.approx(5.5 / 6)  # the tie counts as half
    assert pairs_right(-x, y, every, np.ones((1, 4)))[0] == pytest.approx(0.5 / 6)
    some = np.zeros((4, 4))
    some[0, 1] = some[1, 0] = 1
    assert pairs_right(x, y, some, np.ones((1, 4)))[0] == 1
    assert math.isnan(pairs_right(x, np.ones(4), every, np.ones((1, 4)))[0])


def test_intervals_hold_the_value_and_come_again():
    generator = np.random.default_rng(0)
    y = generator.standard_normal(19)
    x = y + 0.3 * generator.standard_normal(19)
    found = bootstrap(lambda w: tau_b(x, y, w), 19, 0)
    assert found.low < found.value < found.high
    assert found == bootstrap(lambda w: tau_b(x, y, w), 19, 0)
    assert found != bootstrap(lambda w: tau_b(x, y, w), 19, 1)
    noisier = bootstrap(lambda w: tau_b(y + 3 * x[::-1], y, w), 19, 0)
    assert noisier.high - noisier.low > found.high - found.low


def test_what_is_not_defined_has_no_value():
    assert bootstrap(lambda w: tau_b(np.array([1.0]), np.array([2.0]), w), 1, 0) == Statistic(None)
    assert bootstrap(lambda w: tau_b(np.ones(5), np.arange(5.0), w), 5, 0) == Statistic(None)
