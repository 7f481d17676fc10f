"""An EfficientFormer as arguments of timm's `EfficientFormer` or `EfficientFormerV2`, and what these cannot say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from mvsearch.export.exporter import Refusal
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import (
    TOTAL_STRIDE,
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
)

OTHER_CLASS = "OtherEfficientFormer"
"""In `networks.py`: v1 with a single classifier, or for other images than timm has it for."""
_TIMMS_SIDE = 7
_STEM_STRIDE = 4
_FIRST_TO_ATTEND, _HALVED, _FIRST_ATTENTION_DOWNSAMPLING = 2, 2, 3
"""Stages from 0, of timm's v2: from which on blocks attend, in which attention halves its map, and from which on it
downsamples."""


@dataclass(frozen=True, slots=True)
class _Version:
    title: str
    stage: type
    head: type
    stem_activation: str


_V1 = _Version("EfficientFormer", EfficientFormerStage, TokenHead, "relu")
_V2 = _Version("EfficientFormerV2", EfficientFormerV2Stage, NormHead, "")


def is_efficientformer(spec: ArchSpec) -> bool:
    """Whether it is of this family, by its first stage."""
    return isinstance(spec.stages[0], EfficientFormerStage | EfficientFormerV2Stage)


def is_v2(spec: ArchSpec) -> bool:
    """Of a network of this family, its version."""
    return isinstance(spec.stages[0], EfficientFormerV2Stage)


def refusal(spec: ArchSpec, resolution: int) -> Refusal | None:
    """The first dimension that timm's class cannot say; None if it can say the network.

    Args:
        spec: of this family.
        resolution: side of its images in pixels.
    """
    version = _V2 if is_v2(spec) else _V1
    stem = spec.stem
    if not isinstance(stem, DoubleConvStem):
        return Refusal("stem.block", f"a stem `{stem.kind}`, which timm's {version.title} does not have", _STEM_HINT)
    if stem.activation != version.stem_activation:
        own = "`relu` in its stem" if version.stem_activation else "the network's activation in its stem"
        message = f"`{stem.activation or spec.activation}`; timm's {version.title} has {own}"
        return Refusal("stem.activation", message, _nearest("stem.activation", version.stem_activation or spec.activation))
    for i, stage in enumerate(spec.stages, start=1):
        if not isinstance(stage, version.stage):
            return Refusal(
                f"stage{i}.block",
                f"a stage `{stage.kind}`, which timm's {version.title} does not have",
                "one version throughout",
            )
    if not isinstance(spec.head, version.head):
        hint = _nearest("head", version.head.kind)  # type: ignore[attr-defined]
        return Refusal("head", f"a head `{spec.head.kind}`, which timm's {version.title} does not have", hint)
    if resolution % TOTAL_STRIDE:
        near = max(1, round(resolution / TOTAL_STRIDE)) * TOTAL_STRIDE
        message = f"images of `{resolution}` pixels; timm's feature maps are those of multiples of {TOTAL_STRIDE}"
        return Refusal("resolution", message, _nearest("resolution", near))
    if version is _V1:
        return _refusal_of_v1([s for s in spec.stages if isinstance(s, EfficientFormerStage)])
    return _refusal_of_v2([s for s in spec.stages if isinstance(s, EfficientFormerV2Stage)], resolution)


_STEM_HINT = "EfficientFormers of two convolutions before their stages can be exported to timm"


def _nearest(dimension: str, value: Any) -> str:
    return f"the nearest network that it has: {dimension} {value}"


def _refusal_of_v1(stages: Sequence[EfficientFormerStage]) -> Refusal | None:
    ratio = _one_ratio(stages)
    for i, stage in enumerate(stages, start=1):
        if stage.stride != (stride := 1 if i == 1 else 2):
            message = f"`{stage.stride}`; timm's EfficientFormer says of its maps that every stage but the first halves them"
            return Refusal(f"stage{i}.stride", message, _nearest(f"stage{i}.stride", stride))
        if stage.ffn_dim != int(stage.channels * ratio):
            message = f"`{stage.ffn_ratio:g}`; timm's EfficientFormer has one ratio for all stages"
            return Refusal(f"stage{i}.ffn_ratio", message, _nearest(f"stage{i}.ffn_ratio", f"{ratio:g}"))
    if not stages[-1].attention:
        name = f"stage{len(stages)}.attention"
        return Refusal(name, "`0`; timm's EfficientFormer has a head for tokens, which attention makes", _nearest(name, 1))
    return None


def _one_ratio(stages: Sequence[EfficientFormerStage]) -> float:
    """The stage's ratio that gives most stages their hidden width."""
    return max([stage.ffn_ratio for stage in stages], key=lambda r: sum(s.ffn_dim == int(s.channels * r) for s in stages))


def _refusal_of_v2(stages: Sequence[EfficientFormerV2Stage], resolution: int) -> Refusal | None:
    attending, stride = _one_attention(stages), _STEM_STRIDE
    for i, stage in enumerate(stages):
        name = f"stage{i + 1}"
        attention = min(attending, stage.depth) if i >= _FIRST_TO_ATTEND else 0
        if stage.attention != attention:
            what = "attends in as many of the last blocks of every stage from the third on, and in no other"
            message = f"`{stage.attention}`; timm's EfficientFormerV2 {what}"
            return Refusal(f"{name}.attention", message, _nearest(f"{name}.attention", attention))
        if stage.attention and stage.attention_stride != (halves := 2 if i == _HALVED else 1):
            message = f"`{stage.attention_stride}`; timm's EfficientFormerV2 halves attention's map in the third stage alone"
            return Refusal(f"{name}.attention_stride", message, _nearest(f"{name}.attention_stride", halves))
        downsampling = i >= _FIRST_ATTENTION_DOWNSAMPLING and stage.stride == 2
        if stage.attention_downsampling != downsampling:
            message = (
                f"`{stage.attention_downsampling}`; timm's EfficientFormerV2 downsamples by attention from the fourth stage on"
            )
            return Refusal(f"{name}.attention_downsampling", message, _nearest(f"{name}.attention_downsampling", downsampling))
        stride *= stage.stride
        side = math.ceil(resolution / stride)
        if stage.bound_side not in (None, side):
            fits = math.ceil(side / stage.attention_stride)
            message = f"`{stage.side}`; timm's EfficientFormerV2 makes attention's tables for images of {resolution} pixels"
            return Refusal(f"{name}.side", message, _nearest(f"{name}.side", fits))
    return None


def _one_attention(stages: Sequence[EfficientFormerV2Stage]) -> int:
    """How many last blocks of every stage attend, as most stages that may have it."""
    own = stages[_FIRST_TO_ATTEND:]
    return max([s.attention for s in own], key=lambda n: sum(s.attention == min(n, s.depth) for s in own), default=0)


def reductions(spec: ArchSpec) -> tuple[int, ...]:
    """Strides of the feature maps that `features_only` gives: one per stage."""
    strides = accumulate((getattr(stage, "stride", 1) for stage in spec.stages), mul, initial=_STEM_STRIDE)
    return tuple(strides)[1:]


def needs_other_class(spec: ArchSpec) -> bool:
    """Whether timm's own class cannot say a network of v1 that `refusal` lets pass."""
    last, head = spec.stages[-1], spec.head
    return isinstance(head, TokenHead) and not (head.distilled and getattr(last, "side", _TIMMS_SIDE) == _TIMMS_SIDE)


def arguments(spec: ArchSpec) -> dict[str, Any]:
    """Arguments of timm's class, but for the size of images, which its configuration has, and the activation."""
    stages, head = spec.stages, spec.head
    assert isinstance(head, TokenHead | NormHead), "`refusal` comes first"
    values: dict[str, Any] = {
        "depths": tuple([stage.depth for stage in stages]),  # type: ignore[union-attr]
        "embed_dims": tuple([stage.channels for stage in stages]),
    }
    if is_v2(spec):
        second = [stage for stage in stages if isinstance(stage, EfficientFormerV2Stage)]
        downsamples = tuple([stage.stride == 2 for stage in second])
        usual = downsamples == (False, *[True] * (len(stages) - 1))
        values |= {} if usual else {"downsamples": downsamples}
        values |= {"num_vit": _one_attention(second), "mlp_ratios": tuple([stage.ffn_ratios for stage in second])}
        return values | {"distillation": head.distilled}
    first = [stage for stage in stages if isinstance(stage, EfficientFormerStage)]
    values |= {"num_vit": first[-1].attention, "mlp_ratios": _one_ratio(first)}
    return values | ({"distillation": head.distilled} if needs_other_class(spec) else {})
