"""Initial weights as CVNets sets them, from a seed."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def initialise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Set every parameter and buffer to its initial value, in place.

    Convolutions: normal with variance 2 / fan-out; linear layers: normal with deviation 0.02, cut at
    +-2 (a hundred deviations: it never cuts); biases 0; norms 1 and 0. Source: apple/ml-cvnets,
    `conv_init: kaiming_normal`, `linear_init: trunc_normal`, `linear_init_std_dev: 0.02`.
    A module that holds anything else says itself what it starts from, in `set_initial`.

    Args:
        model: a network on the CPU.
        seed: the same seed gives the same weights; torch's own generator is not touched.

    Returns:
        The model.

    Raises:
        TypeError: a layer with parameters that has no rule here.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            nn.init.ones_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        elif (own := getattr(module, "set_initial", None)) is not None:
            own()
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initial weights for `{name}`, a `{type(module).__name__}`")
        bias = getattr(module, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)
    return model
