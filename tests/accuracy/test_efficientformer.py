"""Top-1 of EfficientFormers: their own published results, honestly held out, and what departing from them costs."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest

from mvsearch.accuracy import estimate_top1, explain_top1, published_top1
from mvsearch.accuracy.efficientformer import held_out, shipped_evidence
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import TokenHead
from mvsearch.spec.published import network

L1, S1 = network("efficientformer_l1"), network("efficientformerv2_s1")
PUBLISHED = {
    "efficientformer_l1": 79.2, "efficientformer_l3": 82.4, "efficientformer_l7": 83.3,
    "efficientformerv2_s0": 75.7, "efficientformerv2_s1": 79.0, "efficientformerv2_s2": 81.6, "efficientformerv2_l": 83.3,
}  # fmt: skip
Z90 = 1.645


@pytest.mark.parametrize("name", PUBLISHED)
def test_intervals_cover_the_published_results(name: str) -> None:
    m = estimate_top1(network(name), 224)
    assert m.low < PUBLISHED[name] < m.high
    assert not m.flags
    assert "distilled" in m.basis and m.basis.endswith(f"nearest {name}")
    assert "with a teacher" in m.protocol
    label = published_top1(name)
    assert label.value == PUBLISHED[name] and "with a teacher" in label.basis


def test_intervals_cover_each_network_as_the_other_six_judge_it() -> None:
    errors = []
    for rung, judged in held_out():
        assert judged.nearest not in ("", rung.name)
        departed = [*judged.terms, *(term for _, term in judged.bounds)]
        value = judged.score + judged.offset + sum(t[2] for t in departed)
        sigma = sqrt(judged.sigma**2 + sum(t[3] ** 2 for t in departed))
        errors.append(rung.top1 - value)
        assert abs(errors[-1]) < Z90 * sigma, rung.name
    assert len(errors) == 7
    # What is stated in the README of the estimate.
    assert sum(map(abs, errors)) / len(errors) == pytest.approx(0.63, abs=0.05)


def test_published_networks_depart_from_nothing() -> None:
    for name in PUBLISHED:
        explained = explain_top1(network(name), 224)
        assert explained.bias == pytest.approx(0, abs=1e-9)
        assert explained.distance == pytest.approx(0, abs=1e-6)
        assert explained.base_sigma == shipped_evidence().sigma >= 0.7


def test_a_second_classifier_earns_nothing() -> None:
    both = replace(L1, head=TokenHead(distilled=True))
    assert estimate_top1(both, 224).value == pytest.approx(estimate_top1(L1, 224).value)


def stage(spec: ArchSpec, i: int, **changes: object) -> ArchSpec:
    return replace(spec, stages=tuple(replace(s, **changes) if j == i else s for j, s in enumerate(spec.stages)))


@pytest.mark.parametrize(
    ("changed", "knob"),
    [
        (stage(L1, 3, attention=0), "attention blocks"),
        (stage(S1, 2, attention=0), "attention blocks"),
        (stage(L1, 2, depth=1), "total depth"),
        (stage(L1, 2, depth=3), "depth shares"),
        (stage(L1, 3, channels=128), "width profile"),
        (stage(L1, 2, ffn_ratio=8), "FFN ratio"),
        (stage(L1, 3, channels=640), "late parameters"),
        (replace(L1, activation="relu"), "activation"),
    ],
)
def test_departures_cost(changed: ArchSpec, knob: str) -> None:
    explained = explain_top1(changed, 224)
    term = next(k for k in explained.knobs if k.knob == knob)
    assert term.bias < 0 < term.sigma
    assert estimate_top1(changed, 224).high - estimate_top1(changed, 224).low > 2 * Z90 * shipped_evidence().sigma


def test_what_no_one_published_is_flagged() -> None:
    tiny = replace(
        L1, stem=replace(L1.stem, channels=16), stages=tuple(replace(s, channels=16, depth=1, attention=0) for s in L1.stages)
    )
    assert "extrapolating" in estimate_top1(tiny, 224).flags
    assert any("params" in flag for flag in estimate_top1(tiny, 224).flags)
    other = replace(L1, stages=L1.stages[:3])
    assert "extrapolating: not the layout of any published network" in estimate_top1(other, 224).flags


def test_images_larger_than_those_of_training_help_a_network_that_is_made_for_them() -> None:
    larger = estimate_top1(network("efficientformerv2_s1@resolution=288"), 288)
    plain = estimate_top1(S1, 224)
    assert 0.3 < larger.value - plain.value < 1.5
    assert larger.high - larger.low > plain.high - plain.low
    assert "resolution by" in larger.basis and "resolution by" not in plain.basis
