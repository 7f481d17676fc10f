"""EfficientFormer v1: blocks of pooling on maps, blocks of attention on tokens, and what v2 shares with them.

Sources: arXiv 2206.01191, section 3; snap-research/EfficientFormer. Parameter names are those of timm's `EfficientFormer`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from mvsearch.errors import InputError
from mvsearch.models.layers import ACTIVATIONS, ConvNormAct, FeedForward, Options, fixed_size
from mvsearch.spec.efficientformer import HEADS, KEY_DIM, VALUE_DIM, DoubleConvStem, EfficientFormerStage, TokenHead

LAYER_SCALE = 1e-5
"""Initial value of every layer scale."""


def check_side(x: Tensor, side: int | None) -> Tensor:
    """The map, if it is a square of this side (None: any).

    Raises:
        InputError: it is not: the network is bound to another image.
    """
    if side is not None and (size := (fixed_size(x, 2), fixed_size(x, 3))) != (side, side):
        raise InputError(
            f"a map of {size[0]} x {size[1]} where attention's tables are made for {side} x {side}",
            "an image of the side that the network was made for",
        )
    return x


class LayerScale(nn.Module):
    """A factor per channel of what a block adds to its input.

    Args:
        channels: of the input.
        axes: that follow the channels' axis: 2 for maps, 0 for tokens.
    """

    def __init__(self, channels: int, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels))
        self.shape = (channels,) + (1,) * axes

    def set_initial(self) -> None:
        """Set the factors to their initial value."""
        nn.init.constant_(self.gamma, LAYER_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        return x * self.gamma.view(self.shape)


class OffsetBias(nn.Module):
    """Attention with a learned bias per head and offset of two positions of a square map: |rows|, |columns|.

    The names `attention_biases` and `attention_bias_idxs` are timm's.

    Args:
        side: of the map of the keys.
        step: of the queries' positions on it.
        is_saved: whether the index belongs to the state that is saved (it does in timm's v1, and not in its v2).
    """

    def __init__(self, side: int, step: int = 1, *, is_saved: bool = False) -> None:
        super().__init__()
        self.side, self.step = side, step
        self.attention_biases = nn.Parameter(torch.empty(HEADS, side * side))
        queries = len(range(0, side, step)) ** 2
        index = torch.empty(queries, side * side, dtype=torch.long)
        self.register_buffer("attention_bias_idxs", index, persistent=is_saved)

    def set_initial(self) -> None:
        """No bias, and the index of every pair of positions."""
        nn.init.zeros_(self.attention_biases)
        self.attention_bias_idxs: Tensor
        self.attention_bias_idxs.copy_(offset_index(self.side, self.step))

    def offset_bias(self) -> Tensor:
        """(heads, queries, keys)."""
        return self.attention_biases[:, self.attention_bias_idxs]


def offset_index(side: int, step: int = 1) -> Tensor:
    """(queries, keys): place of every pair's offset in a table of |rows| x |columns|, positions row by row."""
    keys = torch.arange(side, device="cpu")
    distance = (keys[::step, None] - keys).abs()
    pairs = distance[:, None, :, None] * side + distance[None, :, None, :]
    return pairs.reshape(len(keys[::step]) ** 2, side * side)


class TokenAttention(OffsetBias):
    """Attention over tokens; heads, and the widths of keys and values, are the same at every width.

    The two matrix products are written out, as in the attention of MobileViT.
    """

    def __init__(self, dim: int, side: int) -> None:
        super().__init__(side, is_saved=True)
        self.scale = KEY_DIM**-0.5
        self.qkv = nn.Linear(dim, HEADS * (2 * KEY_DIM + VALUE_DIM))
        self.proj = nn.Linear(HEADS * VALUE_DIM, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim), N = side * side."""
        tokens = self.side**2
        qkv = self.qkv(x).reshape(-1, tokens, HEADS, 2 * KEY_DIM + VALUE_DIM).permute(0, 2, 1, 3)
        query, key, value = qkv.split([KEY_DIM, KEY_DIM, VALUE_DIM], dim=3)
        scores = (query @ key.transpose(-2, -1)) * self.scale + self.offset_bias()
        y = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(-1, tokens, HEADS * VALUE_DIM)
        out: Tensor = self.proj(y)
        return out


class TokenBlock(nn.Module):
    """The paper's MB3D: attention, then feed-forward, each after a layer norm, scaled and added to its input."""

    def __init__(self, stage: EfficientFormerStage, options: Options) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(stage.channels)
        self.token_mixer = TokenAttention(stage.channels, stage.side)
        self.ls1 = LayerScale(stage.channels, 0)
        self.norm2 = nn.LayerNorm(stage.channels)
        self.mlp = FeedForward(nn.Linear, stage.channels, stage.ffn_dim, options)
        self.ls2 = LayerScale(stage.channels, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self.ls1(self.token_mixer(self.norm1(x)))
        y: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return y


class Pooling(nn.Module):
    """Mean of the 3x3 neighbours that lie on the map, less the pixel itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        y: Tensor = self.pool(x) - x
        return y


class ConvFeedForward(nn.Module):
    """Two 1x1 convolutions with biases and batch norms, an activation between them."""

    def __init__(self, channels: int, hidden: int, options: Options) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.act = options.act()
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(options.transformer_drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        y: Tensor = self.drop(self.norm2(self.fc2(self.act(self.norm1(self.fc1(x))))))
        return y


class PoolBlock(nn.Module):
    """The paper's MB4D: pooling, then feed-forward, each scaled and added to its input."""

    def __init__(self, stage: EfficientFormerStage, options: Options) -> None:
        super().__init__()
        self.token_mixer = Pooling()
        self.ls1 = LayerScale(stage.channels, 2)
        self.mlp = ConvFeedForward(stage.channels, stage.ffn_dim, options)
        self.ls2 = LayerScale(stage.channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x + self.ls1(self.token_mixer(x))
        y: Tensor = x + self.ls2(self.mlp(x))
        return y


class Flat(nn.Module):
    """A map as tokens, row by row."""

    def __init__(self, side: int | None = None) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H * W, C)."""
        return check_side(x, self.side).flatten(2).transpose(1, 2)


class Downsample(nn.Module):
    """3x3 convolution with stride 2 and bias, batch norm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, 2, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, ceil(H / 2), ceil(W / 2))."""
        y: Tensor = self.norm(self.conv(x))
        return y


def efficientformer_stage(stage: EfficientFormerStage, in_channels: int, options: Options) -> nn.Module:
    """Downsampling, blocks on the map, blocks on tokens."""
    blocks: list[nn.Module] = [PoolBlock(stage, options) for _ in range(stage.depth - stage.attention)]
    if stage.attention:
        blocks += [Flat(stage.side), *(TokenBlock(stage, options) for _ in range(stage.attention))]
    downsample = Downsample(in_channels, stage.channels) if stage.stride == 2 else nn.Identity()
    return nn.Sequential(OrderedDict(downsample=downsample, blocks=nn.Sequential(*blocks)))


def efficientformer_stem(stem: DoubleConvStem, in_channels: int, options: Options) -> nn.Module:
    """Two 3x3 convolutions with stride 2: with the names of timm's v1 where the stem has its own activation, else v2's."""
    half = stem.channels // 2
    if not stem.activation:
        return nn.Sequential(
            OrderedDict(
                conv1=ConvNormAct(in_channels, half, 3, 2, act=options.act(), bias=True),
                conv2=ConvNormAct(half, stem.channels, 3, 2, act=options.act(), bias=True),
            )
        )
    act = ACTIVATIONS[stem.activation]
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, half, 3, 2, 1), norm1=nn.BatchNorm2d(half), act1=act(),
            conv2=nn.Conv2d(half, stem.channels, 3, 2, 1), norm2=nn.BatchNorm2d(stem.channels), act2=act(),
        )
    )  # fmt: skip


class TokenNorm(nn.LayerNorm):
    """Layer norm of tokens, or of a map's pixels as tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) or (B, C, H, W) -> (B, N, C)."""
        return super().forward(x.flatten(2).transpose(1, 2) if x.ndim == 4 else x)


class TokenMean(nn.Module):
    """Mean over the tokens, dropout."""

    def __init__(self, drop_rate: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, C)."""
        y: Tensor = self.drop(x.mean(dim=1))
        return y


class FirstClassifier(nn.Linear):
    """The first of two classifiers on the same features, which it hands on."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(B, C) -> ((B, C), (B, num_classes))."""
        return x, super().forward(x)


class SecondClassifier(nn.Linear):
    """The classifier that learns from a teacher; the logits are the mean of both."""

    def forward(self, both: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        """((B, C), (B, num_classes)) -> (B, num_classes)."""
        x, first = both
        return (first + super().forward(x)) / 2


def classifiers(in_channels: int, options: Options, distilled: bool) -> dict[str, nn.Module]:
    """One linear classifier, or two whose mean counts."""
    if not distilled:
        return {"head": nn.Linear(in_channels, options.num_classes)}
    classes = options.num_classes
    return {"head": FirstClassifier(in_channels, classes), "head_dist": SecondClassifier(in_channels, classes)}


def token_head(head: TokenHead, in_channels: int, options: Options) -> dict[str, nn.Module]:
    """Layer norm, mean over the tokens, classifiers."""
    before: dict[str, nn.Module] = {"norm": TokenNorm(in_channels), "pool": TokenMean(options.drop_rate)}
    return before | classifiers(in_channels, options, head.distilled)
