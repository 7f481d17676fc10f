"""What any search may rely on: more work is never predicted to be faster, and no part of a prediction is absurd."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mvsearch.costs import OP_KINDS, Part, lower
from mvsearch.spec.arch import ArchSpec, InvertedResidualStage, MobileViTStage, MobileViTV2Stage
from mvsearch.spec.published import network, published_networks
from mvsearch.targets.predictor.neural_engine import RULES, fallback_risks, family_risk, rules
from mvsearch.targets.predictor.shipped import phone_names, shipped_model
from tests.strategies import specs

PHONES = phone_names()
QUICK = settings(max_examples=60, deadline=None)


def _ms(phone: str, spec: ArchSpec, resolution: int = 64) -> float:
    return shipped_model(phone).predict(lower(spec, resolution), target=phone).value


def _resizes(spec: ArchSpec, resolution: int) -> int:
    return sum(op.kind == "resize" for part in lower(spec, resolution) for op in part.ops)


def _larger(spec: ArchSpec, index: int) -> list[ArchSpec]:
    """The network with one knob of one stage turned up, each knob in turn."""
    stage = spec.stages[index]
    if isinstance(stage, InvertedResidualStage):
        changes = [{"num_blocks": stage.num_blocks + 1}, {"expansion": 2 * stage.expansion + 1}]
    else:
        changes = [{"depth": stage.depth + 1}, {"ffn_ratio": stage.ffn_ratio + 1}, {"dim": 2 * stage.dim}]
    return [replace(spec, stages=(*spec.stages[:index], replace(stage, **c), *spec.stages[index + 1 :])) for c in changes]


@QUICK
@given(spec=specs(), index=st.integers(0, 4), phone=st.sampled_from(PHONES))
def test_a_deeper_or_wider_network_is_slower(spec: ArchSpec, index: int, phone: str) -> None:
    for larger in _larger(spec, index):
        assert _ms(phone, larger) > _ms(phone, spec)


@QUICK
@given(spec=specs(), phone=st.sampled_from(PHONES))
def test_a_larger_image_is_slower(spec: ArchSpec, phone: str) -> None:
    # A size that spares the network a resize may well be faster, as MobileViT's Table 6 has it.
    assume(_resizes(spec, 128) >= _resizes(spec, 64))
    assert _ms(phone, spec, 128) > _ms(phone, spec, 64)


@QUICK
@given(spec=specs(), phone=st.sampled_from(PHONES))
def test_every_prediction_is_a_time_with_an_interval(spec: ArchSpec, phone: str) -> None:
    m = shipped_model(phone).predict(lower(spec, 96), target=phone)
    assert m.low is not None and m.high is not None
    assert 0 < m.low < m.value < m.high < math.inf
    assert 1.05 < m.high / m.value < 2


@pytest.mark.parametrize("phone", PHONES)
def test_every_rate_is_finite_and_positive(phone: str) -> None:
    rates = shipped_model(phone).rates
    assert set(rates.kinds) == set(OP_KINDS) and 0 < rates.base_ms < 1
    for kind, rate in rates.kinds.items():
        assert rate.gmac_per_ms > 0, kind
        for value in (rate.gb_per_s, rate.weight_gb_per_s, rate.overhead_us):
            assert 0 < value < math.inf, kind


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("size", ["xxs", "xs", "s"])
def test_larger_patches_are_faster(phone: str, size: str) -> None:
    one, two = network(f"mobilevit_{size}@patch=8,4,2"), network(f"mobilevit_{size}")
    assert _ms(phone, one, 256) < _ms(phone, two, 256)


def test_mixtures_keep_the_order_of_what_they_are_made_of() -> None:
    """A stage more is never faster, whichever body the other stages have."""
    rng = random.Random(0)
    v1, v2 = network("mobilevit_xs"), network("mobilevitv2_1.0")
    for _ in range(20):
        stages = [rng.choice((a, b)) for a, b in zip(v1.stages[2:], v2.stages[2:], strict=True)]
        spec = replace(v1, stages=(*v1.stages[:2], *stages))
        for index in (2, 3, 4):
            for larger in _larger(spec, index):
                assert _ms("iphone12", larger, 256) > _ms("iphone12", spec, 256)


def test_every_published_network_has_its_order_by_size() -> None:
    for names in (("mobilevit_xxs", "mobilevit_xs", "mobilevit_s"), ("mobilevitv2_0.5", "mobilevitv2_1.0", "mobilevitv2_2.0"),
                  ("mobilevitv3_xxs", "mobilevitv3_xs", "mobilevitv3_s")):  # fmt: skip
        for phone in PHONES:
            times = [_ms(phone, network(n), 256) for n in names]
            assert times == sorted(times)


def _flags(spec: ArchSpec, resolution: int = 256, phone: str = "") -> tuple[str, ...]:
    return fallback_risks(spec, lower(spec, resolution), phone)


def test_flags_are_rules_with_a_source() -> None:
    assert all(len(r.source) > 40 for r in RULES)
    assert len({r.name for r in RULES}) == len(RULES)
    found = {
        flag for spec in published_networks().values() for flag in _flags(network(spec) if isinstance(spec, str) else spec)
    }
    assert found == set()


def test_separable_attention_is_a_risk_on_the_phone_on_which_it_was_seen() -> None:
    v1, v2, v3 = network("mobilevit_xxs"), network("mobilevitv2_0.5"), network("mobilevitv3_0.5")
    flag = ("ane-fallback-risk: separable-attention",)
    assert _flags(v2, phone="iphone13") == _flags(v3, phone="iphone13") == flag
    assert _flags(v1, phone="iphone13") == _flags(v2, phone="iphone12") == ()
    assert any(isinstance(s, MobileViTV2Stage) for s in v3.stages)
    assert not any(isinstance(s, MobileViTV2Stage) for s in v1.stages) and any(isinstance(s, MobileViTStage) for s in v1.stages)
    assert family_risk("MobileViTv2", "iphone13") == flag[0] and family_risk("MobileViTv2", "iphone12") == ""
    assert [r.name for r in rules("iphone13") if r not in rules("iphone12")] == ["separable-attention"]


def test_more_axes_than_the_neural_engine_takes() -> None:
    spec = network("mobilevit_xxs")
    parts = lower(spec, 256)
    segment = replace(parts[0].segments[0][0], highest_rank=6)
    deep = Part("odd", "mv2", ((segment, 1),), (1,))
    assert fallback_risks(spec, (*parts, deep)) == ("ane-fallback-risk: rank",)
