"""A network in timm's terms: `ByoModelCfg` and `ByoBlockCfg` as text, and what these cannot say; EfficientFormers apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mvsearch.export.exporter import Refusal
from mvsearch.export.timm import efficientformer
from mvsearch.spec.arch import (
    LAYER_NORM,
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
    expanded_width,
    make_divisible,
)
from mvsearch.spec.published import default_resolution

_DIVISOR = 8
_MIN_STAGES = 2
OWN_BLOCKS = {
    "mvsearch_residual": "PlainResidual",
    "mvsearch_mobilevit3": "MobileVitV3Block",
    "mvsearch_mobilevit3_on_v2": "MobileVitV3OnV2Block",
}
"""Name of a block that timm does not have -> its class in `blocks.py`."""
ACTIVATIONS = {"silu": "silu", "relu": "relu", "hardswish": "hard_swish", "gelu": "gelu", "relu6": "relu6"}
"""Our name of an activation -> timm's."""


@dataclass(frozen=True, slots=True)
class Block:
    """One `ByoBlockCfg`; attributes are its fields."""

    type: str
    d: int
    c: int
    s: int
    gs: int | None
    br: float
    block_kwargs: dict[str, Any]


def refusal(spec: ArchSpec, resolution: int | None = None) -> Refusal | None:
    """The first dimension that timm cannot say; None if it can say the network.

    Args:
        spec: the network.
        resolution: side of its images in pixels; by default that which the network is for.
    """
    if efficientformer.is_efficientformer(spec):
        return efficientformer.refusal(spec, default_resolution(spec) if resolution is None else resolution)
    if not isinstance(spec.stem, ConvStem):
        return Refusal("stem.block", f"a stem `{spec.stem.kind}`, which timm's ByobNet does not have", _FAMILY)
    first = spec.stages[0]
    expansion = getattr(first, "expansion", None)
    if expansion == 1 and spec.stem.channels % _DIVISOR:
        return _rounded("stem.channels", spec.stem.channels, "before an inverted residual with expansion 1 ")
    for i, stage in enumerate(spec.stages, start=1):
        if not isinstance(stage, InvertedResidualStage | MobileViTStage | MobileViTV2Stage):
            return Refusal(f"stage{i}.block", f"a stage `{stage.kind}`, which timm's ByobNet does not have", _FAMILY)
        if stage.channels % _DIVISOR:
            return _rounded(f"stage{i}.channels", stage.channels)
    if len(spec.stages) < _MIN_STAGES:
        return Refusal("stages", "1 stage; timm's ByobNet has two at least", "give the network another stage")
    if not isinstance(spec.head, ExpandHead | PoolHead):
        return Refusal("head", f"a head `{spec.head.kind}`, which timm's ByobNet does not have", _FAMILY)
    if spec.norm != LAYER_NORM and spec.transformer_stages:
        return Refusal(
            "norm",
            f"`{spec.norm}`; timm's MobileViT blocks norm their tokens by layer norm or group norm alone",
            f"the nearest network that it has: norm {LAYER_NORM}",
        )
    return None


_FAMILY = "networks of one family throughout, MobileViT or EfficientFormer, can be exported to timm"


def _rounded(dimension: str, channels: int, where: str = "") -> Refusal:
    return Refusal(
        dimension,
        f"`{channels}` channels; {where}timm's ByobNet rounds widths to multiples of {_DIVISOR}",
        f"the nearest network that it has: {dimension} {make_divisible(channels)}",
    )


def stages(spec: ArchSpec) -> list[list[Block]]:
    """The blocks of every stage; of a network that `refusal` lets pass."""
    result = []
    channels = spec.stem.channels
    for stage in spec.stages:
        result.append([*_blocks(stage, channels)])
        channels = stage.channels
    return result


def own_classes(spec: ArchSpec) -> list[str]:
    """Classes of the network that timm does not have, by name."""
    if efficientformer.is_efficientformer(spec):
        return [efficientformer.OTHER_CLASS] if efficientformer.needs_other_class(spec) else []
    used = {block.type for stage in stages(spec) for block in stage}
    return sorted(OWN_BLOCKS[name] for name in used & OWN_BLOCKS.keys())


def num_features(spec: ArchSpec) -> int:
    """Width of the 1x1 convolution in the head; 0 for none."""
    return spec.head.width(spec.stages[-1].channels) if isinstance(spec.head, ExpandHead) else 0


def reductions(spec: ArchSpec) -> tuple[int, ...]:
    """Strides of the feature maps that `features_only` gives.

    The last map before each halving, and the last of all; of an EfficientFormer every stage's.
    """
    if efficientformer.is_efficientformer(spec):
        return efficientformer.reductions(spec)
    strides, now = [], 2
    for stage in spec.stages:
        if (stride := getattr(stage, "stride", 2)) > 1:
            strides.append(now)
        now *= stride
    return (*strides, now)


def _blocks(stage: Stage, in_channels: int) -> Iterator[Block]:
    if isinstance(stage, InvertedResidualStage):
        yield from _residuals(stage.channels, stage.expansion, in_channels, stage.num_blocks, stage.stride)
        return
    assert isinstance(stage, MobileViTStage | MobileViTV2Stage), "`refusal` comes first"
    yield from _residuals(stage.channels, stage.expansion, in_channels, 1, 2)
    options: dict[str, Any] = {
        "transformer_dim": stage.dim,
        "transformer_depth": stage.depth,
        "patch_size": stage.patch,
        "mlp_ratio": _mlp_ratio(stage.dim, stage.ffn_dim, stage.ffn_ratio),
    }
    if isinstance(stage, MobileViTStage):
        options["num_heads"] = stage.heads
        switches = {"fuse_1x1": stage.fuse_1x1, "concat_local": stage.concat_local, "residual": stage.residual}
        kind, own, groups = "mobilevit", "mvsearch_mobilevit3", 1 if stage.dw_local else None
    else:
        switches = {"concat_local": stage.concat_local, "residual": stage.residual}
        kind, own, groups = "mobilevit2", "mvsearch_mobilevit3_on_v2", 1
    if any(switches.values()):
        kind, options = own, options | switches
    yield Block(kind, 1, stage.channels, 1, groups, 1.0, options)


def _residuals(channels: int, expansion: float, in_channels: int, depth: int, stride: int) -> Iterator[Block]:
    """As few `ByoBlockCfg` as can be: the first block expands another width than the others."""
    options = {"bottle_in": True, "linear_out": True}
    if expansion == 1:
        yield Block("mvsearch_residual", depth, channels, stride, 1, 1.0, options)
        return
    first, rest = _bottle_ratio(in_channels, expansion), _bottle_ratio(channels, expansion)
    if depth == 1 or first == rest:
        yield Block("bottle", depth, channels, stride, 1, first, options)
        return
    yield Block("bottle", 1, channels, stride, 1, first, options)
    yield Block("bottle", depth - 1, channels, 1, 1, rest, options)


def _bottle_ratio(in_channels: int, expansion: float) -> float:
    """A ratio that timm's rounding takes to our hidden width: it does not round to whole channels first."""
    hidden = expanded_width(in_channels, expansion)
    return expansion if make_divisible(in_channels * expansion) == hidden else hidden / in_channels


def _mlp_ratio(dim: int, hidden: int, ratio: float) -> float:
    """A ratio that timm's `int(dim * ratio)` takes to the hidden width: it does not round to multiples of 16."""
    if int(dim * ratio) == hidden:
        return ratio
    exact = hidden / dim
    return exact if int(dim * exact) == hidden else math.nextafter(exact, math.inf)
