"""The search knows nothing of EfficientFormers, and finds its way in their spaces."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mvsearch.search.breeding import Breeder
from mvsearch.search.encoding import Encoder
from mvsearch.search.estimate import estimate
from mvsearch.search.goals import Goals
from mvsearch.search.view import published_points
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import name_of, network
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target

SPACES = ("efficientformer", "efficientformerv2")
TARGET = get_target("iphone12")
BUDGETS = {"efficientformer": "12M-params", "efficientformerv2": "7M-params"}


def goals_in(space: str) -> Goals:
    return Goals(parse_budgets([BUDGETS[space]]), 0.8, 224, family=space)


@pytest.mark.parametrize("name", SPACES)
def test_points_become_numbers_though_attention_may_be_zero(name: str) -> None:
    space, rng = load_space(name), random.Random(0)
    points = [{**space.random_point(rng), "stage4.attention": a} for a in (0, 1, 6)]
    rows = Encoder(space).encode(points)
    assert np.isfinite(rows).all() and rows.min() >= 0 and rows.max() <= 1
    column = [i for i in range(rows.shape[1]) if rows[0, i] == 0 and rows[0, i] < rows[1, i] < rows[2, i]]
    assert column


@pytest.mark.parametrize("name", SPACES)
def test_a_search_starts_from_the_family_s_own_networks(name: str) -> None:
    space, goals = load_space(name), goals_in(name)
    breeder = Breeder(space, goals.excess, random.Random(0))
    seeds = list(breeder.seeds())
    published = {name_of(space.decode(p)) for p, origin in seeds if origin == "published"}
    fitting = {p.name for p in published_points(goals, TARGET) if p.feasible}
    assert published == fitting and fitting
    assert all(n.startswith(f"{name}_") for n in fitting)
    for _ in range(100):
        child = breeder.child(seeds[0][0], seeds[-1][0])
        assert space.decode(child).arch_id


def test_breeding_by_estimates_finds_a_network_that_beats_l1() -> None:
    """Greedy, from L1, by fifteen hundred estimates: what a search does at the least."""
    space, goals = load_space("efficientformer"), goals_in("efficientformer")
    breeder = Breeder(space, goals.excess, random.Random(0))

    def numbers(point: dict) -> tuple[float, float]:
        return goals.objectives(estimate(space.decode(point), 224, TARGET))

    start = space.encode(network("efficientformer_l1"))
    bar, point = numbers(start), start
    best = bar
    for _ in range(1500):
        child = breeder.child(point, point)
        if goals.excess(space.decode(child)) > 0:
            continue
        found = numbers(child)
        if found[0] >= best[0] and found[1] <= best[1]:
            point, best = child, found
    assert best[0] > bar[0] and best[1] < bar[1]
