"""The closed form of EfficientFormers lists the operations that Core ML receives, in the same order.

Attention's bias is random: while it is zero, the converter drops its addition, which trained networks have. A batch norm
that no convolution takes in is listed as an operation per element, with its statistics.
"""

from __future__ import annotations

import random

import pytest
import torch

from mvsearch.costs import count
from mvsearch.models import build
from mvsearch.models.witness import count_built, verify
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import (
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
)
from mvsearch.spec.published import all_published, network
from mvsearch.spec.space_file import load_space
from tests.models.mil import converted_rows, lowered_rows

torch.set_num_threads(1)

V1 = ArchSpec(
    DoubleConvStem(16, "relu"),
    (
        EfficientFormerStage(16, 1, stride=1),
        EfficientFormerStage(24, 3, attention=2, ffn_ratio=3, side=8),
    ),
    TokenHead(),
    activation="gelu",
    num_classes=10,
)
"""For 64 pixels: blocks on maps and on tokens in one stage."""
POOLED = ArchSpec(
    DoubleConvStem(8, "relu"), (EfficientFormerStage(8, 2, stride=1),), TokenHead(distilled=True), "silu", 7, in_channels=1
)
"""No attention, so that any image will do; two classifiers."""
V2 = ArchSpec(
    DoubleConvStem(16),
    (
        EfficientFormerV2Stage(16, (4.0,), stride=1),
        EfficientFormerV2Stage(24, (3.0, 2.5), attention=1, attention_stride=2, side=4),
        EfficientFormerV2Stage(32, (4.0, 3.0), attention=1, attention_downsampling=True, side=4),
    ),
    NormHead(distilled=True),
    activation="gelu",
    num_classes=10,
)
"""For 64 pixels: attention on a halved map, attention that downsamples, two classifiers."""

LISTED_AS = {"batch_norm": "elementwise", "resize": "pool"}
"""See `mvsearch.costs.efficientformer`."""


def check(spec: ArchSpec, resolution: int) -> None:
    model = build(spec)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("attention_biases"):
            torch.nn.init.normal_(parameter, generator=generator)
    converted, lowered = converted_rows(spec, model, resolution), lowered_rows(spec, resolution)
    for i, (found, expected) in enumerate(zip(converted, lowered, strict=False)):
        assert found._replace(kind=LISTED_AS.get(found.kind, found.kind)) == expected, f"operation {i}"
    assert len(converted) == len(lowered)
    assert sum(row.macs for row in converted) == count(spec, resolution).macs


@pytest.mark.parametrize(("spec", "resolution"), [(V1, 64), (POOLED, 44), (V2, 64)], ids=["v1", "pooled", "v2"])
def test_operations(spec: ArchSpec, resolution: int) -> None:
    check(spec, resolution)


@pytest.mark.parametrize(("spec", "resolution"), [(V1, 64), (POOLED, 44), (V2, 64)], ids=["v1", "pooled", "v2"])
def test_built_network_equals_the_closed_form(spec: ArchSpec, resolution: int) -> None:
    model = build(spec)
    assert verify(spec, resolution, model) is None
    assert count_built(model, resolution).macs == count(spec, resolution).macs


EFFICIENTFORMERS = [name for name in all_published() if name.startswith("efficientformer")]
VARIANTS = ["efficientformer_l1@head=distilled", "efficientformerv2_s0@resolution=256"]


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [*EFFICIENTFORMERS, "efficientformer_l1@head=distilled", "efficientformerv2_s0@resolution=256"]
)
def test_every_published_network(name: str) -> None:
    check(network(name), 256 if "256" in name else 224)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("space", ["efficientformer", "efficientformerv2"])
def test_random_networks(space: str, seed: int) -> None:
    loaded = load_space(space)
    spec = loaded.decode(loaded.random_point(random.Random(seed)))
    check(spec, 224)
    assert verify(spec, 224, build(spec)) is None
