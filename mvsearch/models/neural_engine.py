"""The same networks as programs for Apple's Neural Engine.

After Apple's guidance for transformers there (machinelearning.apple.com/research/neural-engine-transformers, June 2022,
and its code, apple/ml-ane-transformers): maps of rank 4 with the channels first throughout, 1x1 convolutions for linear
layers, attention head by head with one transpose for the keys of all heads, no reshape of rank 5.

A block's map (B, d, H, W) is unfolded to (B, d, P, N), P pixels of a patch and N patches, and stays in that form: a
`pixel_unshuffle` and a reshape. Apple's form is (B, d, 1, S); the products over patches take P as one more axis to batch.
Scale and shift of every norm go into the convolution after it, and softmax attention's scale into the queries', so that a
norm over channels (softmax attention) or over the whole map (separable attention) is one operation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mvsearch.models.folding import scale_and_shift
from mvsearch.models.layers import ConvNormAct, FeedForward, fixed_size, tiled_size
from mvsearch.models.mobilevit import MobileViTBlock, SoftmaxAttention, TransformerLayer
from mvsearch.models.mobilevitv2 import MobileViTV2Block, SeparableAttention, SeparableTransformerLayer


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a map, without scale and shift.

    Written in the steps that coremltools knows as Apple's own and makes one `layer_norm` of.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, P, N) -> (B, d, P, N)."""
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return centred * (variance + self.eps).rsqrt()


class MapNorm(nn.Module):
    """Group norm of one group, without scale and shift: layer norm over all of the map."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, P, N) -> (B, d, P, N)."""
        return functional.layer_norm(x, [fixed_size(x, axis) for axis in (1, 2, 3)], eps=self.eps)


class HeadwiseAttention(nn.Module):
    """Softmax attention across the N patches of each pixel position, one product after the other for every head."""

    def __init__(self, attention: SoftmaxAttention, norm: nn.Module) -> None:
        super().__init__()
        self.head_dim = attention.head_dim
        weights, biases = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
        self.query, self.key, self.value = (pointwise(w, b, norm) for w, b in zip(weights, biases, strict=True))
        with torch.no_grad():
            for parameter in self.query.parameters():
                parameter.mul_(attention.scale)
        self.proj = _pointwise(attention.proj)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, P, N) -> (B, d, P, N)."""
        queries = self.query(x).split(self.head_dim, dim=1)
        keys = self.key(x).transpose(1, 3).split(self.head_dim, dim=3)
        values = self.value(x).split(self.head_dim, dim=1)
        heads = [self._head(q, k, v) for q, k, v in zip(queries, keys, values, strict=True)]
        y: Tensor = self.proj(torch.cat(heads, dim=1) if len(heads) > 1 else heads[0])
        return y

    @staticmethod
    def _head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries and values (B, c, P, N), keys (B, N, P, c) -> (B, c, P, N); scores are (B, keys, P, queries)."""
        # Core ML has an operation for just this product.
        scores = torch.einsum("nchw,nwhu->nchu", key, query)
        return torch.einsum("nchw,nwhu->nchu", value, scores.softmax(dim=1))


class PlanarAttention(nn.Module):
    """Separable attention with a convolution each for query, key and value, so that nothing is cut or copied."""

    def __init__(self, attention: SeparableAttention, norm: nn.Module) -> None:
        super().__init__()
        sizes = [1, attention.dim, attention.dim]
        weights, biases = (torch.split(cast(Tensor, t), sizes) for t in (attention.qkv_proj.weight, attention.qkv_proj.bias))
        self.query, self.key, self.value = (pointwise(w, b, norm) for w, b in zip(weights, biases, strict=True))
        self.out_proj = _pointwise(attention.out_proj)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, P, N) -> (B, d, P, N)."""
        context = (self.key(x) * self.query(x).softmax(dim=3)).sum(dim=3, keepdim=True)
        y: Tensor = self.out_proj(functional.relu(self.value(x)) * context)
        return y


class PlanarLayer(nn.Module):
    """Attention, then feed-forward, each after a norm and added to its input."""

    def __init__(self, norm: nn.Module, attention: nn.Module, mlp: FeedForward, before_mlp: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.attn = attention
        self.fc1 = _pointwise(mlp.fc1, before_mlp)
        self.act = copy.deepcopy(mlp.act)
        self.fc2 = _pointwise(mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, P, N) -> (B, d, P, N)."""
        x = x + self.attn(self.norm(x))
        y: Tensor = x + self.fc2(self.act(self.fc1(self.norm(x))))
        return y


class Projection(nn.Module):
    """The convolution after the last norm, its batch norm folded into it; activation if the block has one."""

    def __init__(self, layer: ConvNormAct, norm: nn.Module) -> None:
        super().__init__()
        scale, shift = scale_and_shift(layer.bn)
        # The norm's channels come first where others are joined to them.
        self.conv = pointwise(layer.conv.weight.double().flatten(1) * scale[:, None], shift, norm)
        self.act = copy.deepcopy(layer.act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, H, W) -> (B, C, H, W)."""
        y: Tensor = self.act(self.conv(x))
        return y


class PlanarMobileViTBlock(nn.Module):
    """`MobileViTBlock` in the Neural Engine's form."""

    def __init__(self, block: MobileViTBlock) -> None:
        super().__init__()
        self.patch, self.concat_local, self.residual = block.patch, block.concat_local, block.residual
        self.conv_kxk, self.conv_1x1 = copy.deepcopy(block.conv_kxk), copy.deepcopy(block.conv_1x1)
        self.transformer = nn.Sequential(*(_softmax_layer(cast(TransformerLayer, layer)) for layer in block.transformer))
        self.norm = _centred(block.norm)
        self.conv_proj = Projection(block.conv_proj, block.norm)
        self.conv_fusion = copy.deepcopy(block.conv_fusion)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        local = self.conv_1x1(self.conv_kxk(x))
        size = fixed_size(local, 2), fixed_size(local, 3)
        tiled = tiled_size(*size, self.patch)
        y = local if tiled == size else functional.interpolate(local, tiled, mode="bilinear", align_corners=False)
        y = fold(self.norm(self.transformer(unfold(y, self.patch))), self.patch, *tiled)
        y = y if tiled == size else functional.interpolate(y, size, mode="bilinear", align_corners=False)
        y = self.conv_proj(y)
        fused: Tensor = self.conv_fusion(torch.cat((local if self.concat_local else x, y), dim=1))
        return fused + x if self.residual else fused


class PlanarMobileViTV2Block(nn.Module):
    """`MobileViTV2Block` in the Neural Engine's form."""

    def __init__(self, block: MobileViTV2Block) -> None:
        super().__init__()
        self.patch, self.concat_local, self.residual = block.patch, block.concat_local, block.residual
        self.conv_kxk, self.conv_1x1 = copy.deepcopy(block.conv_kxk), copy.deepcopy(block.conv_1x1)
        self.transformer = nn.Sequential(
            *(_separable_layer(cast(SeparableTransformerLayer, layer)) for layer in block.transformer)
        )
        self.norm = _centred(block.norm)
        self.conv_proj = Projection(block.conv_proj, block.norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W') with H', W' rounded up to whole patches."""
        size = fixed_size(x, 2), fixed_size(x, 3)
        tiled = tiled_size(*size, self.patch)
        if tiled != size:
            x = functional.interpolate(x, tiled, mode="bilinear", align_corners=True)
        local = self.conv_1x1(self.conv_kxk(x))
        y = fold(self.norm(self.transformer(unfold(local, self.patch))), self.patch, *tiled)
        out: Tensor = self.conv_proj(torch.cat((y, local), dim=1) if self.concat_local else y)
        return out + x if self.residual else out


def unfold(x: Tensor, patch: tuple[int, int]) -> Tensor:
    """(B, d, H, W) -> (B, d, P, N): P pixels per patch and N patches, each row by row."""
    (ph, pw), dim = patch, fixed_size(x, 1)
    rows, columns = fixed_size(x, 2) // ph, fixed_size(x, 3) // pw
    if ph == pw:
        x = functional.pixel_unshuffle(x, ph) if ph > 1 else x
    else:
        x = x.reshape(-1, ph, columns, pw).transpose(2, 3)
        x = x.reshape(-1, rows, ph * pw, columns).transpose(1, 2)
    return x.reshape(-1, dim, ph * pw, rows * columns)


def fold(x: Tensor, patch: tuple[int, int], height: int, width: int) -> Tensor:
    """The way back from `unfold`: (B, d, P, N) -> (B, d, height, width)."""
    (ph, pw), dim = patch, fixed_size(x, 1)
    rows, columns = height // ph, width // pw
    if ph == pw:
        x = x.reshape(-1, dim * ph * pw, rows, columns)
        return functional.pixel_shuffle(x, ph) if ph > 1 else x
    x = x.reshape(-1, ph * pw, rows, columns).transpose(1, 2)
    x = x.reshape(-1, ph, pw, columns).transpose(2, 3)
    return x.reshape(-1, dim, height, width)


@torch.no_grad()
def pointwise(weight: Tensor, bias: Tensor, norm: nn.Module | None = None) -> nn.Conv2d:
    """A 1x1 convolution with a linear layer's weights (out, in), after the scale and shift of the norm before it.

    Args:
        weight: (out, in), or (out, in, 1, 1).
        bias: (out,).
        norm: its scale and shift are those of the first of the `in` channels; of all of them, unless others were joined.
    """
    wide, shift = weight.double().flatten(1).clone(), bias.double()
    if norm is not None:
        scale, added = scale_and_shift(norm)
        n = len(scale)
        shift = shift + wide[:, :n] @ added
        wide[:, :n] *= scale
    kind = cast(Tensor, norm.weight).dtype if norm is not None else weight.dtype
    conv = nn.Conv2d(wide.shape[1], wide.shape[0], 1, dtype=kind)
    conv.weight.copy_(wide[:, :, None, None])
    cast(Tensor, conv.bias).copy_(shift)
    return conv


def _pointwise(layer: nn.Module, norm: nn.Module | None = None) -> nn.Conv2d:
    return pointwise(cast(Tensor, layer.weight), cast(Tensor, layer.bias), norm)


def _centred(norm: nn.Module) -> nn.Module:
    """What is left of a norm once its scale and shift are in what follows it: of a batch norm nothing."""
    if isinstance(norm, nn.BatchNorm2d):
        return nn.Identity()
    return ChannelNorm(norm.eps) if isinstance(norm, nn.LayerNorm) else MapNorm(cast(nn.GroupNorm, norm).eps)


def _softmax_layer(layer: TransformerLayer) -> PlanarLayer:
    return PlanarLayer(_centred(layer.norm1), HeadwiseAttention(layer.attn, layer.norm1), layer.mlp, layer.norm2)


def _separable_layer(layer: SeparableTransformerLayer) -> PlanarLayer:
    return PlanarLayer(_centred(layer.norm1), PlanarAttention(layer.attn, layer.norm1), layer.mlp, layer.norm2)


_BLOCKS: dict[type, Callable[..., nn.Module]] = {
    MobileViTBlock: PlanarMobileViTBlock,
    MobileViTV2Block: PlanarMobileViTV2Block,
}
"""Blocks that have a form of their own for the Neural Engine; any other is left as it is."""


def for_neural_engine(model: nn.Module) -> nn.Module:
    """An equal network whose transformer blocks are in the Neural Engine's form.

    Args:
        model: as `build` makes it; left as it is.

    Returns:
        A network in eval mode with weights of its own: the same outputs but for float32's rounding. It has no dropout and
        cannot be trained on. Blocks without such a form are copied.
    """
    known = copy.deepcopy(model).eval()
    _replace(known)
    return known


def has_form(model: nn.Module) -> bool:
    """Whether any block of the network is changed by `for_neural_engine`."""
    return any(type(module) in _BLOCKS for module in model.modules())


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) in _BLOCKS:
            setattr(module, name, _BLOCKS[type(child)](child).eval().requires_grad_(False))
        else:
            _replace(child)
