"""What the side of the image does to the estimate: published pairs, the interval, and nothing at 256 pixels."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy import estimate_top1, explain_top1
from mvsearch.accuracy.resolution import EVIDENCE, LARGEST_ERROR, resolution_effect
from mvsearch.accuracy.resolution.__main__ import held_out, main
from mvsearch.accuracy.validation.own import OwnFit, OwnNetwork
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks, with_patches

EFFECT = resolution_effect()
BASE = network("mobilevitv2_1.0")
SIDES = st.integers(64, 1024)


def _odd() -> ArchSpec:
    """A MobileViTv3-XS that departs in depth, feed-forward networks and patches."""
    spec = with_patches(network("mobilevitv3_xs"), (4, 4, 2))
    return replace(
        spec, stages=(*spec.stages[:2], *(replace(s, depth=s.depth + 1, ffn_ratio=3) for s in spec.transformer_stages))
    )


def test_families_count_once_and_the_fit_is_the_least_squares_one() -> None:
    assert (len(EFFECT.pairs), EFFECT.families) == (23, 7)
    members = {f: [p for p in EFFECT.pairs if p.family == f] for f in {p.family for p in EFFECT.pairs}}

    def loss(below: float, above: float) -> float:
        return sum(
            sum((p.fall - p.spans[0] * below - p.spans[1] * above) ** 2 for p in pairs) / len(pairs)
            for pairs in members.values()
        )

    least = loss(EFFECT.below, EFFECT.above)
    assert all(loss(EFFECT.below + a, EFFECT.above + b) > least for a, b in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)))
    assert all(p.spans[0] == 0 or p.spans[1] == 0 for p in EFFECT.pairs), "each power has its own line"


def test_it_costs_more_below_than_it_brings_above() -> None:
    assert EFFECT.below < 2 * EFFECT.above < 0
    for which, value in enumerate((EFFECT.below, EFFECT.above)):
        low, high = EFFECT.interval(which)
        assert low < value < high < 0
        narrow = EFFECT.interval(which, 0.5)
        assert low < narrow[0] < narrow[1] < high


def test_its_command_prints_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + 23 + 14 + 1
    assert lines[1].startswith("below a network's own side: error ~ side^-0.367")
    assert lines[-1].startswith("13 of 14 gains lie within 90 % intervals")


def test_a_familys_gains_are_told_by_the_others() -> None:
    told = list(held_out())
    assert {h.pair.family for h in told} == {"MobileViTv2", "Next-ViT", "CeiT", "EfficientNet", "MobileNetV4"}
    assert sum(h.is_inside for h in told) >= 0.9 * len(told)
    assert sum(h.is_inside for h in told if h.pair.family == "MobileViTv2") == 7
    assert all(0 < h.low < h.gain < h.high < 2.5 * h.gain for h in told)


@given(SIDES, SIDES, SIDES)
def test_changes_add_up_and_doubt_is_of_both_ways(a: int, b: int, c: int) -> None:
    assert EFFECT.change(a, b) + EFFECT.change(b, c) == pytest.approx(EFFECT.change(a, c), abs=1e-12)
    assert EFFECT.sd(a, b) == pytest.approx(EFFECT.sd(b, a))
    assert EFFECT.sd(a, b) >= EFFECT.sd(a, b, new=False)
    assert (EFFECT.change(a, b) <= 0) == (min(b, 512) >= min(a, 512))


@settings(max_examples=30, deadline=None)
@given(SIDES)
def test_an_explanation_adds_up_at_any_side(side: int) -> None:
    for spec in (BASE, _odd()):
        e, m, at_256 = explain_top1(spec, side), estimate_top1(spec, side), explain_top1(spec)
        assert e.value == m.value == pytest.approx(e.score + e.block_offset + e.patch_offset + e.resolution_offset + e.bias)
        assert e.sigma == pytest.approx(math.hypot(e.base_sigma, e.distance))
        (own,) = (k for k in e.knobs if k.knob == "resolution")
        assert (own.bias, own.distance) == (e.resolution_offset, pytest.approx(abs(math.log2(side / 256))))
        # It is the published effect on the whole error, departures included, and its doubt.
        assert 100 - e.value == pytest.approx((100 - at_256.value) * math.exp(EFFECT.change(256, side)))
        assert e.sigma**2 - at_256.sigma**2 == pytest.approx(((100 - e.value) * EFFECT.sd(256, side)) ** 2, abs=1e-9)
        apart = [f for f in e.flags[1:] if "resolution" not in f]
        assert apart == list(at_256.flags[1:]), "what is said of the network is said at any side"
        assert any("resolution" in f for f in e.flags) == (not 192 <= side <= 384)


@pytest.mark.parametrize(
    ("name", "value", "low"),
    [
        ("mobilevit_xxs", 69.80902011036719, 68.65871968887033),
        ("mobilevit_s", 77.99065434921087, 76.84035392771402),
        ("mobilevitv2_0.5", 71.67352955752315, 70.5232291360263),
        ("mobilevitv2_2.0", 81.19273527617763, 78.66387078001608),
        ("mobilevitv3_xs", 76.295898307694, 75.14559788619715),
        ("mobilevitv3_1.0", 78.51146040603446, 77.36115998453761),
    ],
)
def test_nothing_changes_at_256(name: str, value: float, low: float) -> None:
    m, e = estimate_top1(network(name), 256), explain_top1(network(name))
    assert (m.value, m.low) == pytest.approx((value, low), rel=1e-13)
    assert e.knobs[0].knob == "resolution"
    assert (e.knobs[0].distance, e.knobs[0].bias, e.knobs[0].sigma) == (0, 0, 0)


@pytest.mark.parametrize(("width", "gain"), [("0.5", 1.96), ("0.75", 1.42), ("1.0", 1.59), ("1.25", 1.29)])
def test_published_gains_at_384_lie_within_the_interval(width: str, gain: float) -> None:
    spec = network(f"mobilevitv2_{width}")
    at_256, at_384 = explain_top1(spec), explain_top1(spec, 384)
    sd = next(k.sigma for k in at_384.knobs if k.knob == "resolution")
    assert at_384.value - at_256.value == pytest.approx(gain, abs=min(0.5, 1.645 * sd))
    # And the label itself within that of the estimate.
    (pair,) = (p for p in EFFECT.pairs if p.network == f"mobilevitv2_{width}")
    assert pair.error_from - pair.error_to == pytest.approx(gain)
    m = estimate_top1(spec, 384)
    assert m.low is not None and m.high is not None and m.low < 100 - pair.error_to < m.high


def test_no_gain_above_the_evidence_but_more_doubt() -> None:
    most = EVIDENCE[1] * 256
    at, beyond = explain_top1(BASE, int(most)), explain_top1(BASE, 2 * int(most))
    assert at.value == beyond.value > explain_top1(BASE, 384).value
    assert beyond.sigma > at.sigma


def test_no_image_is_so_small_that_less_than_chance_is_right() -> None:
    effect = EFFECT.shift(40.0, 32)
    assert 40.0 + effect[0] == pytest.approx(100 - LARGEST_ERROR)
    assert EFFECT.shift(-5.0, 32)[0] == 0


def test_rectangles_count_by_their_area() -> None:
    assert estimate_top1(BASE, (192, 432)) == estimate_top1(BASE, 288)
    assert estimate_top1(BASE, (128, 512)) == estimate_top1(BASE, 256)


def test_the_basis_names_the_pairs_away_from_256() -> None:
    assert "pairs" not in estimate_top1(BASE).basis
    assert estimate_top1(BASE, 192).basis.endswith("; resolution by 23 published pairs")


def test_own_networks_are_judged_at_their_own_side() -> None:
    # Networks that a recipe makes worse than published ones by a fifth of the error tell so, whatever the side.
    found = []
    for side in (160, 256, 384):
        rows = [
            OwnNetwork(i, name, network(name), side, 100 - 1.2 * (100 - explain_top1(network(name), side).value))
            for i, name in enumerate(("mobilevit_xs", "mobilevitv2_1.0", "mobilevitv3_xs"))
        ]
        found.append(OwnFit(rows).estimator())
    assert [f.laboratory for f in found] == pytest.approx([math.log(1.2)] * 3, rel=0.15)
    assert found[0].laboratory == pytest.approx(found[1].laboratory, rel=0.05)
    assert found[2].laboratory == pytest.approx(found[1].laboratory, rel=0.05)


def test_a_thousand_estimates_take_well_under_a_second() -> None:
    specs = list(published_networks().values())
    estimate_top1(specs[0], 192)
    start = time.process_time()
    for i in range(1000):
        estimate_top1(specs[i % len(specs)], 160 + 32 * (i % 8))
    assert time.process_time() - start < 1  # about 0.1 s on a quiet core
