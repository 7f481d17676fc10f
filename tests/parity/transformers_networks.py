"""The published networks in transformers, and our weights under its names."""

from __future__ import annotations

from torch import Tensor, nn

from mvsearch.export.names import to_library
from mvsearch.spec.published import network

_V1 = {
    "mobilevit_xxs": {"expand_ratio": 2.0, "neck_hidden_sizes": [16, 16, 24, 48, 64, 80, 320], "hidden_sizes": [64, 80, 96]},
    "mobilevit_xs": {"expand_ratio": 4.0, "neck_hidden_sizes": [16, 32, 48, 64, 80, 96, 384], "hidden_sizes": [96, 120, 144]},
    "mobilevit_s": {"expand_ratio": 4.0, "neck_hidden_sizes": [16, 32, 64, 96, 128, 160, 640], "hidden_sizes": [144, 192, 240]},
}


def published(name: str) -> nn.Module:
    """transformers' network for one of our names, in evaluation mode."""
    if name in _V1:
        from transformers.models.mobilevit import MobileViTConfig, MobileViTForImageClassification

        return MobileViTForImageClassification(MobileViTConfig(num_labels=1000, **_V1[name])).eval()
    from transformers.models.mobilevitv2 import MobileViTV2Config, MobileViTV2ForImageClassification

    config = MobileViTV2Config(num_labels=1000, width_multiplier=float(name.removeprefix("mobilevitv2_")))
    return MobileViTV2ForImageClassification(config).eval()


def renamed(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Our state of a published network under transformers' names."""
    return to_library("transformers", network(name), state)
