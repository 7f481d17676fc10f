"""Generations: what they never hold, where they start, where they lead, and what they are a function of."""

import math
import random

import pytest

from mvsearch.costs import count
from mvsearch.search.goals import Goals
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.proposer import GENERATION_SIZE, Proposer
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import name_of
from mvsearch.spec.space_file import load_space
from tests.search.landscape import all_specs, dominated, exactly, losses, reduced, search, three_losses, tried

SPACE = load_space("mobilevit")
UNLIMITED = lambda spec: -math.inf  # noqa: E731
BUDGETS = {"2M-params": (2_000_000, math.inf), "600M-macs": (math.inf, 6e8), "2M-params,900M-macs": (2_000_000, 9e8)}
PRIORS = {"no beliefs": None, "exact": exactly(losses), "biased": exactly(lambda s: [1.5 * x + 0.1 for x in losses(s)])}


def within(budget):
    return Goals(parse_budgets([budget]), 0.8, 256).excess


@pytest.mark.parametrize("prior", PRIORS)
def test_a_generation_is_a_function_of_seed_number_and_trials(prior):
    """Of nothing else: one who learns of all trials at the end proposes what one who was there from the start does."""
    excess = within("2M-params,900M-macs")
    there = Proposer(SPACE, excess, PRIORS[prior], 3)
    generations, knowledge = search(there, 3)
    late, replayed = Proposer(SPACE, excess, PRIORS[prior], 3), Knowledge()
    for g in generations:
        replayed.add(tried(g.proposals))
    assert replayed.front == knowledge.front
    fourth = there.generation(knowledge, 3)
    assert late.generation(replayed, 3) == fourth
    assert Proposer(SPACE, excess, PRIORS[prior], 4).generation(replayed, 3) != fourth
    assert late.generation(replayed, 4) != fourth


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_never_over_a_counted_budget_and_never_twice(budget, prior):
    params, macs = BUDGETS[budget]
    generations, _ = search(Proposer(SPACE, within(budget), PRIORS[prior], 1), 3)
    specs = [p.spec for g in generations for p in g.proposals]
    assert len({s.arch_id for s in specs}) == len(specs) > 15
    for spec in specs:
        costs = count(spec, 256)
        assert costs.params <= params
        assert costs.macs <= macs


def test_never_twice_without_a_budget():
    generations, _ = search(Proposer(SPACE, UNLIMITED, None, 1), 3)
    ids = [p.spec.arch_id for g in generations for p in g.proposals]
    assert len(set(ids)) == len(ids) > 40
    assert max(len(g.proposals) for g in generations) <= GENERATION_SIZE


def test_points_are_those_of_their_networks():
    generations, _ = search(Proposer(SPACE, UNLIMITED, None, 1), 2)
    for g in generations:
        for p in g.proposals:
            assert SPACE.decode(p.point) == p.spec


def test_rejections_are_counted():
    generations = search(Proposer(SPACE, within("1200k-params"), None, 0), 3)[0]
    for g in generations:
        assert g.proposed >= g.judged + g.over_budget + g.duplicates >= len(g.proposals)
        assert g.judged >= len(g.proposals) > 0
    assert sum(g.over_budget for g in generations) > 0


@pytest.mark.parametrize("prior", [None, exactly(losses)])
def test_starts_from_the_published_networks_that_fit(prior):
    excess = within("2M-params,900M-macs")
    first = Proposer(SPACE, excess, prior, 0).generation(Knowledge(), 0)
    names = {name_of(p.spec) for p in first.proposals if p.origin == "published"}
    assert names == {n for n, p in SPACE.published_points().items() if excess(SPACE.decode(p)) <= 0}
    assert "mobilevitv3_xxs" in names


def test_published_networks_that_are_believed_to_miss_a_predicted_budget_are_left_out():
    limit = sorted(losses(SPACE.decode(p))[1] for p in SPACE.published_points().values())[4]
    first = Proposer(SPACE, UNLIMITED, exactly(losses, over_cost(limit)), 0).generation(Knowledge(), 0)
    assert sum(p.origin == "published" for p in first.proposals) >= 1
    assert all(losses(p.spec)[1] <= limit for p in first.proposals)


def over_cost(limit):
    """The constraint of a predicted budget on the second loss."""
    return lambda spec: math.log(losses(spec)[1] / limit)


@pytest.mark.parametrize("evaluate", [losses, three_losses])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_known_beyond_doubt_costs_no_trial(evaluate, seed):
    """While beliefs come true: nothing that a known network dominates, nor one of its batch; nor over a predicted budget."""
    limit = losses(SPACE.decode(SPACE.published_points()["mobilevit_xs"]))[1]
    constraint = over_cost(limit)
    proposer = Proposer(SPACE, within("2M-params"), exactly(evaluate, constraint), seed)
    generations, _ = search(proposer, 4, evaluate, constraint)
    known = [evaluate(p.spec) for p in generations[0].proposals]
    for g in generations[1:]:
        assert g.proposals
        for p in g.proposals:
            assert constraint(p.spec) <= 0
            assert not dominated(evaluate(p.spec), known)
            known.append(evaluate(p.spec))


def test_a_wrong_belief_does_not_end_the_search():
    """Where beliefs are upside down, observations lead: the front goes on growing."""
    upside_down = exactly(lambda s: [-x for x in losses(s)])
    generations, knowledge = search(Proposer(SPACE, within("2M-params"), upside_down, 0), 8)
    assert len(generations) == 8
    first = [losses(p.spec) for p in generations[0].proposals]
    assert sum(not dominated(t.losses, first) for t in knowledge.front) >= 5


@pytest.mark.parametrize("seed", range(2))
def test_a_small_space_is_searched_to_its_end(seed):
    space = reduced(keep=6)
    specs = all_specs(space)
    generations, knowledge = search(Proposer(space, UNLIMITED, exactly(losses), seed), 60)
    assert generations[-1].proposals == ()
    assert len(knowledge.seen) < len(specs) / 2
    assert {t.losses for t in knowledge.front} == exact_front(specs)


@pytest.mark.parametrize("prior", [None, exactly(losses)])
def test_a_tiny_space_without_published_networks(prior):
    """Nothing to start from but chance."""
    space = reduced(keep=5, stage4_dim=(72,))
    assert not space.published_points()
    specs = all_specs(space)
    generations, knowledge = search(Proposer(space, UNLIMITED, prior, 0), 60)
    assert generations[-1].proposals == ()
    assert {t.losses for t in knowledge.front} == exact_front(specs)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_space_of_one_network_or_two(keep):
    space = reduced(keep=keep)
    generations, knowledge = search(Proposer(space, UNLIMITED, None, 0), 10)
    assert generations[-1].proposals == ()
    assert {t.losses for t in knowledge.front} == exact_front(all_specs(space))


def exact_front(specs):
    values = [losses(s) for s in specs]
    return {v for v in values if not dominated(v, [o for o in values if o != v])}


@pytest.mark.parametrize("prior", ["none", "exact"])
def test_from_networks_that_break_a_budget_it_goes_to_ones_that_keep_it(prior):
    limit = 0.75 * min(losses(SPACE.decode(p))[1] for p in SPACE.published_points().values())
    constraint = over_cost(limit)
    beliefs = exactly(losses, constraint) if prior == "exact" else None
    rng, knowledge = random.Random(0), Knowledge()
    points = [{**SPACE.random_point(rng), "stage5.channels": SPACE.by_name["stage5.channels"].choices[-1]} for _ in range(20)]
    specs = [SPACE.decode(p) for p in points]
    knowledge.add(Known(p, s.arch_id, losses(s), constraint(s)) for p, s in zip(points, specs, strict=True))
    assert not knowledge.front
    before = min(t.constraint for t in knowledge.behind)
    proposer = Proposer(SPACE, UNLIMITED, beliefs, 0)
    for number in range(1, 16):
        proposals = proposer.generation(knowledge, number).proposals
        assert proposals
        knowledge.add(tried(proposals, constraint=constraint))
        if knowledge.front:
            break
        assert min(t.constraint for t in knowledge.behind) < before
        before = min(t.constraint for t in knowledge.behind)
    assert knowledge.front


@pytest.mark.parametrize("budget", ["600k-params", "180k-params", "60M-macs"])
def test_a_counted_budget_below_every_published_network(budget):
    """Down to where widths alone do not lead."""
    excess = within(budget)
    generations, knowledge = search(Proposer(SPACE, excess, None, 0), 2)
    assert all(excess(p.spec) <= 0 for g in generations for p in g.proposals)
    assert {p.origin for p in generations[0].proposals} in ({"scaled"}, {"random"})
    assert len(knowledge.seen) >= 15


def test_a_budget_that_nothing_keeps_proposes_nothing():
    assert Proposer(reduced(keep=5), lambda spec: 0.1, None, 0).generation(Knowledge(), 0).proposals == ()


def test_a_candidate_that_cannot_be_judged_is_passed_over():
    def prior(specs):
        return [None if s.stages[2].channels % 16 else b for s, b in zip(specs, exactly(losses)(specs), strict=True)]

    generations, knowledge = search(Proposer(SPACE, within("2M-params"), prior, 0), 3)
    assert len(knowledge.seen) > 5
    assert all(p.spec.stages[2].channels % 16 == 0 for g in generations for p in g.proposals)


def test_failed_trials_are_not_proposed_again_and_end_nothing():
    proposer, knowledge = Proposer(SPACE, within("2M-params"), None, 0), Knowledge()
    seen = set()
    for number in range(3):
        proposals = proposer.generation(knowledge, number).proposals
        assert proposals
        assert not seen & {p.spec.arch_id for p in proposals}
        seen |= {p.spec.arch_id for p in proposals}
        knowledge.add(Known(p.point, p.spec.arch_id, None) for p in proposals)


@pytest.mark.parametrize("size", [1, 3])
def test_small_generations(size):
    """Where a trial is dear, every one is learned from before the next is proposed."""
    proposer, knowledge = Proposer(SPACE, within("2M-params"), None, 0), Knowledge()
    for number in range(5):
        proposals = proposer.generation(knowledge, number, size).proposals
        assert 1 <= len(proposals) <= size
        knowledge.add(tried(proposals))
    assert len(knowledge.seen) >= 5
