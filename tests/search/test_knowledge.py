"""What a sampler remembers: a function of the trials in order, bounded, and with the right front."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.search.knowledge import ENOUGH, MAX_OBSERVATIONS, MAX_PARENTS, Knowledge, Known, thinned
from tests.search.landscape import dominated

quick = settings(deadline=None, max_examples=60)
outcomes = st.one_of(
    st.none(), st.tuples(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
)


def trial(i, outcome):
    losses, constraint = outcome or (None, 0.0)
    return Known({"i": i}, f"net{i}", losses and tuple(map(float, losses)), constraint)


def informed(trials, size):
    knowledge = Knowledge()
    for at in range(0, len(trials), size):
        knowledge.add(trials[at : at + size])
    return knowledge


@quick
@given(st.lists(outcomes, max_size=60), st.integers(1, 20))
def test_the_front_is_that_of_the_trials_that_keep_every_budget(found, size):
    trials = [trial(i, o) for i, o in enumerate(found)]
    knowledge = informed(trials, size)
    feasible = [t.losses for t in trials if t.losses and t.constraint <= 0]
    expected = {x for x in feasible if not dominated(x, [o for o in feasible if o != x])}
    assert {t.losses for t in knowledge.front} == expected
    assert len(knowledge.front) == len(expected)
    assert knowledge.seen == {t.arch_id for t in trials}


@quick
@given(st.lists(outcomes, max_size=60), st.integers(1, 20))
def test_failed_trials_are_seen_and_no_more(found, size):
    knowledge = informed([trial(i, o) for i, o in enumerate(found)], size)
    usable = [i for i, o in enumerate(found) if o]
    for t in (*knowledge.parents(), *knowledge.observations(), *knowledge.front):
        assert t.point["i"] in usable
    # While they are few, all are learned from, in order.
    assert [t.point["i"] for t in knowledge.observations()] == usable


@quick
@given(st.lists(outcomes, max_size=40))
def test_parents_break_a_budget_only_while_hardly_any_keeps_it(found):
    trials = [trial(i, o) for i, o in enumerate(found)]
    parents = informed(trials, 10).parents()
    assert len({t.arch_id for t in parents}) == len(parents)
    kept = sum(t.feasible for t in trials)
    if kept >= ENOUGH:
        assert all(t.feasible for t in parents)
    else:
        assert len(parents) == sum(t.losses is not None for t in trials)


def thousands(n, seed=0, front=1.0):
    rng = random.Random(seed)
    for i in range(n):
        a = rng.random()
        b = 1 - a if rng.random() < front else rng.random() + 1.0
        yield Known({"i": i}, f"net{i}", (a, b), rng.choice((-1.0, 0.3)))


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_memory_is_bounded(share):
    knowledge = informed(list(thousands(6000, front=share)), 50)
    assert len(knowledge.observations()) == MAX_OBSERVATIONS
    assert len(knowledge.parents()) <= MAX_PARENTS
    assert len(knowledge.behind) <= 2 * MAX_PARENTS
    numbers = [t.point["i"] for t in knowledge.observations()]
    assert len(set(numbers)) == len(numbers)
    # From everywhere: no quarter of the run is left out.
    assert all(sum(q * 1500 <= i < (q + 1) * 1500 for i in numbers) > 40 for q in range(4))


def test_a_long_front_is_thinned_to_its_ends_and_what_is_between():
    knowledge = informed(list(thousands(2000)), 100)
    assert len(knowledge.front) > 2 * MAX_PARENTS
    firsts = sorted(t.losses for t in knowledge.front)
    parents = knowledge.parents()
    assert len({t.arch_id for t in parents}) == len(parents) == MAX_PARENTS
    assert (parents[0].losses, parents[-1].losses) == (firsts[0], firsts[-1])
    assert len(thinned(parents, 7)) == 7
    assert len(knowledge.observations()) == MAX_OBSERVATIONS


def test_a_function_of_the_trials():
    trials = list(thousands(2000, front=0.3))
    one, other = informed(trials, 50), informed(trials, 50)
    for part in (Knowledge.observations, Knowledge.parents):
        assert part(one) == part(other)
    assert (one.front, one.behind, one.seen) == (other.front, other.behind, other.seen)
    assert informed(trials[:-1], 50).observations() != []
