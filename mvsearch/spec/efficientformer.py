"""Stems, stages and heads of EfficientFormer and EfficientFormerV2, as plain frozen data.

Attention adds a learned bias per offset between two positions, from a table as large as the map that is attended: an
EfficientFormer is bound to one image size. A stage holds the side of that map, 7 for the published 224 pixels, and its
parameters are counted and built for it; other images are refused, as timm does (`img_size` makes another network there).

Sources: EfficientFormer (arXiv 2206.01191), EfficientFormerV2 (arXiv 2212.08059), the official code
(snap-research/EfficientFormer) and timm, which agree to the digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mvsearch.errors import SpecError
from mvsearch.spec.checks import require, require_int, require_number, require_switch, require_width
from mvsearch.spec.plain import shown

HEADS, KEY_DIM, VALUE_DIM = 8, 32, 128
"""Of every attention: heads, and widths of a head's keys and values, whatever the width of the stage."""
DOWNSAMPLING_KEY_DIM, DOWNSAMPLING_VALUE_DIM = 16, 64
"""The same of attention that halves the map."""
TOTAL_STRIDE = 32
"""Pixels of the image to a side of the last map, which is the one that is attended."""


def _require_even(name: str, value: object) -> None:
    require_width(name, value)
    require(value % 2 == 0, f"`{name}` is `{shown(value)}`", "an even number: the first convolution has half of it")  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class DoubleConvStem:
    """Two 3x3 convolutions with stride 2, each with batch norm and activation: (3, R, R) -> (channels, R/4, R/4).

    Attributes:
        channels: of the second; the first has half of them.
        activation: its own (`relu` in EfficientFormer v1, whatever the network has); empty for the network's.
    """

    channels: int
    activation: str = ""

    kind: ClassVar[str] = "double_conv"
    summary: ClassVar[str] = "2 x conv 3x3"

    def __post_init__(self) -> None:
        _require_even("stem.channels", self.channels)
        require(self.activation in ("", "relu"), f"`stem.activation` is `{shown(self.activation)}`", "`relu`, or empty")

    def computed(self, activation: str) -> dict[str, Any]:
        """What determines its function, in a network with this activation."""
        return {"kind": self.kind, "channels": self.channels, "activation": self.activation or activation}


def _check_stage(stage: EfficientFormerStage | EfficientFormerV2Stage) -> None:
    require_width("channels", stage.channels)
    require_int("attention", stage.attention, 0, stage.depth)
    require_int("stride", stage.stride, 1, 2)
    require_int("side", stage.side, 1, 64)


@dataclass(frozen=True, slots=True)
class EfficientFormerStage:
    """Downsampling by a 3x3 convolution, then blocks of average pooling and an MLP; the last `attention` blocks attend.

    Blocks that attend work on tokens, one per pixel, and so does all that follows: only the last stage can have them.

    Attributes:
        channels: width.
        depth: blocks.
        attention: how many of the last ones attend (the paper's MB3D), 0 for none.
        stride: 2, or 1 for a stage without downsampling, which keeps its input's width.
        ffn_ratio: hidden width of every block's MLP over `channels`.
        side: of the map that is attended.
    """

    channels: int
    depth: int
    attention: int = 0
    stride: int = 2
    ffn_ratio: float = 4
    side: int = 7

    kind: ClassVar[str] = "efficientformer"

    def __post_init__(self) -> None:
        require_int("depth", self.depth, 1, 64)
        _check_stage(self)
        require_number("ffn_ratio", self.ffn_ratio, 0.25, 16)

    @property
    def ffn_dim(self) -> int:
        """Hidden width of the MLPs."""
        return int(self.channels * self.ffn_ratio)

    @property
    def block(self) -> str:
        """`ef-attn` with blocks that attend, else `ef-pool`."""
        return "ef-attn" if self.attention else "ef-pool"

    @property
    def knobs(self) -> dict[str, Any]:
        """Its numbers by the names that search spaces use."""
        own = {"block": self.block, "channels": self.channels, "depth": self.depth, "attention": self.attention}
        return own | {"stride": self.stride, "ffn_ratio": self.ffn_ratio} | ({"side": self.side} if self.attention else {})

    @property
    def bound_side(self) -> int | None:
        """Side that the stage's output map must have; None for any."""
        return self.side if self.attention else None

    def computed(self, in_channels: int) -> dict[str, Any]:
        """What determines its function."""
        own = {
            "kind": self.kind,
            "channels": self.channels,
            "depth": self.depth,
            "stride": self.stride,
            "ffn_dim": self.ffn_dim,
        }
        return own | ({"attention": self.attention, "side": self.side} if self.attention else {})


@dataclass(frozen=True, slots=True)
class EfficientFormerV2Stage:
    """Downsampling, then blocks of a feed-forward network with a depthwise convolution; the last ones attend before it.

    Attributes:
        channels: width.
        ffn_ratios: hidden width over `channels` of every block's feed-forward network, first to last.
        attention: how many of the last blocks attend, 0 for none.
        stride: 2, or 1 for a stage without downsampling, which keeps its input's width.
        attention_stride: 2 where attention halves its map before and doubles it after (stage 3), else 1.
        attention_downsampling: whether attention downsamples beside the convolution (stage 4).
        side: of the map that is attended, after `attention_stride`.
    """

    channels: int
    ffn_ratios: tuple[float, ...]
    attention: int = 0
    stride: int = 2
    attention_stride: int = 1
    attention_downsampling: bool = False
    side: int = 7

    kind: ClassVar[str] = "efficientformerv2"

    def __post_init__(self) -> None:
        ratios = self.ffn_ratios
        require(isinstance(ratios, tuple) and 1 <= len(ratios) <= 64, f"`ffn_ratios` is `{shown(ratios)}`", "1 to 64 numbers")
        for ratio in ratios:
            require_number("ffn_ratios", ratio, 0.25, 16)
        _check_stage(self)
        require_int("attention_stride", self.attention_stride, 1, 2)
        require_switch("attention_downsampling", self.attention_downsampling)
        require(
            self.stride == 2 or not self.attention_downsampling,
            "`attention_downsampling` in a stage of `stride` 1",
            "a stage that downsamples has stride 2",
        )

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(self.ffn_ratios)

    @property
    def mode(self) -> str:
        """How attention works: `half` on a map of half the sides, `down` downsamples too; `plain` for neither."""
        return " ".join(["half"] * (self.attention_stride == 2) + ["down"] * self.attention_downsampling) or "plain"

    @property
    def ffn_dims(self) -> tuple[int, ...]:
        """Hidden widths of the feed-forward networks."""
        return tuple([int(self.channels * r) for r in self.ffn_ratios])

    @property
    def block(self) -> str:
        """`efv2-attn` with blocks that attend, else `efv2-conv`."""
        return "efv2-attn" if self.attention else "efv2-conv"

    @property
    def knobs(self) -> dict[str, Any]:
        """Its numbers by the names that search spaces use."""
        own = {"block": self.block, "channels": self.channels, "depth": self.depth, "attention": self.attention}
        own |= {"stride": self.stride, "mode": self.mode} | {f"ffn{i}": r for i, r in enumerate(self.ffn_ratios, start=1)}
        return own | ({"side": self.side} if self.bound_side else {})

    @property
    def bound_side(self) -> int | None:
        """Side that the stage's output map must have; None for any."""
        return self.side * self.attention_stride if self.attention or self.attention_downsampling else None

    def computed(self, in_channels: int) -> dict[str, Any]:
        """What determines its function."""
        own: dict[str, Any] = {"kind": self.kind, "channels": self.channels, "ffn_dims": self.ffn_dims, "stride": self.stride}
        if self.attention:
            own |= {"attention": self.attention, "attention_stride": self.attention_stride}
        return own | {"downsampling": self.attention_downsampling, "bound": self.bound_side}


@dataclass(frozen=True, slots=True)
class _TeachableHead:
    """A norm, a mean, one classifier or two.

    Attributes:
        distilled: a second classifier, which learns from a teacher; the logits are the mean of both.
    """

    distilled: bool = False

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        require_switch("head.distilled", self.distilled)

    @property
    def label(self) -> str:
        """As it stands in tables."""
        return f"{self.kind} distilled" if self.distilled else self.kind

    def width(self, in_channels: int) -> int:
        """Channels that the classifiers see."""
        return in_channels

    def computed(self, in_channels: int) -> list[Any]:
        """What determines its function."""
        return [self.kind, in_channels, self.distilled]


@dataclass(frozen=True, slots=True)
class TokenHead(_TeachableHead):
    """Layer norm, mean over the tokens, linear (EfficientFormer v1)."""

    kind: ClassVar[str] = "tokens"


@dataclass(frozen=True, slots=True)
class NormHead(_TeachableHead):
    """Batch norm, mean over the map, linear (EfficientFormerV2)."""

    kind: ClassVar[str] = "norm"


def check_joint(stage: EfficientFormerStage | EfficientFormerV2Stage, before: Any, after: Any) -> None:
    """Refuse a stage that cannot stand between these two parts.

    Raises:
        SpecError: a stage without downsampling that would change the width, or tokens where a map is expected.
    """
    if stage.stride == 1 and before.channels != stage.channels:
        raise SpecError(
            f"`channels` is `{stage.channels}` in a stage of stride 1 after `{before.channels}`",
            "a stage without downsampling keeps the width before it",
        )
    if isinstance(stage, EfficientFormerStage) and stage.attention and not isinstance(after, TokenHead):
        raise SpecError(f"a stage with `attention` before `{after.kind}`", f"the last stage, before a head `{TokenHead.kind}`")
