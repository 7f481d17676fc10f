"""Backbones: the maps are where, as wide and as large as the architecture alone says, and are the network's own."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from mvsearch.api.backbone import backbone
from mvsearch.costs import lower
from mvsearch.costs.features import feature_info
from mvsearch.errors import InputError
from mvsearch.models import build
from mvsearch.models.features import Backbone
from mvsearch.spec.arch import ArchSpec, ConvStem, InvertedResidualStage, MobileViTStage, MobileViTV2Stage, PoolHead
from mvsearch.spec.published import all_published, default_resolution, network
from tests.export.nets import NETS, save, shake
from tests.strategies import random_spec

SIZES = ((64, 64), (72, 104))
# No two of its stages are alike in width: one that halves nothing would add its input.
CONVOLUTIONS = ArchSpec(
    ConvStem(8),
    (
        InvertedResidualStage(8),
        InvertedResidualStage(16, 2, 1, 2),
        InvertedResidualStage(24, 2, 2, 2),
        InvertedResidualStage(32, 1, 1, 2),
        InvertedResidualStage(40, 2, 3, 2),
    ),
    PoolHead(),
)


def shapes(maps: list[torch.Tensor]) -> list[tuple[int, ...]]:
    return [tuple(m.shape[1:]) for m in maps]


def expected(spec: ArchSpec, size: tuple[int, int], output_stride: int | None = None) -> list[tuple[int, ...]]:
    return [(m.channels, m.height, m.width) for m in feature_info(spec, size, output_stride)]


@pytest.mark.parametrize("name", [n for n in all_published() if not n.startswith("efficientformer")])
def test_published_mobilevits_have_strides_2_to_32(name: str) -> None:
    spec = network(name)
    maps = feature_info(spec, 256)
    assert [m.stride for m in maps] == [2, 4, 8, 16, 32]
    assert [m.name for m in maps] == [f"stages.{i}" for i in range(5)]
    assert [m.channels for m in maps] == [s.channels for s in spec.stages]
    assert [(m.height, m.width) for m in maps] == [(256 // s, 256 // s) for s in (2, 4, 8, 16, 32)]


@pytest.mark.parametrize("spec", [*NETS.values(), *map(random_spec, range(8))], ids=lambda s: s.arch_id)
def test_maps_have_the_shapes_that_the_architecture_says(spec: ArchSpec) -> None:
    body = Backbone(build(spec)).eval()
    for size in SIZES:
        with torch.inference_mode():
            maps = body(torch.rand(2, spec.in_channels, *size))
        assert shapes(maps) == expected(spec, size)
        # The closed form of the costs says the same of every stage.
        outputs = {part.name: part.output[1:] for part in lower(spec, size)}
        assert shapes(maps) == [outputs[m.name] for m in feature_info(spec, size)]
    assert body.channels == tuple(m.shape[1] for m in maps)
    assert [m.stride for m in body.feature_info(64)] == list(body.strides)


def test_an_enlarged_map_is_said_to_be_larger() -> None:
    last = feature_info(network("mobilevitv2_0.5"), 224)[-1]
    assert (last.stride, last.height) == (32, 8), "not 7"
    assert feature_info(network("mobilevit_xxs"), 224)[-1].height == 7


@pytest.mark.parametrize("name", NETS)
def test_maps_are_the_networks_own(name: str) -> None:
    spec = NETS[name]
    model = shake(build(spec)).eval()
    body = Backbone(model, output_stride=None)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        maps, y = body(x), model.get_submodule("stem")(x)
        for i, stage in enumerate(model.get_submodule("stages")):
            y = stage(y)
            if f"stages.{i}" in body.names:
                assert torch.equal(y, maps[body.names.index(f"stages.{i}")])
    missing = set(model.state_dict()) - set(body.state_dict())
    assert missing and all(n.startswith(("head.", "final_conv.")) for n in missing)
    assert body.load_state_dict(model.state_dict(), strict=False).missing_keys == []


def test_only_what_is_asked_for_is_kept() -> None:
    model = build(NETS["v1"])
    body = Backbone(model, out_indices=(-2, 0))
    assert (body.strides, body.names) == ((4, 2), ("stages.1", "stages.0"))
    assert len(body.stages) == 2
    assert shapes(body(torch.rand(1, 3, 64, 64))) == [(24, 16, 16), (16, 32, 32)]
    nn.init.zeros_(body.stem.conv.weight)
    assert model.get_parameter("stem.conv.weight").any(), "the network was changed"


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(
    "spec", [CONVOLUTIONS, network("mobilevit_xxs"), network("mobilevitv2_0.5"), *map(random_spec, range(4))]
)
def test_output_stride_keeps_the_last_maps_large(spec: ArchSpec, output_stride: int) -> None:
    model = build(spec).eval()
    body = Backbone(model, output_stride=output_stride)
    for size in SIZES:
        with torch.inference_mode():
            maps = body(torch.rand(1, spec.in_channels, *size))
        assert shapes(maps) == expected(spec, size, output_stride)
    assert max(body.strides) <= output_stride
    assert body.state_dict().keys() <= model.state_dict().keys(), "dilation changes no weight"


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_convolutions_compute_the_same_and_more(output_stride: int) -> None:
    """Every pixel that the strided network has, the dilated one has too: what dilation is for."""
    model = shake(build(CONVOLUTIONS)).eval()
    x = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        coarse, dense = Backbone(model)(x)[-1], Backbone(model, output_stride=output_stride)(x)[-1]
    step = 32 // output_stride
    torch.testing.assert_close(dense[..., ::step, ::step], coarse, rtol=1e-4, atol=1e-5)


def dilations(body: Backbone) -> dict[str, tuple[int, int]]:
    convs = {n: m for n, m in body.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)}
    return {
        n.removeprefix("stages.").removesuffix(".conv"): (m.stride[0], m.dilation[0])
        for n, m in convs.items()
        if n[:9] > "stages.2."
    }


def test_dilations_are_those_of_cvnets() -> None:
    # Its inverted residual has the dilation reached before it; only MobileViTv2's local convolution the one after it.
    v1 = dilations(Backbone(build(network("mobilevit_xxs")), output_stride=8))
    assert v1["3.0.conv2_kxk"] == (1, 1) and v1["4.0.conv2_kxk"] == (1, 2)
    assert {v for k, v in v1.items() if ".1." in k and k[0] in "34"} == {(1, 1)}
    v2 = dilations(Backbone(build(network("mobilevitv2_0.5")), output_stride=8))
    assert {k: v for k, v in v2.items() if k[0] in "34"} == {
        "3.0.conv2_kxk": (1, 1), "3.1.conv_kxk": (1, 2), "4.0.conv2_kxk": (1, 2), "4.1.conv_kxk": (1, 4)
    }  # fmt: skip
    v2 = dilations(Backbone(build(network("mobilevitv2_0.5")), output_stride=16))
    assert v2["3.0.conv2_kxk"] == (2, 1) and v2["4.0.conv2_kxk"] == (1, 1) and v2["4.1.conv_kxk"] == (1, 2)


def test_a_residual_that_keeps_its_width_adds_its_input_as_cvnets_does() -> None:
    spec = network("mobilevitv3_xs")
    assert spec.stages[3].channels == spec.stages[4].channels
    block = Backbone(build(spec), output_stride=16).get_submodule("stages.4.0")
    assert block.skip
    assert not Backbone(build(network("mobilevit_xs")), output_stride=16).get_submodule("stages.4.0").skip


@pytest.mark.parametrize("name", ["efficientformer_l1", "efficientformerv2_s0"])
def test_efficientformers_give_maps_too(name: str) -> None:
    spec = network(name)
    size = default_resolution(spec)
    body = Backbone(build(spec)).eval()
    with torch.inference_mode():
        maps = body(torch.rand(2, 3, size, size))
    assert shapes(maps) == expected(spec, (size, size))
    assert body.strides == (4, 8, 16, 32)
    if name == "efficientformer_l1":  # Tokens, row by row.
        model = shake(build(spec)).eval()
        with torch.inference_mode():
            x = torch.rand(1, 3, size, size)
            tokens = model.get_submodule("stages")(model.get_submodule("stem")(x))
            last = Backbone(model)(x)[-1]
        assert torch.equal(last[0, :, 2, 3], tokens[0, 2 * 7 + 3])
    with pytest.raises(InputError, match="output stride `16`"):
        Backbone(build(spec), output_stride=16)


@pytest.mark.parametrize(("indices", "stride"), [((5,), None), ((-6,), None), ((4,), 16), (None, 12), (None, 32)])
def test_what_is_not_there_is_refused(indices: tuple[int, ...] | None, stride: int | None) -> None:
    with pytest.raises(InputError) as error:
        Backbone(build(network("mobilevit_xxs")), indices, stride)
    assert "`" in str(error.value) and error.value.hint


def test_backbone_of_an_entry_a_name_and_an_architecture(tmp_path) -> None:
    spec = NETS["v2"]
    model = save(tmp_path / "entry", spec)
    body = backbone(tmp_path / "entry", out_indices=(1, -1))
    assert torch.equal(body.stem.conv.weight, model.get_parameter("stem.conv.weight"))
    assert not body.training
    assert backbone(spec).strides == backbone(str(tmp_path / "entry")).strides == (2, 4, 8)
    assert backbone("mobilevit_xxs", (3, 4)).channels == (64, 80)
    with pytest.raises(InputError, match="there is no folder"):
        backbone(tmp_path / "nowhere")
    with pytest.raises(InputError, match="unknown network"):
        backbone("mobilenet")


@pytest.mark.full
def test_shapes_of_many() -> None:
    specs = [s for n, s in all_published().items() if not n.startswith("efficientformer")]
    for spec, size in product([*specs, *map(random_spec, range(100))], ((96, 96), (160, 224), (75, 130))):
        for stride in (None, 16, 8):
            with torch.inference_mode():
                maps = Backbone(build(spec), output_stride=stride).eval()(torch.rand(1, spec.in_channels, *size))
            assert shapes(maps) == expected(spec, size, stride)


def test_kinds_that_cannot_be_mixed_up() -> None:
    """A backbone of every kind of stage was looked at above."""
    kinds = {type(s) for spec in (*NETS.values(), CONVOLUTIONS) for s in spec.stages}
    assert kinds == {InvertedResidualStage, MobileViTStage, MobileViTV2Stage}
