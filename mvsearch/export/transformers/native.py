"""Which networks transformers' own MobileViT and MobileViTV2 express exactly, and their configurations.

Source: transformers 5.23.0, `models/mobilevit` and `models/mobilevitv2`. What is not a field there is swallowed: depths of
MobileViT, widths of MobileViTV2. So a configuration is written only where every value of the network is either a field, or
the number that the library has built in.
"""

from __future__ import annotations

from typing import Any

from mvsearch.costs import image_size
from mvsearch.export.dimensions import width_multiplier
from mvsearch.export.exporter import Refusal
from mvsearch.export.training.recipes import Recipe
from mvsearch.spec.arch import (
    LAYER_NORM,
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    make_divisible,
)

DEPTHS = (2, 4, 3)
"""Layers of the three transformer stages of MobileViT, built in."""
_BLOCKS = {"mobilevit": (1, 3), "mobilevitv2": (1, 2)}
"""Inverted residuals of the first two stages, built in."""
_BASE_DIMS = (128, 192, 256)
_CLASSES = {"mobilevit": "MobileViTForImageClassification", "mobilevitv2": "MobileViTV2ForImageClassification"}


def native_config(spec: ArchSpec, resolution: int, recipe: Recipe) -> dict[str, Any] | Refusal:
    """The library's own configuration of a network, or the first dimension that it cannot express.

    Args:
        spec: the network.
        resolution: side of its images in pixels; MobileViTV2 there is right only where patches divide the maps.
        recipe: gives the dropout rates.
    """
    kinds = {type(stage) for stage in spec.stages[2:]}
    if kinds == {MobileViTStage}:
        return _refuse_v1(spec) or _config_v1(spec, resolution, recipe)
    if kinds == {MobileViTV2Stage}:
        return _refuse_v2(spec, resolution) or _config_v2(spec, resolution, recipe)
    i = next((i for i, s in enumerate(spec.stages, 1) if i > 2 and type(s) is not type(spec.stages[2])), 3)
    block = spec.stages[i - 1].block if i <= len(spec.stages) else "absent"
    return Refusal(f"stage{i}.block", f"`stage{i}.block` is `{block}`; transformers has three stages of `v1` or of `v2`")


def _refuse_common(spec: ArchSpec, library: str) -> Refusal | None:
    if len(spec.stages) != 5 or not isinstance(spec.stem, ConvStem):
        return Refusal("stages", f"`{len(spec.stages)}` stages; transformers' {library} has five, after a convolution")
    expected = (
        *((InvertedResidualStage, n, stride) for n, stride in zip(_BLOCKS[library], (1, 2), strict=True)),
        *((type(stage), 1, 2) for stage in spec.stages[2:]),
    )
    for i, (stage, (kind, blocks, stride)) in enumerate(zip(spec.stages, expected, strict=True), start=1):
        if not isinstance(stage, kind):
            return Refusal(f"stage{i}.block", f"`stage{i}.block` is `{stage.block}`; transformers has `mv2` there")
        if getattr(stage, "num_blocks", 1) != blocks:
            return _fixed(f"stage{i}.blocks", getattr(stage, "num_blocks", 1), blocks)
        if getattr(stage, "stride", 2 if i > 2 else stride) != stride:
            return _fixed(f"stage{i}.stride", getattr(stage, "stride", None), stride)
    if spec.norm != LAYER_NORM:
        return Refusal("norm", f"`norm` is `{spec.norm}`; transformers' {library} has `{LAYER_NORM}` built in")
    return _refuse_unequal(spec, "expansion") or _refuse_expansion_of_one(spec)


def _refuse_expansion_of_one(spec: ArchSpec) -> Refusal | None:
    if getattr(spec.stages[0], "expansion", None) == 1:
        return Refusal("stage1.expansion", "`stage1.expansion` is `1`; transformers keeps the 1x1 convolution that is left out")
    return None


def _refuse_unequal(spec: ArchSpec, name: str) -> Refusal | None:
    """One number serves all stages there."""
    stages = [(i, getattr(stage, name)) for i, stage in enumerate(spec.stages, 1) if hasattr(stage, name)]
    for i, value in stages:
        if value != stages[0][1]:
            return Refusal(
                f"stage{i}.{name}",
                f"`stage{i}.{name}` is `{value}`, `stage{stages[0][0]}.{name}` is `{stages[0][1]}`; "
                "transformers has one for all stages",
            )
    return None


def _refuse_patches_and_blocks(spec: ArchSpec, plain: str) -> Refusal | None:
    for i, stage in enumerate(spec.stages[2:], start=3):
        if stage.block != plain:
            return _fixed(f"stage{i}.block", stage.block, plain)
        assert isinstance(stage, MobileViTStage | MobileViTV2Stage)
        if stage.patch[0] != stage.patch[1]:
            return Refusal(f"stage{i}.patch", f"`stage{i}.patch` is `{stage.patch[0]}x{stage.patch[1]}`; squares only")
    return _refuse_unequal(spec, "patch")


def _refuse_v1(spec: ArchSpec) -> Refusal | None:
    if refusal := _refuse_common(spec, "mobilevit") or _refuse_patches_and_blocks(spec, "v1"):
        return refusal
    for i, (stage, depth) in enumerate(zip(spec.stages[2:], DEPTHS, strict=True), start=3):
        if getattr(stage, "depth", None) != depth:
            return _fixed(f"stage{i}.depth", getattr(stage, "depth", None), depth)
    if not isinstance(spec.head, ExpandHead):
        return _fixed("head", spec.head.kind, "expand")
    return _refuse_unequal(spec, "heads") or _refuse_unequal(spec, "ffn_ratio")


def _refuse_v2(spec: ArchSpec, resolution: int) -> Refusal | None:
    if refusal := _refuse_common(spec, "mobilevitv2") or _refuse_patches_and_blocks(spec, "v2"):
        return refusal
    if not isinstance(spec.head, PoolHead):
        return _fixed("head", spec.head.kind, "pool")
    multiplier = width_multiplier(spec)
    if multiplier is None:
        return Refusal("stage1.channels", "its widths are not those of one `width_multiplier`, all that MobileViTV2 takes")
    if refusal := _refuse_unequal(spec, "ffn_ratio"):
        return refusal
    height = image_size(resolution)[0]
    for i, stage in enumerate(spec.stages, start=1):
        assert isinstance(stage, InvertedResidualStage | MobileViTV2Stage)
        # The stem halves the image; each stage but the first halves the map again.
        side = -(-height // 2**i)
        if not isinstance(stage, MobileViTV2Stage):
            continue
        if float(stage.ffn_ratio) % 1:
            return Refusal(f"stage{i}.ffn_ratio", f"`stage{i}.ffn_ratio` is `{stage.ffn_ratio:g}`; an integer there")
        if side % stage.patch[0]:
            return Refusal(
                f"stage{i}.patch",
                f"`stage{i}.patch` is `{stage.patch[0]}`, the map is {side} x {side} at `{resolution}` pixels; "
                "transformers' MobileViTV2 drops what is left over, where the network enlarges the map",
            )
        if _base_dim(stage.dim, _BASE_DIMS[i - 3], multiplier) is None:
            return Refusal(f"stage{i}.dim", f"`stage{i}.dim` is `{stage.dim}`; no base width gives it at `{multiplier:g}`")
    return None


def _base_dim(dim: int, usual: int, multiplier: float) -> int | None:
    """The integer that MobileViTV2's rule turns into this transformer width; the usual one if it does."""
    near = round(dim / multiplier)
    return next((b for b in (usual, *range(near - 8, near + 9)) if b > 0 and make_divisible(b * multiplier) == dim), None)


def _fixed(dimension: str, value: Any, built_in: Any) -> Refusal:
    return Refusal(dimension, f"`{dimension}` is `{value}`; transformers has `{built_in}` built in")


def _config_v1(spec: ArchSpec, resolution: int, recipe: Recipe) -> dict[str, Any]:
    stages = [stage for stage in spec.stages if isinstance(stage, MobileViTStage)]
    return {
        **_common("mobilevit", spec, resolution),
        "hidden_sizes": [stage.dim for stage in stages],
        "neck_hidden_sizes": [
            spec.stem.channels,
            *(stage.channels for stage in spec.stages),
            spec.head.width(spec.stages[-1].channels),
        ],
        "num_attention_heads": stages[0].heads,
        "mlp_ratio": float(stages[0].ffn_ratio),
        "expand_ratio": float(stages[0].expansion),
        "patch_size": stages[0].patch[0],
        "hidden_dropout_prob": recipe["transformer_dropout"],
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": recipe["dropout"],
        "qkv_bias": True,
    }


def _config_v2(spec: ArchSpec, resolution: int, recipe: Recipe) -> dict[str, Any]:
    stages = [stage for stage in spec.stages if isinstance(stage, MobileViTV2Stage)]
    multiplier = width_multiplier(spec)
    assert multiplier is not None, "refused before"
    return {
        **_common("mobilevitv2", spec, resolution),
        "width_multiplier": multiplier,
        "base_attn_unit_dims": [_base_dim(s.dim, usual, multiplier) for s, usual in zip(stages, _BASE_DIMS, strict=True)],
        "n_attn_blocks": [stage.depth for stage in stages],
        "ffn_multiplier": int(stages[0].ffn_ratio),
        "expand_ratio": float(stages[0].expansion),
        "patch_size": stages[0].patch[0],
        "ffn_dropout": recipe["transformer_dropout"],
        "attn_dropout": 0.0,
        "classifier_dropout_prob": recipe["dropout"],
    }


def _common(model_type: str, spec: ArchSpec, resolution: int) -> dict[str, Any]:
    return {
        "architectures": [_CLASSES[model_type]],
        "model_type": model_type,
        "image_size": image_size(resolution)[0],
        "num_channels": spec.in_channels,
        "hidden_act": spec.activation,
        "conv_kernel_size": 3,
        "layer_norm_eps": 1e-5,
        "output_stride": 32,
    }
