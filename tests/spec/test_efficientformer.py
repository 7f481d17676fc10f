"""EfficientFormers as data: what belongs together, what cannot exist, other image sizes, and spaces of a user's own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mvsearch.costs import count
from mvsearch.errors import InputError, SpaceError, SpecError
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    InvertedResidualStage,
    PoolHead,
    from_json,
    to_json,
)
from mvsearch.spec.efficientformer import (
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
)
from mvsearch.spec.published import all_published, default_resolution, family_of, name_of, network
from mvsearch.spec.space_file import load_space, parse_space

NAMES = [name for name in all_published() if name.startswith("efficientformer")]
L1, S0 = network("efficientformer_l1"), network("efficientformerv2_s0")


@pytest.mark.parametrize("name", [*NAMES, "efficientformer_l1@head=distilled"])
def test_published_networks_round_trip_and_know_their_names(name: str) -> None:
    spec = network(name)
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec
    assert name_of(spec.with_classes(10)) == name
    assert family_of(spec) == name.partition("_")[0]
    assert default_resolution(spec) == 224


def test_a_second_classifier_costs_one_linear_layer() -> None:
    single, distilled = (count(network(f"efficientformer_l1@head={h}"), 224) for h in ("single", "distilled"))
    assert distilled.params - single.params == 449 * 1000
    assert distilled.macs - single.macs == 448 * 1000


@pytest.mark.parametrize("name", ["efficientformer_l1", "efficientformerv2_s0"])
def test_attention_s_tables_grow_with_the_image_they_are_made_for(name: str) -> None:
    larger = network(f"{name}@resolution=256")
    assert larger.arch_id != network(name).arch_id
    assert default_resolution(larger) == 256
    assert count(larger, 256).params > count(network(name), 224).params
    for spec, side in ((larger, 224), (network(name), 256), (network(name), (224, 256))):
        with pytest.raises(InputError, match="is made for a map of") as caught:
            count(spec, side)
        assert "@resolution=R" in caught.value.hint


def test_without_attention_any_image_will_do() -> None:
    pooled = replace(L1, stages=tuple(replace(s, attention=0) for s in L1.stages))
    assert count(pooled, 224).params == count(pooled, 300).params


@pytest.mark.parametrize("suffix", ["resolution=250", "resolution=9999"])
def test_images_that_no_map_divides_are_refused(suffix: str) -> None:
    with pytest.raises(InputError, match="multiple of 32"):
        network(f"efficientformer_l1@{suffix}")


@pytest.mark.parametrize("suffix", ["patch=2,2,2", "head=double", "resolution=x", "x"])
def test_unknown_suffixes_are_refused(suffix: str) -> None:
    with pytest.raises(InputError) as caught:
        network(f"efficientformer_l1@{suffix}")
    assert "@head=distilled" in caught.value.hint


def test_two_spellings_of_one_network_share_their_id() -> None:
    stages = L1.stages
    assert replace(L1, stages=(replace(stages[0], side=8), *stages[1:])).arch_id == L1.arch_id
    assert replace(L1, stages=(replace(stages[0], ffn_ratio=4.01), *stages[1:])).arch_id == L1.arch_id
    assert replace(S0, activation="relu").arch_id == replace(S0, activation="relu", stem=DoubleConvStem(32, "relu")).arch_id


@pytest.mark.parametrize(
    "right",
    [
        replace(L1, stages=(*L1.stages[:3], replace(L1.stages[3], attention=2))),
        replace(L1, stages=(*L1.stages[:3], replace(L1.stages[3], side=8))),
        replace(L1, head=TokenHead(distilled=True)),
        replace(L1, stem=DoubleConvStem(48)),
        replace(S0, stages=(*S0.stages[:3], replace(S0.stages[3], attention_downsampling=False))),
        replace(S0, stages=(*S0.stages[:2], replace(S0.stages[2], attention_stride=1, side=14), S0.stages[3])),
        replace(S0, stages=(replace(S0.stages[0], ffn_ratios=(4.0, 3.0)), *S0.stages[1:])),
    ],
)
def test_different_networks_have_different_ids(right: ArchSpec) -> None:
    assert right.arch_id not in (L1.arch_id, S0.arch_id)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EfficientFormerStage(48, 3, attention=4), "`attention` is `4`"),
        (lambda: EfficientFormerStage(48, 0), "`depth` is `0`"),
        (lambda: EfficientFormerV2Stage(48, ()), "`ffn_ratios` is `()`"),
        (lambda: EfficientFormerV2Stage(48, (4.0, "3")), "`ffn_ratios` is `3`"),
        (lambda: EfficientFormerV2Stage(48, (4.0,), stride=1, attention_downsampling=True), "`attention_downsampling`"),
        (lambda: DoubleConvStem(33), "`stem.channels` is `33`"),
        (lambda: DoubleConvStem(32, "gelu"), "`stem.activation` is `gelu`"),
        (lambda: NormHead(distilled=1), "`head.distilled` is `1`"),
        (lambda: replace(L1, stem=DoubleConvStem(64, "relu")), "stride 1 after `64`"),
        (lambda: replace(L1, head=PoolHead()), "`attention` before `pool`"),
        (lambda: replace(L1, stages=(*L1.stages, InvertedResidualStage(64))), "`attention` before `inverted_residual`"),
    ],
)
def test_what_cannot_exist_is_refused(make: object, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert words in caught.value.message
    assert caught.value.hint


def test_blocks_on_maps_stand_between_other_families() -> None:
    mixed = ArchSpec(ConvStem(16), (EfficientFormerStage(24, 2), InvertedResidualStage(32, 2, 1, 2)), PoolHead())
    assert count(mixed, 64).params > 0


@pytest.mark.parametrize(
    ("name", "space"), [("efficientformer_l1", "efficientformer"), ("efficientformerv2_s0", "efficientformerv2")]
)
def test_more_attention_than_blocks_means_all_of_them(name: str, space: str) -> None:
    loaded = load_space(space)
    point = {**loaded.encode(network(name)), "stage4.depth": 2, "stage4.attention": 6}
    spec = loaded.decode(point)
    assert spec.stages[3].attention == spec.stages[3].depth == 2
    assert loaded.decode(loaded.encode(spec)).arch_id == spec.arch_id


def test_ratios_of_blocks_that_are_not_there_are_free() -> None:
    loaded = load_space("efficientformerv2")
    point = loaded.encode(S0)
    assert loaded.decode({**point, "stage3.ffn15": 2}).arch_id == S0.arch_id
    assert loaded.decode({**point, "stage3.ffn6": 2}).arch_id != S0.arch_id


SMALL = """\
family: efficientformer
dimensions:
  stage1.channels: [16, 24]
  stage1.depth: 1
  stage2.channels: 32
  stage2.depth: 1
  stage3.channels: 48
  stage3.depth: 1
  stage4.channels: 64
  stage4.depth: [1, 2]
  stage4.attention: [0, 1]
"""


def test_a_space_of_one_s_own() -> None:
    space = parse_space(SMALL, "my.yaml")
    assert (space.resolution, space.family, space.num_points) == (224, "efficientformer", 8)
    larger = parse_space(f"resolution: 256\n{SMALL}", "my.yaml")
    assert larger.content_hash != space.content_hash
    spec = larger.decode({d.name: d.choices[-1] for d in larger.dimensions})
    assert default_resolution(spec) == 256


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("family: efficientformer\n", "family: swin\n", "`family`: `swin`; one of mobilevit, efficientformer"),
        ("family: efficientformer\n", "", "unknown key"),
        ("family:", "resolution: 250\nfamily:", "a multiple of 32"),
        ("stage4.attention: [0, 1]", "stage4.attention: [-1]", "integers from 0 to 64"),
        ("stage2.channels: 32", "stage2.channels: 31", "even numbers"),
        ("  stage2.depth: 1\n", "", "missing: stage2.depth"),
        ("stage1.depth: 1", "stage1.dim: 1", "did you mean"),
    ],
)
def test_faults_of_such_a_file(old: str, new: str, said: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space(SMALL.replace(old, new), "my.yaml")
    assert any(said in fault for fault in caught.value.faults), caught.value.faults
