"""Batch norm folded into the convolution before it; that of a transformer into the linear layer after it.

Who gains, measured on one core at 256 pixels: networks in eager torch take 0.77 (MobileViT-XXS) to 0.91 (MobileViTv2-0.5) of
the CPU time, `torch.export` programs 0.85 to 0.91, so that these are folded; ExecuTorch's compiler has an eighth fewer
operations to carry through its passes, so that its networks are folded too, though XNNPACK would fold on its own and the
program is as fast either way, with as many partitions and 0.03 % smaller. ONNX's exporter and coremltools fold on their own,
but only forwards: a batch norm that stands before what takes it in is folded for them.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mvsearch.models.mobilevit import MobileViTBlock, TransformerLayer
from mvsearch.models.mobilevitv2 import MobileViTV2Block, SeparableTransformerLayer

_TAKES_IN: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    TransformerLayer: (("norm1", "attn.qkv"), ("norm2", "mlp.fc1")),
    SeparableTransformerLayer: (("norm1", "attn.qkv_proj"), ("norm2", "mlp.fc1")),
    MobileViTBlock: (("norm", "conv_proj.conv"),),
    MobileViTV2Block: (("norm", "conv_proj.conv"),),
}
"""Norms of a transformer, and the linear layer that follows each: between the two, elements are moved and interpolated only."""


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode that computes the same, to rounding, with every batch norm after a convolution folded into it.

    A convolution gets a bias, its batch norm becomes an identity; nothing else changes, and what stays keeps its name.
    So do the batch norms of transformers with what follows them. Others that follow no convolution stay.
    """
    result = copy.deepcopy(model).eval()
    fold_batch_norm(result)
    return result


def fold_batch_norm(network: nn.Module) -> None:
    """The same in place.

    Args:
        network: in eval mode. A batch norm belongs to the convolution that its module holds right before it.
    """
    _fold_ahead(network)
    for module in list(network.modules()):
        children = [(name, child) for name, child in module.named_children() if not isinstance(child, nn.Identity)]
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and conv.out_channels == norm.num_features:
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())


def folded_ahead(model: nn.Module) -> nn.Module:
    """An equal network whose transformers' batch norms are in what follows them; the network itself if it has none.

    Args:
        model: in eval mode; left as it is.
    """
    if not any(isinstance(getattr(m, name), nn.BatchNorm2d) for m in model.modules() for name, _ in _TAKES_IN.get(type(m), ())):
        return model
    result = copy.deepcopy(model)
    _fold_ahead(result)
    return result


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """(channels,), (channels,), float64: by which a norm multiplies and what it adds, a batch norm with its statistics."""
    weight, bias = cast(Tensor, norm.weight).double(), cast(Tensor, norm.bias).double()
    if isinstance(norm, nn.BatchNorm2d):
        weight = weight / (cast(Tensor, norm.running_var).double() + norm.eps).sqrt()
        bias = bias - cast(Tensor, norm.running_mean).double() * weight
    return weight, bias


@torch.no_grad()
def _fold_ahead(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, follows in _TAKES_IN.get(type(module), ()):
            if isinstance(norm := getattr(module, name), nn.BatchNorm2d):
                _take_in(cast(nn.Linear | nn.Conv2d, module.get_submodule(follows)), norm)
                setattr(module, name, nn.Identity())


def _take_in(layer: nn.Linear | nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """The norm's channels come first where others are joined to them."""
    scale, shift = scale_and_shift(norm)
    wide, n = layer.weight.double().flatten(1).clone(), norm.num_features
    added = wide[:, :n] @ shift
    wide[:, :n] *= scale
    layer.weight.copy_(wide.view_as(layer.weight))
    if layer.bias is None:
        layer.bias = nn.Parameter(added.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)
    else:
        layer.bias.copy_(layer.bias.double() + added)
