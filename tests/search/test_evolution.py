import math
import random

import pytest

from mvsearch.costs import count
from mvsearch.search.evolution import GENERATION_SIZE, Known, nearest_to_budget, next_generation
from mvsearch.search.goals import Goals
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import name_of
from mvsearch.spec.space_file import load_space

SPACE = load_space("mobilevit")
GOALS = Goals(parse_budgets(["2M-params,900M-macs"]), 0.8, 256)


def known(generation, rng):
    return [Known(p.point, p.spec.arch_id, (rng.random(), rng.random()), 0.0) for p in generation.proposals]


def two_generations(seed):
    first = next_generation(SPACE, GOALS.excess, (), seed, 0)
    return first, next_generation(SPACE, GOALS.excess, known(first, random.Random(1)), seed, 1)


def test_a_generation_is_a_function_of_the_seed_and_of_what_is_known():
    a, b, other = two_generations(3), two_generations(3), two_generations(4)
    assert a == b
    assert a != other


def test_never_over_budget_and_never_twice():
    first, second = two_generations(0)
    specs = [p.spec for p in (*first.proposals, *second.proposals)]
    assert len({s.arch_id for s in specs}) == len(specs) == 2 * GENERATION_SIZE
    for spec in specs:
        costs = count(spec, 256)
        assert costs.params <= 2_000_000
        assert costs.macs <= 900_000_000


def test_starts_from_the_published_networks_that_fit():
    first, _ = two_generations(0)
    names = {name_of(p.spec) for p in first.proposals if p.origin == "published"}
    fitting = {n for n, p in SPACE.published_points().items() if GOALS.excess(SPACE.decode(p)) <= 0}
    assert names == fitting
    assert "mobilevitv3_xxs" in names


def test_rejections_are_counted():
    first, second = two_generations(0)
    assert first.proposed >= len(first.proposals)
    assert second.over_budget > 0


def test_a_small_space_is_exhausted_not_repeated():
    tiny = load_space("tiny")
    seen = []
    for number in range(40):
        generation = next_generation(tiny, lambda _: -1.0, seen, 0, number)
        seen += known(generation, random.Random(number))
        if len(generation.proposals) < GENERATION_SIZE:
            break
    assert len({k.arch_id for k in seen}) == len(seen)
    distinct = {tiny.decode(p).arch_id for p in all_points(tiny)}
    assert len(seen) > 0.9 * len(distinct)


def all_points(space):
    points = [{}]
    for d in space.dimensions:
        points = [{**p, d.name: c} for p in points for c in d.choices]
    return points


def test_infeasible_parents_lead_towards_the_budget():
    rng = random.Random(0)
    points = [SPACE.random_point(rng) for _ in range(20)]
    bad = [Known(p, SPACE.decode(p).arch_id, (70.0, 5.0), float(i + 1)) for i, p in enumerate(points)]
    generation = next_generation(SPACE, lambda _: -math.inf, bad, 0, 1)
    assert len(generation.proposals) == GENERATION_SIZE


@pytest.mark.parametrize("budget", ["1-params", "1-macs"])
def test_an_impossible_budget_gives_the_nearest(budget):
    goals = Goals(parse_budgets([budget]), 0.8, 256)
    nearest = nearest_to_budget(SPACE, goals.excess, 0)
    assert goals.excess(nearest[0]) > 0
    smallest_published = min(goals.excess(SPACE.decode(p)) for p in SPACE.published_points().values())
    assert goals.excess(nearest[0]) < smallest_published


def test_without_a_counted_budget_it_starts_from_thinned_published_networks():
    first = next_generation(SPACE, lambda _: -math.inf, (), 0, 0)
    origins = [p.origin for p in first.proposals]
    assert origins.count("published") == len(SPACE.published_points())
    assert origins.count("scaled") > 10
