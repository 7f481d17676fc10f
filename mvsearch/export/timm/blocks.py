"""Blocks that timm does not have, in its own terms; the exporter copies those that a network needs into the network's file.

Sources: MobileViTv3 (arXiv 2209.15159) and micronDLA/MobileViTv3; timm's `MobileVitBlock` and `MobileVitV2Block`, whose
names of parameters they keep.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import register_notrace_module
from timm.models.byobnet import BottleneckBlock, LayerFn
from timm.models.mobilevit import MobileVitBlock, MobileVitV2Block
from torch import nn


class PlainResidual(BottleneckBlock):
    """Inverted residual with expansion 1 as CVNets has it: no 1x1 convolution before the depthwise one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1_1x1 = nn.Identity()


@register_notrace_module
class MobileVitV3Block(MobileVitBlock):
    """timm's MobileViT block with MobileViTv3's changes, each on its own; the depthwise local convolution is `gs=1`.

    Args:
        fuse_1x1: fuse by a 1x1 instead of a 3x3 convolution.
        concat_local: fuse with the local features instead of the block's input.
        residual: add the block's input.
    """

    def __init__(
        self,
        in_chs: int,
        out_chs: int,
        *,
        transformer_dim: int,
        layers: LayerFn,
        fuse_1x1: bool,
        concat_local: bool,
        residual: bool,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        dd = {"device": device, "dtype": dtype}
        super().__init__(in_chs, out_chs, transformer_dim=transformer_dim, layers=layers, **dd, **kwargs)
        fused = (transformer_dim if concat_local else in_chs) + out_chs
        self.conv_fusion: Any = layers.conv_norm_act(fused, out_chs, kernel_size=1 if fuse_1x1 else 3, stride=1, **dd)
        self.concat_local = concat_local
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        shortcut = x
        local = self.conv_1x1(self.conv_kxk(x))
        batch, dim, height, width = local.shape
        ph, pw = self.patch_size
        rows, columns = math.ceil(height / ph), math.ceil(width / pw)
        resized = rows * ph != height or columns * pw != width
        x = local
        if resized:
            x = F.interpolate(x, size=(rows * ph, columns * pw), mode="bilinear", align_corners=False)
        # One sequence of patches per pixel of a patch: (B, C, H, W) -> (B * P, N, C).
        x = x.reshape(batch * dim * rows, ph, columns, pw).transpose(1, 2)
        x = x.reshape(batch, dim, rows * columns, ph * pw).transpose(1, 3).reshape(batch * ph * pw, rows * columns, dim)
        x = self.norm(self.transformer(x))
        x = x.reshape(batch, ph * pw, rows * columns, dim).transpose(1, 3).reshape(batch * dim * rows, columns, ph, pw)
        x = x.transpose(1, 2).reshape(batch, dim, rows * ph, columns * pw)
        if resized:
            x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
        x = self.conv_fusion(torch.cat((local if self.concat_local else shortcut, self.conv_proj(x)), dim=1))
        return x + shortcut if self.residual else x


@register_notrace_module
class MobileVitV3OnV2Block(MobileVitV2Block):
    """timm's MobileViTv2 block with MobileViTv3's changes, each on its own.

    Args:
        concat_local: project (global, local) features instead of the global ones alone.
        residual: add the block's input, enlarged if it was.
    """

    def __init__(
        self,
        in_chs: int,
        out_chs: int,
        *,
        transformer_dim: int,
        layers: LayerFn,
        concat_local: bool,
        residual: bool,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        dd = {"device": device, "dtype": dtype}
        super().__init__(in_chs, out_chs, transformer_dim=transformer_dim, layers=layers, **dd, **kwargs)
        projected = 2 * transformer_dim if concat_local else transformer_dim
        self.conv_proj = layers.conv_norm_act(projected, out_chs, kernel_size=1, stride=1, apply_act=False, **dd)
        self.concat_local = concat_local
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H', W') with H', W' rounded up to whole patches."""
        batch, _, height, width = x.shape
        ph, pw = self.patch_size
        rows, columns = math.ceil(height / ph), math.ceil(width / pw)
        if rows * ph != height or columns * pw != width:
            x = F.interpolate(x, size=(rows * ph, columns * pw), mode="bilinear", align_corners=True)
        shortcut = x
        local = self.conv_1x1(self.conv_kxk(x))
        dim = local.shape[1]
        x = local.reshape(batch, dim, rows, ph, columns, pw).permute(0, 1, 3, 5, 2, 4)
        x = self.norm(self.transformer(x.reshape(batch, dim, ph * pw, rows * columns)))
        x = x.reshape(batch, dim, ph, pw, rows, columns).permute(0, 1, 4, 2, 5, 3)
        x = x.reshape(batch, dim, rows * ph, columns * pw)
        x = self.conv_proj(torch.cat((x, local), dim=1) if self.concat_local else x)
        return x + shortcut if self.residual else x
