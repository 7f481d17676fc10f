"""The published EfficientFormers as data, for images of any side that is a multiple of 32.

Sources: EfficientFormer, arXiv 2206.01191, section A; EfficientFormerV2, arXiv 2212.08059, section A;
snap-research/EfficientFormer and timm.
"""

from __future__ import annotations

from dataclasses import dataclass

from mvsearch.errors import InputError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import (
    TOTAL_STRIDE,
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
)

RESOLUTION = 224
ATTENTION_STRIDES = (1, 1, 2, 1)
"""What attention halves its map by in each stage of v2."""


@dataclass(frozen=True, slots=True)
class _Size:
    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    attention: int


_V1 = {
    "l1": _Size((48, 96, 224, 448), (3, 2, 6, 4), 1),
    "l3": _Size((64, 128, 320, 512), (4, 4, 12, 6), 4),
    "l7": _Size((96, 192, 384, 768), (6, 6, 18, 8), 8),
}
_V2 = {
    "s0": _Size((32, 48, 96, 176), (2, 2, 6, 4), 2),
    "s1": _Size((32, 48, 120, 224), (3, 3, 9, 6), 2),
    "s2": _Size((32, 64, 144, 288), (4, 4, 12, 8), 4),
    "l": _Size((40, 80, 192, 384), (5, 5, 15, 10), 6),
}
_NARROW = {"s0": ((1, 3), (1, 2)), "s1": ((2, 4), (2, 2)), "s2": ((2, 6), (2, 4)), "l": ((4, 7), (3, 4))}
"""In stages 3 and 4 of v2: blocks before those with FFN ratio 3, and how many these are; all others have 4."""


def side_of(resolution: int) -> int:
    """Side of the map that is attended, for images of this side.

    Raises:
        InputError: the side is no multiple of 32.
    """
    if resolution % TOTAL_STRIDE or not 32 <= resolution <= 2048:
        raise InputError(
            f"resolution `{resolution}` for an EfficientFormer", f"a multiple of {TOTAL_STRIDE} pixels, e.g. `224`"
        )
    return resolution // TOTAL_STRIDE


def efficientformer(size: str, resolution: int = RESOLUTION, distilled: bool = False) -> ArchSpec:
    """EfficientFormer `l1`, `l3` or `l7`.

    Args:
        size: which.
        resolution: side of its images in pixels, on which its attention's tables depend.
        distilled: with the second classifier that learns from a teacher.
    """
    own, side = _V1[size], side_of(resolution)
    stages = tuple(
        EfficientFormerStage(c, depth, own.attention if i == 3 else 0, 2 if i else 1, side=side)
        for i, (c, depth) in enumerate(zip(own.channels, own.depths, strict=True))
    )
    return ArchSpec(DoubleConvStem(own.channels[0], "relu"), stages, TokenHead(distilled), activation="gelu")


def efficientformerv2(size: str, resolution: int = RESOLUTION, distilled: bool = False) -> ArchSpec:
    """EfficientFormerV2 `s0`, `s1`, `s2` or `l`; arguments as `efficientformer`."""
    own, side = _V2[size], side_of(resolution)
    stages = []
    for i, (channels, depth) in enumerate(zip(own.channels, own.depths, strict=True)):
        before, narrow = _NARROW[size][i - 2] if i >= 2 else (depth, 0)
        ratios = (4.0,) * before + (3.0,) * narrow + (4.0,) * (depth - before - narrow)
        stages.append(v2_stage(i, channels, ratios, own.attention if i >= 2 else 0, side))
    return ArchSpec(DoubleConvStem(own.channels[0]), tuple(stages), NormHead(distilled), activation="gelu")


def v2_stage(index: int, channels: int, ffn_ratios: tuple[float, ...], attention: int, side: int) -> EfficientFormerV2Stage:
    """Stage `index` (from 0) as v2 has it: attention downsamples before the last one."""
    return EfficientFormerV2Stage(
        channels, ffn_ratios, attention, 2 if index else 1, ATTENTION_STRIDES[index], index == 3, side
    )


def efficientformers() -> dict[str, ArchSpec]:
    """EfficientFormer v1 by name."""
    return {f"efficientformer_{size}": efficientformer(size) for size in _V1}


def efficientformersv2() -> dict[str, ArchSpec]:
    """EfficientFormerV2 by name."""
    return {f"efficientformerv2_{size}": efficientformerv2(size) for size in _V2}


def with_suffix(name: str, key: str, value: str) -> ArchSpec | None:
    """The published network of this name with `@resolution=256` or `@head=distilled`; None for any other suffix."""
    family, _, size = name.partition("_")
    make = efficientformer if family == "efficientformer" else efficientformerv2
    if key == "head" and value in ("single", "distilled"):
        return make(size, distilled=value == "distilled")
    if key == "resolution" and value.isascii() and value.isdigit() and len(value) <= 4:
        return make(size, int(value))
    return None
