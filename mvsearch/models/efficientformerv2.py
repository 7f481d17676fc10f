"""EfficientFormerV2: feed-forward blocks with a depthwise convolution, attention on maps, attention that downsamples.

Sources: arXiv 2212.08059, section 3; snap-research/EfficientFormer. Parameter names are those of timm's `EfficientFormerV2`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from mvsearch.models.efficientformer import LayerScale, OffsetBias, check_side, classifiers
from mvsearch.models.layers import ConvNormAct, Options
from mvsearch.spec.efficientformer import (
    DOWNSAMPLING_KEY_DIM,
    DOWNSAMPLING_VALUE_DIM,
    HEADS,
    KEY_DIM,
    VALUE_DIM,
    EfficientFormerV2Stage,
    NormHead,
)


def _conv_norm(in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> ConvNormAct:
    return ConvNormAct(in_channels, channels, kernel, stride, groups, bias=True)


class MapAttention(OffsetBias):
    """Attention between the pixels of a map, with talking heads and a depthwise convolution of the values beside it.

    With `stride` 2 it works on a map of half the sides and enlarges the result.
    """

    def __init__(self, channels: int, side: int, stride: int, options: Options) -> None:
        super().__init__(side)
        keys, values = HEADS * KEY_DIM, HEADS * VALUE_DIM
        self.scale = KEY_DIM**-0.5
        self.stride_conv = _conv_norm(channels, channels, 3, stride, channels) if stride > 1 else nn.Identity()
        self.stride = stride
        self.q = _conv_norm(channels, keys)
        self.k = _conv_norm(channels, keys)
        self.v = _conv_norm(channels, values)
        self.v_local = _conv_norm(values, values, 3, groups=values)
        self.talking_head1 = nn.Conv2d(HEADS, HEADS, 1)
        self.talking_head2 = nn.Conv2d(HEADS, HEADS, 1)
        self.act = options.act()
        self.proj = _conv_norm(values, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), H = W = side * stride."""
        x, pixels = self.stride_conv(x), self.side**2
        query = self.q(x).reshape(-1, HEADS, KEY_DIM, pixels).transpose(2, 3)
        key = self.k(x).reshape(-1, HEADS, KEY_DIM, pixels)
        values = self.v(x)
        local = self.v_local(values)
        value = values.reshape(-1, HEADS, VALUE_DIM, pixels).transpose(2, 3)
        scores = self.talking_head1((query @ key) * self.scale + self.offset_bias())
        y = self.talking_head2(scores.softmax(dim=-1)) @ value
        y = y.transpose(2, 3).reshape(-1, HEADS * VALUE_DIM, self.side, self.side) + local
        if self.stride > 1:
            y = functional.interpolate(y, scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        out: Tensor = self.proj(self.act(y))
        return out


class SubsampledQuery(nn.Module):
    """Queries of every second pixel: the pixel itself and a depthwise convolution, then a 1x1 convolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(1, 2, 0)
        self.local = nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels)
        self.proj = _conv_norm(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, ceil(H / 2), ceil(W / 2))."""
        y: Tensor = self.proj(self.local(x) + self.pool(x))
        return y


class DownsamplingAttention(OffsetBias):
    """Attention of every second pixel to all of them.

    Args:
        in_channels, channels: before and after.
        side: of the output.
        options: activation.
    """

    def __init__(self, in_channels: int, channels: int, side: int, options: Options) -> None:
        super().__init__(2 * side, 2)
        keys, values = HEADS * DOWNSAMPLING_KEY_DIM, HEADS * DOWNSAMPLING_VALUE_DIM
        self.scale = DOWNSAMPLING_KEY_DIM**-0.5
        self.q = SubsampledQuery(in_channels, keys)
        self.k = _conv_norm(in_channels, keys)
        self.v = _conv_norm(in_channels, values)
        self.v_local = _conv_norm(values, values, 3, 2, values)
        self.act = options.act()
        self.proj = _conv_norm(values, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 2 * side, 2 * side) -> (B, channels, side, side)."""
        pixels, half = self.side**2, self.side // 2
        query = self.q(x).reshape(-1, HEADS, DOWNSAMPLING_KEY_DIM, half**2).transpose(2, 3)
        key = self.k(x).reshape(-1, HEADS, DOWNSAMPLING_KEY_DIM, pixels)
        values = self.v(x)
        local = self.v_local(values)
        value = values.reshape(-1, HEADS, DOWNSAMPLING_VALUE_DIM, pixels).transpose(2, 3)
        y = ((query @ key) * self.scale + self.offset_bias()).softmax(dim=-1) @ value
        y = y.transpose(2, 3).reshape(-1, HEADS * DOWNSAMPLING_VALUE_DIM, half, half) + local
        out: Tensor = self.proj(self.act(y))
        return out


class Downsample(nn.Module):
    """3x3 convolution with stride 2 and batch norm; with attention, its sum with that."""

    def __init__(self, stage: EfficientFormerV2Stage, in_channels: int, options: Options) -> None:
        super().__init__()
        self.conv = _conv_norm(in_channels, stage.channels, 3, 2)
        self.bound_side = stage.bound_side
        if stage.attention_downsampling:
            side = stage.side * stage.attention_stride
            self.attn: nn.Module | None = DownsamplingAttention(in_channels, stage.channels, side, options)
        else:
            self.attn = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, ceil(H / 2), ceil(W / 2))."""
        y: Tensor = self.conv(x)
        if self.attn is None:
            return check_side(y, self.bound_side)
        attended: Tensor = self.attn(check_side(x, 2 * (self.bound_side or 0)))
        return attended + y


class DepthwiseFeedForward(nn.Module):
    """1x1, 3x3 depthwise and 1x1 convolution, each with bias and batch norm; activations after the first two."""

    def __init__(self, channels: int, hidden: int, options: Options) -> None:
        super().__init__()
        self.fc1 = ConvNormAct(channels, hidden, act=options.act(), bias=True)
        self.mid = ConvNormAct(hidden, hidden, 3, groups=hidden, act=options.act(), bias=True)
        self.fc2 = _conv_norm(hidden, channels)
        self.drop = nn.Dropout(options.transformer_drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        y: Tensor = self.drop(self.fc2(self.mid(self.fc1(x))))
        return y


class V2Block(nn.Module):
    """Attention if the block attends, then feed-forward, each scaled and added to its input."""

    def __init__(self, stage: EfficientFormerV2Stage, hidden: int, attends: bool, options: Options) -> None:
        super().__init__()
        self.attends = attends
        if attends:
            self.token_mixer = MapAttention(stage.channels, stage.side, stage.attention_stride, options)
            self.ls1 = LayerScale(stage.channels, 2)
        self.mlp = DepthwiseFeedForward(stage.channels, hidden, options)
        self.ls2 = LayerScale(stage.channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if self.attends:
            x = x + self.ls1(self.token_mixer(x))
        y: Tensor = x + self.ls2(self.mlp(x))
        return y


class _Checked(nn.Identity):
    """No downsampling: the input, if the blocks can attend to it."""

    def __init__(self, side: int | None) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return check_side(x, self.side)


def efficientformerv2_stage(stage: EfficientFormerV2Stage, in_channels: int, options: Options) -> nn.Module:
    """Downsampling, then the blocks."""
    first = stage.depth - stage.attention
    blocks = [V2Block(stage, hidden, i >= first, options) for i, hidden in enumerate(stage.ffn_dims)]
    downsample = Downsample(stage, in_channels, options) if stage.stride == 2 else _Checked(stage.bound_side)
    return nn.Sequential(OrderedDict(downsample=downsample, blocks=nn.Sequential(*blocks)))


class MapMean(nn.Module):
    """Mean over the map, dropout."""

    def __init__(self, drop_rate: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C)."""
        y: Tensor = self.drop(x.mean(dim=(2, 3)))
        return y


def norm_head(head: NormHead, in_channels: int, options: Options) -> dict[str, nn.Module]:
    """Batch norm, mean over the map, classifiers."""
    before: dict[str, nn.Module] = {"norm": nn.BatchNorm2d(in_channels), "pool": MapMean(options.drop_rate)}
    return before | classifiers(in_channels, options, head.distilled)
