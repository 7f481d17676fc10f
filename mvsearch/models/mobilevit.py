"""MobileViT blocks with softmax attention: v1, v3 on v1, and everything between.

Sources: arXiv 2110.02178, section 3.1; arXiv 2209.15159, section 3; apple/ml-cvnets and
micronDLA/MobileViTv3. Parameter names are those of timm's `ByobNet`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mvsearch.models.inverted_residual import InvertedResidual
from mvsearch.models.layers import ConvNormAct, FeedForward, Options, fixed_size, tiled_size
from mvsearch.spec.arch import MobileViTStage


class SoftmaxAttention(nn.Module):
    """Multi-head self-attention over tokens.

    The two matrix products are written out: counters of operations miss the fused kernel, and
    Core ML's converter would take it apart into just these steps.
    """

    def __init__(self, dim: int, heads: int, drop_rate: float) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = dim // heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim); every token attends to the N tokens of its row of the batch."""
        tokens = fixed_size(x, 1)
        qkv = self.qkv(x).reshape(-1, tokens, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        scores = (query * self.scale) @ key.transpose(-2, -1)
        y = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(-1, tokens, self.heads * self.head_dim)
        out: Tensor = self.drop(self.proj(y))
        return out


class TransformerLayer(nn.Module):
    """Attention, then feed-forward, each after a norm of the tokens and added to its input."""

    def __init__(self, stage: MobileViTStage, options: Options) -> None:
        super().__init__()
        self.norm1 = options.token_norm(stage.dim)
        self.attn = SoftmaxAttention(stage.dim, stage.heads, options.transformer_drop_rate)
        self.norm2 = options.token_norm(stage.dim)
        self.mlp = FeedForward(nn.Linear, stage.dim, stage.ffn_dim, options)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


def unfold(x: Tensor, patch: tuple[int, int]) -> Tensor:
    """Turn a map into one token sequence per pixel position within the patch.

    Args:
        x: (B, d, H, W); H and W are multiples of the patch's sides.
        patch: (height, width) in pixels of this map.

    Returns:
        (B * P, N, d) with P pixels per patch, row by row, and N patches, row by row.
    """
    (ph, pw), dim = patch, fixed_size(x, 1)
    rows, columns = fixed_size(x, 2) // ph, fixed_size(x, 3) // pw
    x = x.reshape(-1, ph, columns, pw).transpose(1, 2)
    x = x.reshape(-1, dim, rows * columns, ph * pw).transpose(1, 3)
    return x.reshape(-1, rows * columns, dim)


def fold(x: Tensor, patch: tuple[int, int], height: int, width: int) -> Tensor:
    """The way back from `unfold`: (B * P, N, d) -> (B, d, height, width)."""
    (ph, pw), dim = patch, fixed_size(x, 2)
    rows, columns = height // ph, width // pw
    x = x.reshape(-1, ph * pw, rows * columns, dim).transpose(1, 3)
    return x.reshape(-1, columns, ph, pw).transpose(1, 2).reshape(-1, dim, height, width)


class MobileViTBlock(nn.Module):
    """Local convolutions, a transformer across patches, fusion with what came before.

    The stage's four switches are the changes of MobileViTv3, each on its own. With `concat_local`
    the order of the fusion is (local, projected), without it (input, projected).
    """

    def __init__(self, stage: MobileViTStage, options: Options) -> None:
        super().__init__()
        channels, dim = stage.channels, stage.dim
        self.patch = stage.patch
        self.concat_local = stage.concat_local
        self.residual = stage.residual
        groups = channels if stage.dw_local else 1
        self.conv_kxk = ConvNormAct(channels, channels, 3, groups=groups, act=options.act())
        self.conv_1x1 = nn.Conv2d(channels, dim, 1, bias=False)
        self.transformer = nn.Sequential(*(TransformerLayer(stage, options) for _ in range(stage.depth)))
        self.norm = options.token_norm(dim)
        self.conv_proj = ConvNormAct(dim, channels, act=options.act())
        fused = channels + (dim if stage.concat_local else channels)
        self.conv_fusion = ConvNormAct(fused, channels, 1 if stage.fuse_1x1 else 3, act=options.act())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        local = self.conv_1x1(self.conv_kxk(x))
        y: Tensor = self.conv_proj(self._attend(local))
        y = self.conv_fusion(torch.cat((local if self.concat_local else x, y), dim=1))
        return y + x if self.residual else y

    def _attend(self, local: Tensor) -> Tensor:
        """Where patches do not divide the map it is enlarged for the transformer, and brought back after it."""
        size = fixed_size(local, 2), fixed_size(local, 3)
        tiled = tiled_size(*size, self.patch)
        y = local if tiled == size else functional.interpolate(local, tiled, mode="bilinear", align_corners=False)
        y = self.norm(self.transformer(unfold(y, self.patch)))
        y = fold(y, self.patch, *tiled)
        return y if tiled == size else functional.interpolate(y, size, mode="bilinear", align_corners=False)


def mobilevit_stage(stage: MobileViTStage, in_channels: int, options: Options) -> nn.Module:
    """An inverted residual with stride 2, then the block."""
    return nn.Sequential(
        InvertedResidual(in_channels, stage.channels, stage.expansion, 2, options),
        MobileViTBlock(stage, options),
    )
