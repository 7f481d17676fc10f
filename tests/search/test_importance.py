"""Shares of dimensions in objectives, where the truth is planted."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.search.importance import MAX_GROUPS, MIN_TRIALS, grouped, importances, standard_ranks


def planted(n=400, seed=0):
    rng = random.Random(seed)
    dimensions = {
        "strong": [rng.choice(range(8, 200, 8)) for _ in range(n)],
        "weak": [rng.choice((1, 2, 3)) for _ in range(n)],
        "kind": [rng.choice(("a", "b", "c")) for _ in range(n)],
        "idle": [rng.choice((1, 2, 4, 8)) for _ in range(n)],
        "fixed": [4] * n,
    }
    noise = [rng.gauss(0, 1) for _ in range(n)]
    ms = [
        np.exp(0.02 * s + 0.45 * w + 0.1 * e) for s, w, e in zip(dimensions["strong"], dimensions["weak"], noise, strict=True)
    ]
    top1 = [{"a": 0.0, "b": 2.0, "c": -2.0}[k] - 0.01 * m + 0.5 * e
            for k, m, e in zip(dimensions["kind"], ms, noise, strict=True)]  # fmt: skip
    return dimensions, {"latency": ms, "top1": top1}


def test_planted_shares_are_found_in_their_order():
    found = {(i.dimension, i.objective): i for i in importances(*planted())}
    assert {d for d, _ in found} == {"strong", "weak", "kind", "idle"}
    latency = [found[d, "latency"] for d in ("strong", "weak", "kind", "idle")]
    assert latency[0].share > 0.8 and latency[0].direction > 0.9
    assert latency[0].share > 5 * latency[1].share
    assert latency[0].is_above_noise and latency[1].is_above_noise
    assert found["kind", "top1"].share > 0.8 and found["kind", "top1"].direction is None
    assert not found["idle", "latency"].is_above_noise and not found["idle", "top1"].is_above_noise


def test_the_noise_floor_is_passed_by_chance_as_often_as_it_says():
    passed = total = 0
    for seed in range(60):
        rng = random.Random(seed)
        n = 80
        dimensions = {f"d{k}": [rng.choice(range(k + 2)) for _ in range(n)] for k in range(5)}
        found = importances(dimensions, {"y": [rng.random() for _ in range(n)]}, seed)
        passed, total = passed + sum(i.is_above_noise for i in found), total + len(found)
    assert 0.02 <= passed / total <= 0.09


def test_only_the_order_matters():
    dimensions, objectives = planted(120)
    as_logs = importances(dimensions, {"latency": np.log(objectives["latency"])})
    plain = importances(dimensions, {"latency": objectives["latency"]})
    assert [i.share for i in as_logs] == pytest.approx([i.share for i in plain])


def test_a_share_is_kruskal_and_wallis():
    from scipy.stats import kruskal

    dimensions, objectives = planted(150)
    found = next(i for i in importances({"kind": dimensions["kind"]}, objectives) if i.objective == "top1")
    groups = [[y for y, k in zip(objectives["top1"], dimensions["kind"], strict=True) if k == kind] for kind in "abc"]
    assert found.share == pytest.approx(kruskal(*groups).statistic / 149)


def test_what_a_network_lacks_is_a_group_of_its_own():
    column = [None, 2, None, 4] * 10
    assert list(grouped(column[:4])) == [2, 0, 2, 1]
    (found,) = importances({"heads": column}, {"y": [0.0, 1.0, 0.0, 2.0] * 10})
    assert found.share == pytest.approx(1.0) and found.direction is None and found.groups == 3


def test_few_trials_and_a_flat_objective_tell_nothing():
    few = [1, 2] * (MIN_TRIALS // 2 - 1)
    assert importances({"d": few}, {"y": [float(v) for v in few]}) == ()
    (flat,) = importances({"d": [1, 2] * 20}, {"y": [3.0] * 40})
    assert flat.share == 0 and not flat.is_above_noise


def test_columns_have_to_fit():
    with pytest.raises(ValueError, match="different lengths"):
        importances({"d": [1, 2]}, {"y": [1.0]})
    with pytest.raises(ValueError, match="not finite"):
        importances({"d": [1, 2] * 20}, {"y": [float("nan")] * 40})


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_groups_keep_the_order_and_are_few(column):
    groups = grouped(column)
    assert groups.min() == 0 and groups.max() < max(MAX_GROUPS, 1) + (len(set(column)) <= MAX_GROUPS)
    assert all(
        (a <= b) for (_, a), (_, b) in zip(*[sorted(zip(column, groups, strict=True))[k:] for k in (0, 1)], strict=False)
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_ranks_are_standard(values):
    ranks = standard_ranks(np.array(values))
    assert ranks.mean() == pytest.approx(0, abs=1e-9)
    assert ranks.std() == pytest.approx(1 if len(set(values)) > 1 else 0)
