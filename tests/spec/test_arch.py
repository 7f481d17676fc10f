"""Architectures survive JSON, share an id exactly when they are one network, and refuse what cannot exist."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from mvsearch.errors import SpecError
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    from_json,
    make_divisible,
    to_json,
)
from mvsearch.spec.published import name_of, network, published_networks
from tests.strategies import specs


@given(specs())
@settings(max_examples=100, deadline=None)
def test_json_round_trip(spec: ArchSpec) -> None:
    again = from_json(json.loads(json.dumps(to_json(spec))))
    assert again == spec
    assert again.arch_id == spec.arch_id
    assert hash(again) == hash(spec)


@pytest.mark.parametrize("name", published_networks())
def test_published_networks_round_trip_and_know_their_names(name: str) -> None:
    spec = network(name)
    assert from_json(to_json(spec)) == spec
    assert name_of(spec) == name
    assert name_of(spec.with_classes(10)) == name


def test_published_networks_are_distinct() -> None:
    ids = [spec.arch_id for spec in published_networks().values()]
    assert len(set(ids)) == len(ids)


def one(stage: object, **changes: object) -> ArchSpec:
    return ArchSpec(ConvStem(16), (replace(stage, **changes),), ExpandHead())


V1 = MobileViTStage(channels=24, dim=32, depth=2)
V2 = MobileViTV2Stage(channels=24, dim=48, depth=2)
MV2 = InvertedResidualStage(channels=24)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one(MV2, expansion=2), one(MV2, expansion=2.0)),
        (one(V1, expansion=3), one(V1, expansion=2.9)),  # 46.4 and 48 round to one width
        (one(V1, ffn_ratio=2), one(V1, ffn_ratio=2.01)),
        (one(V2, ffn_ratio=1), one(V2, ffn_ratio=1.3)),  # rounded down to a multiple of 16
        (ArchSpec(ConvStem(16), (V1,), ExpandHead(4, 960)), ArchSpec(ConvStem(16), (V1,), ExpandHead(4, 96))),
    ],
)
def test_two_spellings_of_one_network_share_their_id(left: ArchSpec, right: ArchSpec) -> None:
    assert left.arch_id == right.arch_id


@pytest.mark.parametrize(
    "right",
    [
        one(V1, residual=True),
        one(V1, heads=2),
        one(V1, patch=(2, 4)),
        one(V1, patch=(4, 2)),
        one(V1, depth=3),
        one(V1, expansion=1),
        replace(one(V1), activation="relu"),
        replace(one(V1), in_channels=1),
        replace(one(V1), head=PoolHead()),
        one(V1).with_classes(10),
        one(MobileViTV2Stage(channels=24, dim=32, depth=2)),
    ],
)
def test_different_networks_have_different_ids(right: ArchSpec) -> None:
    assert one(V1).arch_id != right.arch_id


def test_an_expansion_that_rounds_to_the_input_width_keeps_its_convolution() -> None:
    # 16 * 1.1 rounds to 16: the width of expansion 1, but with a 1x1 convolution before it.
    assert one(MV2, expansion=1).arch_id != one(MV2, expansion=1.1).arch_id


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: one(V1, heads=5), "`heads` is `5`"),
        (lambda: one(V1, channels=0), "`channels` is `0`"),
        (lambda: one(V1, patch=(2, 0)), "`patch` is `(2, 0)`"),
        (lambda: one(V1, patch=[2, 2]), "`patch` is `[2, 2]`"),
        (lambda: one(V1, depth=True), "`depth` is `True`"),
        (lambda: one(V1, expansion=0.5), "`expansion` is `0.5`"),
        (lambda: one(V2, ffn_ratio=0.25, dim=32), "gives no hidden unit"),
        (lambda: one(MV2, stride=3), "`stride` is `3`"),
        (lambda: replace(one(V1), activation="swish"), "unknown activation `swish`"),
        (lambda: replace(one(V1), stages=()), "`stages` is empty"),
    ],
)
def test_what_cannot_exist_is_refused(make: object, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert words in caught.value.message
    assert caught.value.hint


def edited(**changes: object) -> dict[str, object]:
    return {**to_json(one(V1)), "arch_id": None, **changes}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "not an architecture"),
        (edited(schema_version=99), "schema `99`"),
        (edited(surprise=1), "unknown key `surprise`"),
        (edited(stages=None), "`stages` is missing"),
        (edited(stages=[{"kind": "resnet"}]), "`stages[0].kind` is `resnet`"),
        (edited(stages=[{"kind": "mobilevit", "channels": 8}]), "`stages[0]` is incomplete"),
        (edited(stages=[{"kind": "mobilevit", "channels": 8, "dim": 8, "depth": 1, "colour": 1}]), "`stages[0].colour`"),
        (edited(stages=[{"kind": "mobilevit", "channels": 8, "dim": 9, "depth": 1}]), "stages[0]: `heads` is `4`"),
        (edited(arch_id="0" * 12), "does not belong"),
    ],
)
def test_json_with_faults_is_refused(data: object, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        from_json(data)
    assert words in caught.value.message


@pytest.mark.parametrize(("value", "rounded"), [(64, 64), (44, 48), (43, 40), (12, 16), (3, 8), (59, 56), (60, 64), (11, 16)])
def test_make_divisible(value: int, rounded: int) -> None:
    assert make_divisible(value) == rounded
