"""Small networks with every kind of block, and one evaluation each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mvsearch.costs import count
from mvsearch.export.library import save_entry
from mvsearch.models import build
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
)
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, NormHead, TokenHead
from mvsearch.spec.efficientformer_published import v2_stage
from mvsearch.spec.record import Evaluation, Measurement

RESOLUTION = 64
SEED = 7


def _net(head: Head, *stages: Stage, classes: int = 10) -> ArchSpec:
    mv2 = (InvertedResidualStage(16, 2, 1, 1), InvertedResidualStage(24, 2, 2, 2))
    return ArchSpec(ConvStem(16), (*mv2, *stages), head, num_classes=classes)


V3 = {"dw_local": True, "fuse_1x1": True, "concat_local": True, "residual": True}
V3_ON_V2 = {"concat_local": True, "residual": True}
NETS: dict[str, ArchSpec] = {
    "v1": _net(ExpandHead(), MobileViTStage(32, 48, 2)),
    "v2": _net(PoolHead(), MobileViTV2Stage(32, 48, 2)),
    "v3 on v1": _net(ExpandHead(), MobileViTStage(32, 48, 1, **V3)),
    "v3 on v2": _net(PoolHead(), MobileViTV2Stage(32, 48, 1, **V3_ON_V2)),
    "mixed, patches resized": _net(
        ExpandHead(2, 100),
        MobileViTV2Stage(32, 40, 1, patch=(3, 2)),
        MobileViTStage(40, 48, 1, heads=3, patch=(3, 3), dw_local=True),
        InvertedResidualStage(48, 1, 1, 1),
        classes=3,
    ),
}


def _efficientformer(distilled: bool = False, activation: str = "gelu") -> ArchSpec:
    sizes = ((16, 1, 0), (24, 1, 0), (32, 1, 0), (40, 3, 2))
    stages = tuple(EfficientFormerStage(c, d, a, 2 if i else 1, 3, side=2) for i, (c, d, a) in enumerate(sizes))
    return ArchSpec(DoubleConvStem(16, "relu"), stages, TokenHead(distilled), activation, 10)


def _efficientformerv2(distilled: bool = False, activation: str = "gelu") -> ArchSpec:
    sizes = ((16, (4.0,)), (24, (3.0,)), (32, (4.0, 3.0)), (40, (2.0, 4.0, 3.5)))
    stages = tuple(v2_stage(i, c, ratios, 2 if i >= 2 else 0, side=2) for i, (c, ratios) in enumerate(sizes))
    return ArchSpec(DoubleConvStem(16), stages, NormHead(distilled), activation, 10)


EFFICIENTFORMERS: dict[str, ArchSpec] = {
    "v1": _efficientformer(),
    "v1 distilled, relu6": _efficientformer(True, "relu6"),
    "v2": _efficientformerv2(),
    "v2 distilled, hardswish": _efficientformerv2(True, "hardswish"),
}
"""For images of 64 pixels."""


def evaluation_of(spec: ArchSpec, resolution: int = RESOLUTION) -> Evaluation:
    measurements = {
        **count(spec, resolution).measurements(),
        "top1": Measurement("top1", 68.12, "%", "estimated", 65.5, 70.7, 0.9, "linear", "published anchors", n=57),
        "latency": Measurement(
            "latency", 1.234, "ms", "predicted", 0.65, 2.34, 0.9, "log", "left-out families", "iphone12", flags=("rough",)
        ),
    }
    return Evaluation(spec, resolution, measurements, "built")


def save(folder: Path, spec: ArchSpec, exports: Sequence[str] = (), **options: Any) -> nn.Module:
    """Write an entry of this network at `folder`; returns the network."""
    model = build(spec, seed=SEED).eval()
    provenance = {"command": "mvsearch run --budget 2M-params", "space": "tiny", "budgets": ["2M-params"], "trials": 10}
    save_entry(folder, spec, RESOLUTION, model, evaluation_of(spec), provenance=provenance, seed=SEED, to=exports, **options)
    return model


def images(spec: ArchSpec, resolution: int = RESOLUTION, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, spec.in_channels, resolution, resolution, generator=torch.Generator().manual_seed(3))


def shake(model: nn.Module) -> nn.Module:
    """Give every weight and statistic a value that no other has, as training does; in place."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise + 0.5 if name.endswith("running_var") else 0.2 * noise - 0.1)
    return model
