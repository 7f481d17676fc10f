"""One network, wider, deeper, on larger images: published sizes come out exactly, and what comes out is legal."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.costs import count
from mvsearch.scaling.families import spread
from mvsearch.scaling.rules import deepened, depth_factors, scaled, side_step, sides, v2_multiplier, widened
from mvsearch.spec.arch import MobileViTStage
from mvsearch.spec.published import V2_MULTIPLIERS, mobilevit, mobilevitv2, mobilevitv3, published_networks, with_patches

PUBLISHED = published_networks()


@pytest.mark.parametrize("v3", [False, True])
@pytest.mark.parametrize("start", V2_MULTIPLIERS)
@pytest.mark.parametrize("end", V2_MULTIPLIERS)
def test_any_v2_widened_is_the_published_one_exactly(start, end, v3):
    made, meant = widened(mobilevitv2(start, v3), end / start), mobilevitv2(end, v3)
    assert made.arch_id == meant.arch_id
    assert count(made, 256) == count(meant, 256)


def test_a_v2_of_other_depths_keeps_its_multiplier():
    deep = deepened(mobilevitv2(0.75), 2)
    assert v2_multiplier(deep) == 0.75
    assert widened(deep, 2) == deepened(mobilevitv2(1.5), 2)


def test_other_widths_have_no_multiplier():
    v2 = mobilevitv2(1.0)
    odd = replace(v2, stages=(replace(v2.stages[0], channels=72), *v2.stages[1:]))
    assert v2_multiplier(odd) is None
    assert v2_multiplier(mobilevit("xs")) is None
    assert v2_multiplier(mobilevitv2(1.13)) is not None


@given(name=st.sampled_from(sorted(PUBLISHED)), width=st.floats(0.13, 3.0), depth=st.floats(0.13, 7.0))
@settings(max_examples=40, deadline=None)
def test_what_comes_out_is_legal_and_grows_with_the_factor(name, width, depth):
    spec = PUBLISHED[name]
    made = scaled(spec, width, depth)
    assert made is not None
    for stage in made.transformer_stages:
        assert stage.depth >= 1
        if isinstance(stage, MobileViTStage):
            assert stage.dim % stage.heads == 0
    more = scaled(spec, width * 1.3, depth * 1.3)
    assert more is not None
    assert count(more, 256).params >= count(made, 256).params


def test_a_factor_of_one_changes_nothing():
    for spec in PUBLISHED.values():
        assert widened(spec, 1) == spec
        assert deepened(spec, 1) == spec


def test_odd_heads_still_divide():
    xs = mobilevit("xs")
    stages = tuple(replace(s, heads=3) if isinstance(s, MobileViTStage) else s for s in xs.stages)
    made = widened(replace(xs, stages=stages), 1.37)
    assert all(s.dim % 3 == 0 and s.dim % 8 == 0 for s in made.transformer_stages)


def test_depth_factors_give_every_depth_once():
    spec = mobilevitv3("xs")
    factors = depth_factors(spec, 0.25, 4)
    made = [deepened(spec, f).arch_id for f in factors]
    assert len(set(made)) == len(made)
    assert 1.0 in factors
    # No network between two neighbours is left out.
    between = {deepened(spec, 0.25 + i / 500).arch_id for i in range(1, 1875)}
    assert between <= set(made)


def test_depth_rounds_half_up_and_keeps_a_layer():
    assert [s.depth for s in deepened(mobilevit("s"), 0.01).transformer_stages] == [1, 1, 1]
    assert [s.depth for s in deepened(mobilevit("s"), 1.25).transformer_stages] == [3, 5, 4]


def test_sides_are_those_that_the_patches_tile():
    assert side_step(mobilevit("s")) == 64
    assert sides(mobilevit("s"), 200, 400) == (256, 320, 384)
    assert side_step(with_patches(mobilevit("s"), (3, 3, 3))) == 96
    assert sides(with_patches(mobilevit("s"), (7, 5, 9))) == ()


@given(sizes=st.lists(st.floats(1.0, 1e6), min_size=1, max_size=60, unique=True), number=st.integers(1, 30), data=st.data())
@settings(max_examples=80, deadline=None)
def test_spread_is_distinct_rising_and_keeps_what_it_must(sizes, number, data):
    keep = data.draw(st.none() | st.integers(0, len(sizes) - 1))
    places = spread(sizes, number, keep)
    assert len(set(places)) == len(places) == min(number, len(sizes))
    assert [sizes[i] for i in places] == sorted(sizes[i] for i in places)
    assert keep is None or keep in places
    if keep is None and number > 1:
        assert min(sizes) == sizes[places[0]]
        assert max(sizes) == sizes[places[-1]]


def test_spread_keeps_the_largest_where_logarithms_cannot_tell():
    assert spread([1.0, 1e6, 999999.9999999999], 2) == [0, 1]
