"""Distance from evidence: never rewarded, ever less sure, and too dear for what a search would exploit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy import Top1Explanation, estimate_top1, explain_top1
from mvsearch.accuracy.allocation.cases import cases
from mvsearch.accuracy.evidence import KNOBS, TRUST_REGION
from mvsearch.accuracy.features import part_sizes, total_size
from mvsearch.costs import count
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
)
from mvsearch.spec.defaults import CONFIDENCE
from mvsearch.spec.published import network, with_patches

V3 = dict.fromkeys(("dw_local", "fuse_1x1", "concat_local", "residual"), True)
SMALL = ("mobilevit_xxs", "mobilevit_xs", "mobilevit_s", "mobilevitv3_xxs", "mobilevitv3_xs", "mobilevitv3_s_l2",
         "mobilevitv2_0.5", "mobilevitv2_1.0", "mobilevitv3_0.75")  # fmt: skip


def v3(
    channels: tuple[int, ...], dims: tuple[int, ...], depths: tuple[int, ...], expansions: tuple[int, ...], ffn: int = 2
) -> ArchSpec:
    c1, c2, *rest = channels
    stages = [
        MobileViTStage(c, d, depth, e, 4, ffn, **V3) for c, d, depth, e in zip(rest, dims, depths, expansions[2:], strict=True)
    ]
    first, second = InvertedResidualStage(c1, expansions[0], 1, 1), InvertedResidualStage(c2, expansions[1], 3, 2)
    return ArchSpec(ConvStem(16), (first, second, *stages), ExpandHead())


EXPLOITED, THINNED = cases()["exploited"], cases()["thinned"]


def lower_bound(e: Top1Explanation) -> float:
    return e.value - 0.8416 * e.sigma


def change(spec: ArchSpec, index: int, **values: Any) -> ArchSpec:
    stages = list(spec.stages)
    stages[index] = replace(stages[index], **values)
    return replace(spec, stages=tuple(stages))


def test_the_two_networks_are_the_ones_that_are_told_of() -> None:
    """Parameters, activations and MACs as they were when the first was found and the second thinned."""
    for spec, params, activations, macs in ((EXPLOITED, 2.00, 11.6, 361), (THINNED, 2.12, 13.8, 882)):
        costs = count(spec, 256)
        assert costs.params / 1e6 == pytest.approx(params, abs=0.005)
        assert costs.activations / 1e6 == pytest.approx(activations, abs=0.05)
        assert costs.macs / 1e6 == pytest.approx(macs, abs=0.5)
    assert [s.depth for s in EXPLOITED.transformer_stages] == [1, 1, 1]
    assert [s.dim for s in EXPLOITED.transformer_stages] == [48, 64, 128]
    assert [s.ffn_ratio for s in EXPLOITED.transformer_stages] == [4, 4, 4]
    assert [s.expansion for s in EXPLOITED.stages] == [6, 6, 2, 3, 6]
    assert EXPLOITED.stages[-1].channels == 320


def test_exploited_corner() -> None:
    """The plain estimate tells little between them, the lower bound that a search maximises tells much."""
    e, thinned = explain_top1(EXPLOITED), explain_top1(THINNED)
    bounds = [estimate_top1(spec).quantile(1 - CONFIDENCE) for spec in (EXPLOITED, THINNED)]
    for name, x, bound in (("exploited", e, bounds[0]), ("thinned", thinned, bounds[1])):
        print(f"{name}: plain {x.plain:.2f}, estimate {x.value:.2f} +- {x.sigma:.2f}, lower bound {bound:.2f}")
    assert thinned.plain - e.plain == pytest.approx(1.2, abs=0.2)
    assert bounds[1] - bounds[0] >= 3
    assert 69.5 < e.value < 72.5
    assert 1.8 < e.sigma < 2.8
    assert e.flags[0] == "extrapolating"
    assert e.flags[1].startswith("extrapolating: far from mobilevitv3_")
    assert thinned.value > 75
    assert thinned.sigma < 0.75


def test_exploited_corner_without_its_patch_of_8() -> None:
    e, thinned = explain_top1(with_patches(EXPLOITED, (2, 2, 2))), explain_top1(THINNED)
    assert 0 < thinned.plain - e.plain < 0.8
    assert lower_bound(thinned) - lower_bound(e) >= 3


def test_no_departure_is_rewarded_in_the_tables() -> None:
    assert all(k.bias <= 0 < k.kappa for k in KNOBS.values())
    assert all(b.bias_below <= 0 and b.bias_above <= 0 < b.kappa for b in TRUST_REGION)
    assert all(k.evidence and k.source and k.when for k in KNOBS.values())


MOVES = [
    ("total depth", lambda s: change(change(change(s, 2, depth=1), 3, depth=2), 4, depth=1)),
    ("depth shares", lambda s: change(s, 2, depth=4)),
    ("transformer width", lambda s: change(s, 3, dim=s.stages[3].dim // 16 * 4)),
    ("FFN ratio", lambda s: change(s, 3, ffn_ratio=4)),
    ("early expansion", lambda s: change(s, 1, expansion=6)),
    ("late expansion", lambda s: change(s, 4, expansion=6)),
    ("width profile", lambda s: change(s, 1, channels=2 * s.stages[1].channels)),
    ("late parameters", lambda s: change(s, 4, channels=2 * s.stages[4].channels)),
    ("early blocks", lambda s: change(s, 1, num_blocks=6)),
    ("stem", lambda s: replace(s, stem=ConvStem(96))),
    ("head", lambda s: replace(s, head=PoolHead() if isinstance(s.head, ExpandHead) else ExpandHead())),
    ("activation", lambda s: replace(s, activation="relu")),
    ("v3 switches", lambda s: change(s, 3, residual=not s.stages[3].residual)),
]  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("knob", "move"), MOVES, ids=[m[0] for m in MOVES])
def test_moving_one_knob_costs_what_it_names(name: str, knob: str, move: Any) -> None:
    base, moved = explain_top1(network(name)), explain_top1(move(network(name)))
    contribution = next(k for k in moved.knobs if k.knob == knob)
    assert contribution.distance > 0
    assert contribution.sigma > 0
    assert moved.sigma > base.sigma
    assert moved.bias <= 0


@pytest.mark.parametrize("name", SMALL)
def test_a_larger_head_is_not_credited(name: str) -> None:
    spec = network(name)
    other = replace(spec, head=ExpandHead(8, 2048))
    assert explain_top1(other).value <= explain_top1(spec).value + 1e-9


def test_heads_are_blind_and_never_gain() -> None:
    spec = network("mobilevitv3_xs")
    base = explain_top1(spec)
    for heads in (1, 2, 8):
        e = explain_top1(change(change(change(spec, 2, heads=heads), 3, heads=heads), 4, heads=heads))
        assert "score blind: heads" in e.flags
        assert e.value <= base.value
        assert e.sigma > base.sigma
        assert next(k.sigma for k in e.knobs if k.knob == "heads") == pytest.approx(0.35 * (2 if heads == 1 else 1))


def test_mixed_kinds_cost_certainty() -> None:
    v1, v2 = network("mobilevitv3_xs"), network("mobilevitv3_0.75")
    mixed = replace(v1, stages=(*v1.stages[:4], v2.stages[4]))
    e = explain_top1(mixed)
    assert next(k for k in e.knobs if k.knob == "mixed kinds").sigma == pytest.approx(0.4)
    assert e.sigma > explain_top1(v1).sigma
    half = replace(v1, stages=(*v1.stages[:4], network("mobilevit_xs").stages[4]))
    assert next(k for k in explain_top1(half).knobs if k.knob == "mixed kinds").sigma == pytest.approx(0.2)
    assert explain_top1(half).block_offset < explain_top1(v1).block_offset


def test_widths_that_shrink_cost() -> None:
    spec = network("mobilevitv3_0.75")
    base = explain_top1(spec)
    for index, channels in ((0, 160), (4, 160)):  # wider than the next stage, narrower than the one before
        profile = next(k for k in explain_top1(change(spec, index, channels=channels)).knobs if k.knob == "width profile")
        assert profile.bias < -0.3
    assert all(k.bias == 0 for k in base.knobs if k.knob == "width profile")


def test_trust_region_names_its_causes() -> None:
    wide = v3((96, 96, 64, 80, 96), (64, 80, 96), (2, 4, 3), (6, 6, 6, 2, 2))
    e = explain_top1(wide)
    assert e.flags[0] == "extrapolating"
    assert any(f.startswith("extrapolating: activations/params ") and f.endswith(" above 6.5") for f in e.flags)
    assert all(b.bias < 0 < b.sigma for b in e.bounds)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_activations_beyond_the_anchors_do_not_pay(factor: int) -> None:
    """Wider early stages at about constant parameters: past the trust region the lower bound falls."""
    spec = network("mobilevitv3_xs")
    previous = change(spec, 1, channels=48 * (factor - 1), expansion=6)
    wider = change(spec, 1, channels=48 * factor, expansion=6)
    assert lower_bound(explain_top1(wider)) < lower_bound(explain_top1(previous))


@st.composite
def one_knob_away(draw: st.DrawFn) -> tuple[ArchSpec, ArchSpec]:
    """A published network, and the same with one knob moved."""
    spec = network(draw(st.sampled_from(SMALL)))
    i = draw(st.integers(0, 4))
    stage = spec.stages[i]
    choices: list[dict[str, Any]] = [{"expansion": e} for e in (1, 2, 3, 4, 5, 6)]
    choices += [{"channels": max(8, round(stage.channels * f / 8) * 8)} for f in (0.5, 0.75, 1.5, 2.0, 3.0)]
    if isinstance(stage, InvertedResidualStage):
        choices += [{"num_blocks": n} for n in (1, 2, 3, 4)]
    else:
        choices += [{"depth": n} for n in (1, 2, 3, 4, 6)]
        choices += [{"ffn_ratio": r} for r in (1, 3, 4)]
        choices += [{"dim": max(16, round(stage.dim * f / 16) * 16)} for f in (0.25, 0.5, 0.75, 1.5, 2.0, 3.0)]
        choices += [{"patch": (p, p)} for p in (1, 2, 4, 8)]
    if isinstance(stage, MobileViTStage):
        choices += [{"heads": h} for h in (1, 2, 8)]
    return spec, change(spec, i, **draw(st.sampled_from(choices)))


@settings(max_examples=300, deadline=None)
@given(one_knob_away())
def test_one_knob_away_is_never_surer_and_never_gains_but_by_size(pair: tuple[ArchSpec, ArchSpec]) -> None:
    base, moved = (explain_top1(s) for s in pair)
    assert moved.sigma >= base.sigma - 1e-9
    assert moved.bias <= 1e-9
    bought = max(0.0, moved.score - base.score)
    assert lower_bound(moved) <= lower_bound(base) + bought + 1e-9


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.sampled_from((1, 2, 3, 4, 5, 6))] * 5),
    st.tuples(*[st.integers(2, 40)] * 5),
    st.tuples(*[st.integers(2, 30)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.tuples(*[st.sampled_from(("v1", "v2", "v3-v1", "v3-v2"))] * 3),
    st.booleans(),
)
def test_any_network_is_answered_and_no_departure_gains(
    expansions: tuple[int, ...],
    widths: tuple[int, ...],
    dims: tuple[int, ...],
    depths: tuple[int, ...],
    kinds: tuple[str, ...],
    expand: bool,
) -> None:
    stages: list[Any] = [InvertedResidualStage(8 * widths[0], expansions[0], 1, 1)]
    stages.append(InvertedResidualStage(8 * widths[1], expansions[1], 2, 2))
    for i, kind in enumerate(kinds):
        common = (8 * widths[2 + i], 8 * dims[i], depths[i], expansions[2 + i])
        on = kind.startswith("v3")
        if kind.endswith("v1"):
            stages.append(MobileViTStage(*common, **(V3 if on else {})))
        else:
            stages.append(MobileViTV2Stage(*common, concat_local=on, residual=on))
    spec = ArchSpec(ConvStem(24), tuple(stages), ExpandHead() if expand else PoolHead())
    e = explain_top1(spec)
    assert e.sigma >= e.base_sigma
    assert all(k.bias <= 0 and k.sigma >= 0 and k.distance >= 0 for k in (*e.knobs, *e.bounds))
    assert e.params == total_size(part_sizes(spec)).params
    assert e.nearest
