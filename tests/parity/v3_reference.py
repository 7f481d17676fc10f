"""MobileViTv3 from its definition, another way than ours: no reshape finds a patch, no library has an attention.

Written from the papers (arXiv 2110.02178, 2206.02680 and 2209.15159) and the official code's order of
concatenation. Patches are taken by strides, heads one by one; every switch is an `if`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, sqrt

import torch
import torch.nn.functional as f
from torch import Tensor

from mvsearch.spec.arch import MobileViTStage, MobileViTV2Stage

Weights = dict[str, Tensor]


def v1_block(x: Tensor, stage: MobileViTStage, weights: Weights) -> Tensor:
    """The block without the inverted residual before it; `weights` have the names of our state."""
    groups = stage.channels if stage.dw_local else 1
    local = f.conv2d(_conv_norm(x, weights, "conv_kxk", f.silu, 1, groups), weights["conv_1x1.weight"])
    projected = _conv_norm(_transformer(local, stage, weights), weights, "conv_proj", f.silu)
    before = local if stage.concat_local else x
    fused = _conv_norm(torch.cat([before, projected], 1), weights, "conv_fusion", f.silu, 0 if stage.fuse_1x1 else 1)
    return fused + x if stage.residual else fused


def v2_block(x: Tensor, stage: MobileViTV2Stage, weights: Weights) -> Tensor:
    """The same for separable attention."""
    height, width = (ceil(n / p) * p for n, p in zip(x.shape[2:], stage.patch, strict=True))
    if (height, width) != tuple(x.shape[2:]):
        x = f.interpolate(x, (height, width), mode="bilinear", align_corners=True)
    local = f.conv2d(_conv_norm(x, weights, "conv_kxk", f.silu, 1, stage.channels), weights["conv_1x1.weight"])
    y = local
    for i in range(stage.depth):
        layer = f"transformer.{i}."
        y = y + _separable(_map_norm(y, weights, layer + "norm1"), stage.patch, weights, layer + "attn.")
        hidden = f.silu(_conv(_map_norm(y, weights, layer + "norm2"), weights, layer + "mlp.fc1"))
        y = y + _conv(hidden, weights, layer + "mlp.fc2")
    y = _map_norm(y, weights, "norm")
    projected = _conv_norm(torch.cat([y, local], 1) if stage.concat_local else y, weights, "conv_proj", lambda z: z)
    return projected + x if stage.residual else projected


def _conv(x: Tensor, weights: Weights, name: str) -> Tensor:
    return f.conv2d(x, weights[name + ".weight"], weights[name + ".bias"])


def _conv_norm(
    x: Tensor, weights: Weights, name: str, act: Callable[[Tensor], Tensor], padding: int = 0, groups: int = 1
) -> Tensor:
    y = f.conv2d(x, weights[f"{name}.conv.weight"], padding=padding, groups=groups)
    mean, variance, scale, shift = (
        weights[f"{name}.bn.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return act((y - mean) / torch.sqrt(variance + 1e-5) * scale + shift)


def _map_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    """One mean and one variance over the whole map of an image."""
    variance, mean = torch.var_mean(x, dim=(1, 2, 3), keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weights[name + ".weight"][:, None, None] + weights[name + ".bias"][
        :, None, None
    ]


def _offsets(patch: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for row in range(patch[0]):
        for column in range(patch[1]):
            yield slice(row, None, patch[0]), slice(column, None, patch[1])


def _transformer(local: Tensor, stage: MobileViTStage, weights: Weights) -> Tensor:
    size = tuple(local.shape[2:])
    tiled = tuple(ceil(n / p) * p for n, p in zip(size, stage.patch, strict=True))
    y = f.interpolate(local, tiled, mode="bilinear", align_corners=False) if tiled != size else local
    y = y.clone()
    for rows, columns in _offsets(stage.patch):
        pixels = y[:, :, rows, columns]
        tokens = pixels.flatten(2).transpose(1, 2)
        for i in range(stage.depth):
            tokens = _layer(tokens, stage.heads, {k.removeprefix(f"transformer.{i}."): w for k, w in weights.items()})
        tokens = _token_norm(tokens, weights, "norm")
        y[:, :, rows, columns] = tokens.transpose(1, 2).unflatten(2, pixels.shape[2:])
    return f.interpolate(y, size, mode="bilinear", align_corners=False) if tiled != size else y


def _token_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    return f.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], 1e-5)


def _layer(x: Tensor, heads: int, weights: Weights) -> Tensor:
    dim = x.shape[-1]
    per_head = dim // heads
    y = _token_norm(x, weights, "norm1")
    outputs = []
    for head in range(heads):
        query, key, value = (
            y @ weights["attn.qkv.weight"][start : start + per_head].T + weights["attn.qkv.bias"][start : start + per_head]
            for start in range(head * per_head, 3 * dim, dim)
        )
        outputs.append(torch.softmax(query @ key.mT / sqrt(per_head), dim=-1) @ value)
    x = x + torch.cat(outputs, -1) @ weights["attn.proj.weight"].T + weights["attn.proj.bias"]
    hidden = f.silu(_token_norm(x, weights, "norm2") @ weights["mlp.fc1.weight"].T + weights["mlp.fc1.bias"])
    return x + hidden @ weights["mlp.fc2.weight"].T + weights["mlp.fc2.bias"]


def _separable(x: Tensor, patch: tuple[int, int], weights: Weights, prefix: str) -> Tensor:
    dim = x.shape[1]
    projected = _conv(x, weights, prefix + "qkv_proj")
    result = torch.empty_like(x)
    for rows, columns in _offsets(patch):
        query, key, value = projected[:, :, rows, columns].split([1, dim, dim], 1)
        scores = torch.softmax(query.flatten(2), -1)
        context = (key.flatten(2) * scores).sum(-1)
        result[:, :, rows, columns] = f.relu(value) * context[:, :, None, None]
    return _conv(result, weights, prefix + "out_proj")
