"""The published networks in transformers, and our weights under its names."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

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
    """Our state under transformers' names: queries, keys and values of v1 apart, values unchanged."""
    prefix = "mobilevit" if name in _V1 else "mobilevitv2"
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        new = _renamed(key, prefix)
        if name in _V1 and ".attn.qkv." in key:
            for part, third in zip(("query", "key", "value"), torch.chunk(value, 3), strict=True):
                result[new.replace("attn.qkv", f"attention.attention.{part}")] = third
        else:
            result[new] = value
    return result


_RULES = [
    (r"^stem\.", "{p}.conv_stem."),
    (r"^stages\.([01])\.(\d+)\.", r"{p}.encoder.layer.\1.layer.\2."),
    (r"^stages\.([234])\.0\.", r"{p}.encoder.layer.\1.downsampling_layer."),
    (r"^stages\.([234])\.1\.", r"{p}.encoder.layer.\1."),
    (r"^final_conv\.", "{p}.conv_1x1_exp."),
    (r"^head\.fc\.", "classifier."),
    (r"\bconv1_1x1\b", "expand_1x1"),
    (r"\bconv2_kxk\b", "conv_3x3"),
    (r"\bconv3_1x1\b", "reduce_1x1"),
    (r"\bconv_proj\b", "conv_projection"),
    (r"\bconv_fusion\b", "fusion"),
    (r"\bconv_1x1\.weight", "conv_1x1.convolution.weight"),
    (r"\.conv\.", ".convolution."),
    (r"\.bn\.", ".normalization."),
    (r"\.norm\.", ".layernorm."),
    (r"\.transformer\.(\d+)\.", r".transformer.layer.\1."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
]
_V1_RULES = [
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
]
_V2_RULES = [
    (r"\.attn\.(qkv_proj|out_proj)\.", r".attention.\1.convolution."),
    (r"\.mlp\.fc([12])\.", r".ffn.conv\1.convolution."),
]


def _renamed(key: str, prefix: str) -> str:
    for pattern, replacement in _RULES + (_V1_RULES if prefix == "mobilevit" else _V2_RULES):
        key = re.sub(pattern, replacement.replace("{p}", prefix), key)
    return key
