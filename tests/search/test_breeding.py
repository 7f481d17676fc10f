"""Points of a space: by chance, from parents, and fitted to a budget."""

import math
import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.blind import held_values
from mvsearch.search.breeding import Breeder, nearest_to_budget
from mvsearch.search.goals import Goals
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import name_of
from mvsearch.spec.space_file import load_space
from tests.search.landscape import losses, reduced

SPACE = load_space("mobilevit")
SPACES = [SPACE, load_space("tiny"), reduced(keep=1), reduced(keep=0)]
GOALS = Goals(parse_budgets(["2M-params,900M-macs"]), 0.8, 256)


def breeder(space=SPACE, excess=GOALS.excess, seed=0):
    return Breeder(space, excess, random.Random(seed))


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(SPACES), st.integers(0, 10**6))
def test_children_are_of_the_space_and_hold_what_is_held(space, seed):
    bred = breeder(space, lambda _: -math.inf, seed)
    held = held_values(space)
    one, other = bred.random(), bred.random()
    for point in (one, other, *(bred.child(one, other) for _ in range(5))):
        space.decode(point)
        assert {name: point[name] for name in held} == held


def test_a_child_resembles_its_parents():
    bred = breeder()
    one, other = bred.random(), bred.random()
    children = [bred.child(one, other) for _ in range(400)]
    changed = sorted(sum(c[n] not in (one[n], other[n]) for n in c) for c in children)
    assert changed[len(changed) // 2] <= 2
    assert sum(c in (one, other) for c in children) < 40
    # Between them, every knob is tried.
    assert {n for c in children for n in c if c[n] != one[n]} == {d.name for d in SPACE.dimensions if len(d.choices) > 1} - set(
        bred.held
    )


def test_parents_are_not_changed():
    bred = breeder()
    one, other = bred.random(), bred.random()
    before = dict(one), dict(other)
    for _ in range(100):
        bred.child(one, other)
    assert (one, other) == before


@pytest.mark.parametrize("tightness", [1.0, 0.75])
def test_scaled_to_the_budget_and_hardly_below(tightness):
    for point in SPACE.published_points().values():
        excess = GOALS.excess(SPACE.decode(breeder().scale_to_budget(point, tightness)))
        assert math.log(tightness) - 0.1 < excess <= math.log(tightness)


def test_what_cannot_be_brought_into_the_budget_is_none():
    point = SPACE.random_point(random.Random(0))
    assert breeder(excess=lambda _: 1.0).scale_to_budget(point, 1.0) is None
    assert breeder(excess=lambda _: 1.0).shrink_to_budget(point) is None


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(["2M-params", "150k-params", "45M-macs"]))
def test_shrunk_to_the_budget(seed, budget):
    """Where widths alone do not lead; and no further than it takes."""
    excess = Goals(parse_budgets([budget]), 0.8, 256).excess
    bred = breeder(excess=excess, seed=seed)
    point = bred.random()
    shrunk = bred.shrink_to_budget(point)
    assert excess(SPACE.decode(shrunk)) <= 0
    if excess(SPACE.decode(point)) <= 0:
        assert shrunk == point


def test_scaling_moves_all_widths_together():
    bred, point = breeder(), next(iter(SPACE.published_points().values()))
    thin, wide = bred.scale(point, 0.7), bred.scale(point, 1.4)
    for d in SPACE.dimensions:
        if d.name.endswith((".channels", ".dim")):
            assert thin[d.name] <= point[d.name] <= wide[d.name]
        else:
            assert thin[d.name] == point[d.name] == wide[d.name]
    assert losses(SPACE.decode(thin))[1] < losses(SPACE.decode(point))[1] < losses(SPACE.decode(wide))[1]


def test_seeds_are_the_published_networks_that_fit_then_scaled_ones():
    seeds = list(breeder().seeds())
    published = {name_of(SPACE.decode(p)) for p, origin in seeds if origin == "published"}
    assert published == {n for n, p in SPACE.published_points().items() if GOALS.excess(SPACE.decode(p)) <= 0}
    assert "mobilevitv3_xxs" in published
    assert [origin for _, origin in seeds] == sorted(origin for _, origin in seeds)
    assert all(GOALS.excess(SPACE.decode(p)) <= 0 for p, _ in seeds)


def test_without_a_counted_budget_seeds_are_all_published_networks_and_thinned_ones():
    bred = breeder(excess=lambda _: -math.inf)
    assert not bred.is_bounded
    assert breeder().is_bounded
    origins = [origin for _, origin in bred.seeds()]
    assert origins.count("published") == len(SPACE.published_points())
    assert origins.count("scaled") > 10


def test_a_space_without_published_networks_has_no_seeds():
    assert list(breeder(reduced(keep=1, stage1_channels=(8,))).seeds()) == []


@pytest.mark.parametrize("budget", ["1-params", "1-macs"])
def test_an_impossible_budget_gives_the_nearest(budget):
    goals = Goals(parse_budgets([budget]), 0.8, 256)
    nearest = nearest_to_budget(SPACE, goals.excess, 0)
    excesses = [goals.excess(spec) for spec in nearest]
    assert excesses == sorted(excesses)
    smallest_published = min(goals.excess(SPACE.decode(p)) for p in SPACE.published_points().values())
    assert 0 < excesses[0] < smallest_published
    assert len({s.arch_id for s in nearest}) == len(nearest)


def test_chance_comes_from_the_generator_alone():
    def some(seed):
        bred = breeder(seed=seed)
        return [bred.child(bred.random(), bred.random()) for _ in range(5)], list(islice(bred.seeds(), 5))

    assert some(1) == some(1)
    assert some(1)[0] != some(2)[0]
