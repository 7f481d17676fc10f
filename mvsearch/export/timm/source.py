"""The Python file that registers a network in timm: text, the same for the same network."""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvsearch.costs import image_size
from mvsearch.export.exporter import Subject
from mvsearch.export.timm.efficientformer import OTHER_CLASS, is_efficientformer
from mvsearch.export.timm.efficientformer_source import efficientformer_source, own_config
from mvsearch.export.timm.express import ACTIVATIONS, OWN_BLOCKS, Block, num_features, reductions, stages
from mvsearch.export.training.recipes import EVALUATION_CROP, recipe_of
from mvsearch.spec.arch import ArchSpec

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_BLOCKS, _NETWORKS = Path(__file__).with_name("blocks.py"), Path(__file__).with_name("networks.py")
_TESTED = "1.0.31"
_TORCH_IMPORTS = {
    "math": "import math",
    "Any": "from typing import Any",
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "nn": "from torch import nn",
}
_BYOBNET = ("BottleneckBlock", "ByoBlockCfg", "ByobNet", "ByoModelCfg", "LayerFn", "register_block")
_MOBILEVIT = ("MobileVitBlock", "MobileVitV2Block")
_WIDTH = 116
_TIMM_MAPS = 5
"""How many `features_only` gives if it is not told."""
_MAX_STRIDE = 32
"""Beyond it timm dilates convolutions instead of halving maps, unless it is told otherwise."""
_TEMPLATE = '''\
"""{title} for timm.

After `import {module}` it is `timm.create_model("{model}", pretrained=True)`, with timm's own
options: `num_classes`, `in_chans`, `features_only`, `drop_rate` and so on. The weights lie beside this file.
They are {status}. Written by mvsearch for timm {tested}; needs torch and timm alone.
"""

{imports}

__all__ = ["{model}"]
{labels}{blocks}
model_cfg = ByoModelCfg(
    blocks=(
{stages}
    ),
    stem_chs={stem},
    stem_type="3x3",
    stem_pool="",
    downsample="",
    act_layer="{activation}",
    num_features={num_features},
)

default_cfgs = generate_default_cfgs({{
    "{model}": dict(
        file=str(Path(__file__).with_name("{weights}")),
{default_cfg}
    ),
}})


@register_model
def {model}(pretrained: bool = False, **kwargs) -> ByobNet:
    """{title}."""
{stride}    return build_model_with_cfg(
        ByobNet,
        "{model}",
        pretrained,
        model_cfg=model_cfg,
        feature_cfg={feature_cfg},
        **kwargs,
    )
'''


def module_name(subject: Subject) -> str:
    """Of the file, without its suffix."""
    name = re.sub(r"\W", "_", subject.name, flags=re.ASCII)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"network_{name}"


def model_name(subject: Subject) -> str:
    """As `timm.create_model` takes it."""
    return f"mvsearch_{module_name(subject)}"


def pretrained_config(subject: Subject) -> dict[str, Any]:
    """The `pretrained_cfg` but for the place of the weights and the names of classes."""
    spec = subject.spec
    height, width = image_size(subject.resolution)
    stride = reductions(spec)[-1]
    config = {
        "num_classes": spec.num_classes,
        "input_size": (spec.in_channels, height, width),
        "pool_size": (math.ceil(height / stride), math.ceil(width / stride)),
        "crop_pct": round(EVALUATION_CROP, 3),
        "interpolation": recipe_of(spec)["interpolation"],
        "mean": (0.0,) * spec.in_channels,
        "std": (1.0,) * spec.in_channels,
        "first_conv": "stem.conv",
        "classifier": "head.fc",
    }
    return config | own_config(spec) if is_efficientformer(spec) else config


def source(subject: Subject) -> str:
    """The file; of a network that `express.refusal` lets pass."""
    spec = subject.spec
    config = pretrained_config(subject) | ({"label_names": subject.labels} if subject.labels else {})
    texts = {
        "title": _plain(subject.title),
        "module": module_name(subject),
        "model": model_name(subject),
        "weights": WEIGHTS,
        "status": "trained" if subject.weights == "trained" else f"initial, of seed {subject.seed}, not trained",
        "tested": _TESTED,
        "labels": _labels(subject.labels),
        "default_cfg": "\n".join(f"        {k}={'LABELS' if k == 'label_names' else _literal(v)}," for k, v in config.items()),
    }
    if is_efficientformer(spec):
        return efficientformer_source(spec, image_size(subject.resolution)[0], texts, _class_of(_NETWORKS, OTHER_CLASS))
    return _byobnet_source(spec, texts)


def _byobnet_source(spec: ArchSpec, texts: Mapping[str, str]) -> str:
    parts = stages(spec)
    used = sorted({block.type for stage in parts for block in stage} & OWN_BLOCKS.keys())
    blocks = "".join(
        f'\n\n{_class_of(_BLOCKS, OWN_BLOCKS[name])}\n\n\nregister_block("{name}", {OWN_BLOCKS[name]})\n' for name in used
    )
    maps, stride = len(reductions(spec)), reductions(spec)[-1]
    indices = "" if maps == _TIMM_MAPS else f", out_indices={tuple(range(maps))}"
    return _TEMPLATE.format(
        **texts,
        imports=_imports(blocks),
        blocks=blocks,
        stages="\n".join(map(_stage, parts)),
        stem=spec.stem.channels,
        activation=ACTIVATIONS[spec.activation],
        num_features=num_features(spec),
        feature_cfg=f"dict(flatten_sequential=True{indices})",
        stride=f'    kwargs.setdefault("output_stride", {stride})\n' if stride > _MAX_STRIDE else "",
    )


def _imports(blocks: str) -> str:
    """What the file needs, by the names that the blocks use."""
    used = set(re.findall(r"\w+", blocks))
    models = ["build_model_with_cfg", "generate_default_cfgs", "register_model"]
    models += ["register_notrace_module"] * ("register_notrace_module" in used)
    byobnet = [name for name in _BYOBNET if name.startswith("Byo") or name in used]
    mobilevit = [name for name in _MOBILEVIT if name in used]
    has = {name: [line] if name in used else [] for name, line in _TORCH_IMPORTS.items()}
    standard = [*has["math"], "from pathlib import Path", *has["Any"]]
    others = [
        *has["torch"],
        *has["F"],
        f"from timm.models import {', '.join(models)}",
        f"from timm.models.byobnet import {', '.join(byobnet)}",
        *([f"from timm.models.mobilevit import {', '.join(mobilevit)}"] if mobilevit else []),
        *has["nn"],
    ]
    return "\n".join(standard) + "\n\n" + "\n".join(others)


def _stage(blocks: Sequence[Block]) -> str:
    if len(blocks) == 1:
        return _block(blocks[0], " " * 8)
    return "        (\n" + "\n".join(_block(block, " " * 12) for block in blocks) + "\n        ),"


def _block(block: Block, indent: str) -> str:
    fields = f'type="{block.type}", d={block.d}, c={block.c}, s={block.s}, gs={block.gs}, br={block.br!r}'
    options = f"block_kwargs=dict({', '.join(f'{name}={value!r}' for name, value in block.block_kwargs.items())})"
    if len(indent) + len(fields) + len(options) <= _WIDTH:
        return f"{indent}ByoBlockCfg({fields}, {options}),"
    lines = "".join(f"{indent}        {name}={value!r},\n" for name, value in block.block_kwargs.items())
    return f"{indent}ByoBlockCfg(\n{indent}    {fields},\n{indent}    block_kwargs=dict(\n{lines}{indent}    ),\n{indent}),"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _labels(labels: Sequence[str] | None) -> str:
    if not labels:
        return ""
    # Names of classes are a stranger's texts: as ASCII literals they are nothing else.
    return "\nLABELS = (\n" + "\n".join(f"    {label!a}," for label in labels) + "\n)\n"


@lru_cache(maxsize=8)
def _class_of(path: Path, name: str) -> str:
    """The text of a class in a file, decorators included."""
    text = path.read_text(encoding="utf-8")
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == name)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _plain(text: str) -> str:
    """What may stand in a docstring."""
    return re.sub(r"[^\w .,:;@=()+/-]", " ", text)
