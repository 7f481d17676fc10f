"""The Python file that registers an EfficientFormer in timm: text, the same for the same network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvsearch.export.timm.efficientformer import OTHER_CLASS, arguments, is_v2, needs_other_class
from mvsearch.export.timm.express import ACTIVATIONS
from mvsearch.spec.arch import ArchSpec

TORCH_ACTIVATIONS = {"silu": "SiLU", "relu": "ReLU", "hardswish": "Hardswish", "gelu": "GELU", "relu6": "ReLU6"}
"""Our name of an activation -> the class in `torch.nn`, which timm's v1 takes; its v2 takes a name."""
_TEMPLATE = '''\
"""{title} for timm.

After `import {module}` it is `timm.create_model("{model}", pretrained=True)`, with timm's own
options: `num_classes`, `in_chans`, `features_only`, `drop_rate` and so on. The weights lie beside this file.
They are {status}. Attention's tables are made for images of {side} x {side} pixels, and for no others.
Written by mvsearch for timm {tested}; needs torch and timm alone.
"""

{imports}

__all__ = ["{model}"]
{labels}{classes}
default_cfgs = generate_default_cfgs({{
    "{model}": dict(
        file=str(Path(__file__).with_name("{weights}")),
{default_cfg}
    ),
}})


@register_model
def {model}(pretrained: bool = False, **kwargs) -> {network}:
    """{title}."""
    model_args = dict(
{arguments}
    )
    return build_model_with_cfg(
        {network},
        "{model}",
        pretrained,
        feature_cfg=dict({features}, out_indices={indices}),
        **dict(model_args, **kwargs),
    )
'''
_MODELS = "from timm.models import build_model_with_cfg, generate_default_cfgs, register_model"
_V2_IMPORTS = f"from pathlib import Path\n\n{_MODELS}\nfrom timm.models.efficientformer_v2 import EfficientFormerV2"
_V1_IMPORTS = (
    f"from pathlib import Path\n\n{_MODELS}\nfrom timm.models.efficientformer import EfficientFormer\nfrom torch import nn"
)
_OTHER_IMPORTS = f"""\
from pathlib import Path
from typing import Any

import torch
from timm.layers.helpers import to_2tuple
{_MODELS}
from timm.models.efficientformer import Attention, EfficientFormer, MetaBlock1d
from torch import nn"""
CONFIG_V1 = {"fixed_input_size": True, "first_conv": "stem.conv1"}
CONFIG_V2 = {"fixed_input_size": True, "first_conv": "stem.conv1.conv"}


def own_config(spec: ArchSpec) -> dict[str, Any]:
    """What the `pretrained_cfg` has otherwise than ByobNet's."""
    distilled = getattr(spec.head, "distilled", False)
    classifiers = {"classifier": ("head", "head_dist") if distilled else "head"}
    return (CONFIG_V2 if is_v2(spec) else CONFIG_V1) | classifiers


def efficientformer_source(spec: ArchSpec, side: int, texts: Mapping[str, str], own_class: str) -> str:
    """The file; of a network that `efficientformer.refusal` lets pass.

    Args:
        spec: the network.
        side: of its images in pixels.
        texts: what the template says of every network: `title`, `module`, `model`, `weights`, `status`, `tested`, `labels`,
            `default_cfg`.
        own_class: the text of the class that timm does not have.
    """
    second, other = is_v2(spec), needs_other_class(spec)
    activation = f'"{ACTIVATIONS[spec.activation]}"' if second else f"nn.{TORCH_ACTIVATIONS[spec.activation]}"
    values = {name: repr(value) for name, value in arguments(spec).items()} | {"act_layer": activation}
    return _TEMPLATE.format(
        **texts,
        side=side,
        imports=_V2_IMPORTS if second else _OTHER_IMPORTS if other else _V1_IMPORTS,
        classes=f"\n\n{own_class}\n\n" if other else "",
        network="EfficientFormerV2" if second else OTHER_CLASS if other else "EfficientFormer",
        arguments="\n".join(f"        {name}={value}," for name, value in values.items()),
        features="flatten_sequential=True" if second else 'feature_cls="getter"',
        indices=tuple(range(len(spec.stages))),
    )
