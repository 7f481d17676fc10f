"""`ArchSpec` -> torch network.

Each kind of stem, stage and head has one builder in the tables below; another family adds its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mvsearch.models.efficientformer import efficientformer_stage, efficientformer_stem, token_head
from mvsearch.models.efficientformerv2 import efficientformerv2_stage, norm_head
from mvsearch.models.initial import initialise
from mvsearch.models.inverted_residual import inverted_residual_stage
from mvsearch.models.layers import ConvNormAct, Options
from mvsearch.models.mobilevit import mobilevit_stage
from mvsearch.models.mobilevitv2 import mobilevitv2_stage
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
)
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, EfficientFormerV2Stage, NormHead, TokenHead


class Network(nn.Sequential):
    """Stem, stages and the head's modules in order; parameter names are those of timm's network of the family.

    Attributes:
        spec: what the network was built from.
    """

    def __init__(self, spec: ArchSpec, parts: OrderedDict[str, nn.Module]) -> None:
        super().__init__(parts)
        self.spec = spec


class Classifier(nn.Module):
    """Mean over the map, dropout, linear."""

    def __init__(self, in_channels: int, options: Options) -> None:
        super().__init__()
        self.drop = nn.Dropout(options.drop_rate)
        self.fc = nn.Linear(in_channels, options.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        logits: Tensor = self.fc(self.drop(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)))
        return logits


def _conv_stem(stem: ConvStem, in_channels: int, options: Options) -> nn.Module:
    return ConvNormAct(in_channels, stem.channels, 3, 2, act=options.act())


def _expand_head(head: ExpandHead, in_channels: int, options: Options) -> dict[str, nn.Module]:
    width = head.width(in_channels)
    return {
        "final_conv": ConvNormAct(in_channels, width, act=options.act()),
        "head": Classifier(width, options),
    }


def _pool_head(head: PoolHead, in_channels: int, options: Options) -> dict[str, nn.Module]:
    return {"head": Classifier(head.width(in_channels), options)}


_STEMS: dict[type, Callable[[Any, int, Options], nn.Module]] = {
    ConvStem: _conv_stem,
    DoubleConvStem: efficientformer_stem,
}
_STAGES: dict[type, Callable[[Any, int, Options], nn.Module]] = {
    InvertedResidualStage: inverted_residual_stage,
    MobileViTStage: mobilevit_stage,
    MobileViTV2Stage: mobilevitv2_stage,
    EfficientFormerStage: efficientformer_stage,
    EfficientFormerV2Stage: efficientformerv2_stage,
}
_HEADS: dict[type, Callable[[Any, int, Options], dict[str, nn.Module]]] = {
    ExpandHead: _expand_head,
    PoolHead: _pool_head,
    TokenHead: token_head,
    NormHead: norm_head,
}


def build(spec: ArchSpec, *, drop_rate: float = 0.0, transformer_drop_rate: float = 0.0, seed: int = 0) -> nn.Module:
    """The network of this architecture, on the CPU, with the initial weights of `seed`.

    Args:
        spec: the network.
        drop_rate: dropout before the classifier (0.1 in the recipes of v1 and v3 on v1).
        transformer_drop_rate: dropout of every attention's and feed-forward network's output
            (0.1 in the recipe of v1, 0.05 for XXS).
        seed: of the initial weights.

    Returns:
        A module in training mode: images (B, in_channels, H, W) -> logits (B, num_classes). Its
        `state_dict` has the names and shapes of timm's network of the family (`ByobNet` for MobileViTs) where timm can
        express it.
    """
    options = Options(spec.activation, spec.num_classes, drop_rate, transformer_drop_rate, spec.norm)
    # Layers draw their own weights when they are made; on the meta device that costs nothing.
    with torch.device("meta"):
        channels = spec.stem.channels
        parts: OrderedDict[str, nn.Module] = OrderedDict(stem=_STEMS[type(spec.stem)](spec.stem, spec.in_channels, options))
        stages = []
        for stage in spec.stages:
            stages.append(_STAGES[type(stage)](stage, channels, options))
            channels = stage.channels
        parts["stages"] = nn.Sequential(*stages)
        parts.update(_HEADS[type(spec.head)](spec.head, channels, options))
        network = Network(spec, parts)
    return initialise(network.to_empty(device="cpu"), seed)
