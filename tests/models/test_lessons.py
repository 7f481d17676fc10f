"""Networks of controlled pairs: the closed form lists what Core ML receives of the built ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mvsearch.costs.lessons import lower_lesson
from mvsearch.models.lessons import build_lesson
from mvsearch.spec.arch import ArchSpec, ConvStem, ExpandHead, InvertedResidualStage, MobileViTStage, MobileViTV2Stage, PoolHead
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, TokenHead
from mvsearch.spec.lessons import AlternatingBlocks, ConvStem3x3, LessonNetwork, MlpBlocks, PatchEmbedding
from tests.models.mil import converted_rows, lowered_rows

torch.set_num_threads(1)

STAGES = (EfficientFormerStage(16, 1, stride=1), EfficientFormerStage(24, 4, attention=2, ffn_ratio=3, side=8))
MIXED = ArchSpec(DoubleConvStem(16, "relu"), STAGES, TokenHead(), "gelu", 10)
"""For 64 pixels."""
POOLED = replace(MIXED, stages=(STAGES[0], replace(STAGES[1], attention=0)))
TOKENS = ArchSpec(DoubleConvStem(24), (EfficientFormerStage(24, 1, attention=1, stride=1, side=4),), TokenHead(), "gelu", 10)
"""For 64 pixels behind a stem that divides by 16."""
V1 = ArchSpec(ConvStem(8), (InvertedResidualStage(8), MobileViTStage(16, 16, 2, patch=(2, 2))), ExpandHead(), num_classes=10)
V2 = ArchSpec(ConvStem(8), (InvertedResidualStage(8), MobileViTV2Stage(16, 16, 2, patch=(2, 2))), PoolHead(), num_classes=10)

NETWORKS = {
    "7x7": LessonNetwork("7x7", MIXED, 64, PatchEmbedding(7, 4)),
    "16x16": LessonNetwork("16x16", TOKENS, 64, PatchEmbedding(16, 16)),
    "3x3": LessonNetwork("3x3", TOKENS, 64, ConvStem3x3((8, 8, 16, 24))),
    "alternating": LessonNetwork("alternating", MIXED, 64, AlternatingBlocks()),
    "consistent": LessonNetwork("consistent", MIXED, 64),
    "layer norm": LessonNetwork("layer norm", POOLED, 64, MlpBlocks("layer_norm")),
    "batch norm": LessonNetwork("batch norm", POOLED, 64, MlpBlocks("batch_norm")),
    "v1": LessonNetwork("v1", replace(V1, norm="batch_norm"), 64),
    "v2": LessonNetwork("v2", replace(V2, norm="batch_norm"), 64),
}


def lowered(network: LessonNetwork):
    return lowered_rows(network.spec, network.resolution, lambda *_: lower_lesson(network))


QUICK = ("7x7", "alternating", "v2")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.full) for n in NETWORKS])
def test_operations_are_those_that_core_ml_receives(name: str) -> None:
    network = NETWORKS[name]
    model = build_lesson(network)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("attention_biases"):
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    assert converted_rows(network.spec, model, network.resolution) == lowered(network)
