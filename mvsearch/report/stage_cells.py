"""Stages, stems and heads as cells of a CSV, and back: a table per kind, to which another family adds its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mvsearch.spec.arch import (
    SWITCHES,
    ConvStem,
    ExpandHead,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
    Stem,
    patch_text,
)
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, EfficientFormerV2Stage, NormHead, TokenHead

Get = Callable[[str], str]
"""Column without its stage's number -> the cell."""

KNOBS = (
    ("block", "block of stage {i}: mv2, v1, v2, v3-v1, v3-v2, or v1+/v2+ and the letters of MobileViTv3's changes"),
    ("c", "channels of stage {i}"),
    ("e", "expansion ratio of stage {i}"),
    ("n", "inverted residuals in stage {i}; empty where it has a transformer"),
    ("s", "stride of stage {i}"),
    ("d", "transformer width of stage {i}"),
    ("L", "transformer layers of stage {i}"),
    ("heads", "attention heads of stage {i}; empty for the single context of v2"),
    ("ffn", "feed-forward ratio of stage {i}"),
    ("patch", "patch of stage {i}, height x width in pixels of its map"),
)
"""(column without the stage's number, meaning)."""
EXTRA_KNOBS = (
    ("attn", "blocks of stage {i} that attend, the last ones (EfficientFormer)"),
    ("mode", "how attention of stage {i} works: half (on a map of half the sides), down (downsamples too), plain"),
    ("side", "side of the map that stage {i} attends, for which its tables are made (EfficientFormer)"),
)
"""The same of knobs that are there only where a network has them."""


def _inverted_residual(stage: InvertedResidualStage) -> dict[str, Any]:
    return {"e": f"{stage.expansion:g}", "n": stage.num_blocks, "s": stage.stride}


def _transformer(stage: MobileViTStage | MobileViTV2Stage) -> dict[str, Any]:
    cells = {"e": f"{stage.expansion:g}", "s": 2, "d": stage.dim, "L": stage.depth, "ffn": f"{stage.ffn_ratio:g}"}
    return cells | {"patch": patch_text(stage.patch)} | ({"heads": stage.heads} if isinstance(stage, MobileViTStage) else {})


def _efficientformer(stage: EfficientFormerStage) -> dict[str, Any]:
    cells = {"s": stage.stride, "L": stage.depth, "ffn": f"{stage.ffn_ratio:g}"}
    return cells | {"attn": stage.attention, "side": stage.side}


def _efficientformerv2(stage: EfficientFormerV2Stage) -> dict[str, Any]:
    ratios = " ".join(f"{r:g}" for r in stage.ffn_ratios)
    cells = {"s": stage.stride, "L": stage.depth, "ffn": ratios, "attn": stage.attention, "side": stage.side}
    return {**cells, "mode": stage.mode}


_CELLS: dict[type, Callable[[Any], dict[str, Any]]] = {
    InvertedResidualStage: _inverted_residual,
    MobileViTStage: _transformer,
    MobileViTV2Stage: _transformer,
    EfficientFormerStage: _efficientformer,
    EfficientFormerV2Stage: _efficientformerv2,
}


def stage_cells(stage: Stage) -> dict[str, Any]:
    """A stage by the columns of `KNOBS` and `EXTRA_KNOBS`."""
    return {"block": stage.block, "c": stage.channels, **_CELLS[type(stage)](stage)}


def stage_of(get: Get) -> Stage:
    """The stage that the cells describe."""
    block = get("block")
    return next(read for prefix, read in _READ if block.startswith(prefix))(get)


def _read_inverted_residual(get: Get) -> Stage:
    return InvertedResidualStage(int(get("c")), float(get("e")), int(get("n")), int(get("s")))


def _read_transformer(get: Get) -> Stage:
    height, _, width = get("patch").partition("x")
    channels, dim, depth, expansion = int(get("c")), int(get("d")), int(get("L")), float(get("e"))
    ffn, patch, block = float(get("ffn")), (int(height), int(width)), get("block")
    letters = {"v3-v1": "ABCD", "v3-v2": "CD"}.get(block, block.partition("+")[2])
    switches = {name: letter in letters for letter, name in zip("ABCD", SWITCHES, strict=True)}
    if get("heads"):
        return MobileViTStage(channels, dim, depth, expansion, int(get("heads")), ffn, patch, **switches)
    return MobileViTV2Stage(channels, dim, depth, expansion, ffn, patch, switches["concat_local"], switches["residual"])


def _read_efficientformer(get: Get) -> Stage:
    attention, stride, ffn, side = int(get("attn")), int(get("s")), float(get("ffn")), int(get("side"))
    return EfficientFormerStage(int(get("c")), int(get("L")), attention, stride, ffn, side)


def _read_efficientformerv2(get: Get) -> Stage:
    ratios = tuple(float(r) for r in get("ffn").split())
    mode = get("mode").split()
    return EfficientFormerV2Stage(
        int(get("c")), ratios, int(get("attn")), int(get("s")), 2 if "half" in mode else 1, "down" in mode, int(get("side"))
    )


_READ: tuple[tuple[str, Callable[[Get], Stage]], ...] = (
    ("mv2", _read_inverted_residual),
    ("efv2-", _read_efficientformerv2),
    ("ef-", _read_efficientformer),
    ("v", _read_transformer),
)
"""By how a block's name begins."""


def stem_of(kind: str, channels: int) -> Stem:
    """The stem of this kind, as in the column; empty for one convolution."""
    name, _, activation = kind.partition(" ")
    return DoubleConvStem(channels, activation) if name == DoubleConvStem.kind else ConvStem(channels)


def head_of(label: str) -> Head:
    """The head of this label."""
    kind, *rest = label.split()
    if kind == ExpandHead.kind:
        return ExpandHead(int(rest[0]), int(rest[2]))
    return _HEADS[kind](rest)


_HEADS: dict[str, Callable[[list[str]], Head]] = {
    PoolHead.kind: lambda _: PoolHead(),
    TokenHead.kind: lambda rest: TokenHead("distilled" in rest),
    NormHead.kind: lambda rest: NormHead("distilled" in rest),
}
