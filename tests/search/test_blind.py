"""Knobs to which the estimate is blind stay at their published values, in every generation."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mvsearch.accuracy.evidence import BLIND_KNOBS, KNOBS
from mvsearch.search.blind import describe_held, held_values
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.proposer import Proposer
from mvsearch.spec.arch import MobileViTStage
from mvsearch.spec.published import published_networks
from mvsearch.spec.space import Dimension, SearchSpace
from mvsearch.spec.space_file import load_space

HEADS = tuple(f"stage{i}.heads" for i in (3, 4, 5))


def with_heads(choices: tuple[int, ...]) -> SearchSpace:
    space = load_space("mobilevit_v1")
    dimensions = [Dimension(d.name, choices, d.ordered) if d.name in HEADS else d for d in space.dimensions]
    return replace(space, dimensions=tuple(dimensions))


def test_blind_knobs_are_named_and_have_the_published_value() -> None:
    assert set(BLIND_KNOBS) <= set(KNOBS)
    stages = [s for spec in published_networks().values() for s in spec.stages if isinstance(s, MobileViTStage)]
    assert {s.heads for s in stages} == {BLIND_KNOBS["heads"]}


@pytest.mark.parametrize(("choices", "value"), [((1, 2, 4, 8), 4), ((1, 2), 2), ((2, 8), 8), ((8, 16), 8)])
def test_held_at_the_published_value_or_the_nearest(choices: tuple[int, ...], value: int) -> None:
    assert held_values(with_heads(choices)) == dict.fromkeys(HEADS, value)
    assert describe_held(with_heads(choices)) == f"heads held at {value}: the estimate is blind to them"


def test_what_cannot_vary_is_not_held() -> None:
    assert held_values(with_heads((2,))) == {}
    assert describe_held(load_space("tiny")) == ""


@pytest.mark.parametrize("name", ["mobilevit", "mobilevit_v1", "mobilevit_v3"])
def test_no_generation_departs(name: str) -> None:
    """Nor where the parents, of a run of an older version, have other heads."""
    space, rng = load_space(name), random.Random(0)
    points = [space.random_point(rng) for _ in range(40)]
    known = [Known(p, space.decode(p).arch_id, (rng.random(), rng.random()), 0.0) for p in points]
    assert any(k.point[h] != 4 for k in known for h in HEADS)
    knowledge, proposer = Knowledge(), Proposer(space, lambda _: -1.0, None, 0)
    stages = []
    for number, trials in enumerate([[], known, []]):
        knowledge.add(trials)
        proposals = proposer.generation(knowledge, number).proposals
        assert len(proposals) >= 10
        stages += [s for p in proposals for s in p.spec.stages if isinstance(s, MobileViTStage)]
    assert len(stages) > 20
    assert {s.heads for s in stages} == {4}
