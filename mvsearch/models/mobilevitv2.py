"""MobileViTv2 blocks with separable attention: v2, v3 on v2, and everything between.

Sources: arXiv 2206.02680, section 3; arXiv 2209.15159, section 3; apple/ml-cvnets and
micronDLA/MobileViTv3. Parameter names are those of timm's `ByobNet`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mvsearch.models.inverted_residual import InvertedResidual
from mvsearch.models.layers import ConvNormAct, FeedForward, Options, fixed_size, tiled_size
from mvsearch.spec.arch import MobileViTV2Stage

_POINTWISE = partial(nn.Conv2d, kernel_size=1)


class SeparableAttention(nn.Module):
    """Self-attention through one context vector per pixel position: linear in the number of patches.

    Source: arXiv 2206.02680, section 3.2.
    """

    def __init__(self, dim: int, drop_rate: float) -> None:
        super().__init__()
        self.dim = dim
        self.qkv_proj = _POINTWISE(dim, 1 + 2 * dim)
        self.out_proj = _POINTWISE(dim, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, P, N) -> (B, dim, P, N): P pixel positions, N patches; the softmax runs over patches."""
        query, key, value = self.qkv_proj(x).split([1, self.dim, self.dim], dim=1)
        context = (key * query.softmax(dim=-1)).sum(dim=-1, keepdim=True)
        y: Tensor = self.drop(self.out_proj(functional.relu(value) * context.expand_as(value)))
        return y


class SeparableTransformerLayer(nn.Module):
    """Attention, then feed-forward, each after a norm over the whole map and added to its input."""

    def __init__(self, stage: MobileViTV2Stage, options: Options) -> None:
        super().__init__()
        self.norm1 = options.map_norm(stage.dim)
        self.attn = SeparableAttention(stage.dim, options.transformer_drop_rate)
        self.norm2 = options.map_norm(stage.dim)
        self.mlp = FeedForward(_POINTWISE, stage.dim, stage.ffn_dim, options)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, P, N) -> (B, dim, P, N)."""
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


def unfold(x: Tensor, patch: tuple[int, int]) -> Tensor:
    """(B, d, H, W) -> (B, d, P, N): P pixels per patch and N patches, each row by row."""
    (ph, pw), dim = patch, fixed_size(x, 1)
    rows, columns = fixed_size(x, 2) // ph, fixed_size(x, 3) // pw
    # Batch and channels share an axis: Core ML knows five.
    x = x.reshape(-1, rows, ph, columns, pw).permute(0, 2, 4, 1, 3)
    return x.reshape(-1, dim, ph * pw, rows * columns)


def fold(x: Tensor, patch: tuple[int, int], height: int, width: int) -> Tensor:
    """The way back from `unfold`: (B, d, P, N) -> (B, d, height, width)."""
    (ph, pw), dim = patch, fixed_size(x, 1)
    x = x.reshape(-1, ph, pw, height // ph, width // pw).permute(0, 3, 1, 4, 2)
    return x.reshape(-1, dim, height, width)


class MobileViTV2Block(nn.Module):
    """Local convolutions, a transformer with separable attention, projection.

    Where patches do not divide the map, the block's input is enlarged first and stays so: the
    output has the larger size. With `concat_local` the projection sees (global, local), the other
    order than in v3 on v1.
    """

    def __init__(self, stage: MobileViTV2Stage, options: Options) -> None:
        super().__init__()
        channels, dim = stage.channels, stage.dim
        self.patch = stage.patch
        self.concat_local = stage.concat_local
        self.residual = stage.residual
        self.conv_kxk = ConvNormAct(channels, channels, 3, groups=channels, act=options.act())
        self.conv_1x1 = nn.Conv2d(channels, dim, 1, bias=False)
        self.transformer = nn.Sequential(*(SeparableTransformerLayer(stage, options) for _ in range(stage.depth)))
        self.norm = options.map_norm(dim)
        self.conv_proj = ConvNormAct(2 * dim if stage.concat_local else dim, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W') with H', W' rounded up to whole patches."""
        size = fixed_size(x, 2), fixed_size(x, 3)
        tiled = tiled_size(*size, self.patch)
        if tiled != size:
            x = functional.interpolate(x, tiled, mode="bilinear", align_corners=True)
        local = self.conv_1x1(self.conv_kxk(x))
        y: Tensor = self.norm(self.transformer(unfold(local, self.patch)))
        y = fold(y, self.patch, *tiled)
        y = self.conv_proj(torch.cat((y, local), dim=1) if self.concat_local else y)
        return y + x if self.residual else y


def mobilevitv2_stage(stage: MobileViTV2Stage, in_channels: int, options: Options) -> nn.Module:
    """An inverted residual with stride 2, then the block."""
    return nn.Sequential(
        InvertedResidual(in_channels, stage.channels, stage.expansion, 2, options),
        MobileViTV2Block(stage, options),
    )
