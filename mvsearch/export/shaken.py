"""A copy of a network in which no two weights are alike, so that none of them can be taken for another unseen."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_SEED = 20220606


def shaken(model: nn.Module) -> nn.Module:
    """The network with other weights, in eval mode: initial ones hide errors, as norms are all alike and biases are zero.

    Matrices get random weights of a size that keeps signals alive, attention ones larger so that it prefers some tokens;
    scales lie around 1, biases and running means around 0, running variances between 0.5 and 2.
    """
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    result = copy.deepcopy(model).cpu().eval()
    with torch.no_grad():
        for name, tensor in result.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(3)
                continue
            if not tensor.is_floating_point():
                continue  # Places in a table.
            noise = torch.rand(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + 1.5 * noise)
            elif tensor.dim() > 1:
                gain = (2.0 if ".attn." in name or ".token_mixer." in name else 1.5) * 12**0.5
                tensor.copy_(gain * (noise - 0.5) / tensor[0].numel() ** 0.5)
            elif name.endswith("weight"):
                tensor.copy_(0.5 + noise)
            else:
                tensor.copy_(noise - 0.5)
    return result
