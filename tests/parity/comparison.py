"""Weights with power, and how far two outputs are apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMIT = 1e-5
"""Largest relative error between two implementations of one network, in float32."""

SIZES = [(256, 256), (224, 224), (208, 240)]
"""Patches of 2 divide every map at 256. At 224 they do not divide the last; at 208 x 240 neither that nor the one before."""


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Large random weights and running statistics in evaluation mode, so that no part of the network stays idle.

    Every bias, scale and statistic is far from its initial value, and attention is sharp: queries
    and keys are enlarged until the softmax prefers a few tokens.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, std: float) -> Tensor:
        return std * torch.randn(like.shape, generator=generator)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            gain = 2.0 if "attn" in name else 1.5
            parameter.copy_(normal(parameter, gain / parameter[0].numel() ** 0.5))
        elif name.endswith("weight"):
            parameter.copy_(uniform(parameter, 0.5, 1.5))
        else:
            parameter.copy_(normal(parameter, 0.5))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(normal(buffer, 0.5))
        elif name.endswith("running_var"):
            buffer.copy_(uniform(buffer, 0.5, 2.0))
    return model.eval()


def images(height: int, width: int, channels: int = 3) -> Tensor:
    """Two random images, the same every time: coarse shapes, since pure noise averages out before the last layers."""
    coarse = torch.randn(2, channels, 9, 11, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, (height, width), mode="bicubic")


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference as a part of the largest expected value."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())
