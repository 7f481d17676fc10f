"""`ArchSpec` -> timm's own network, where timm can express it."""

from __future__ import annotations

from typing import Any

from torch import nn

from mvsearch.spec.arch import ArchSpec, ExpandHead, InvertedResidualStage, MobileViTStage, MobileViTV2Stage, Stage

NAMES = {
    "mobilevit_xxs": "mobilevit_xxs",
    "mobilevit_xs": "mobilevit_xs",
    "mobilevit_s": "mobilevit_s",
    "mobilevitv2_0.5": "mobilevitv2_050",
    "mobilevitv2_0.75": "mobilevitv2_075",
    "mobilevitv2_1.0": "mobilevitv2_100",
}
"""Our name of a published network -> timm's."""

_ACTIVATIONS = {"hardswish": "hard_swish"}


def published(name: str) -> nn.Module:
    """timm's network for one of our names."""
    import timm

    return timm.create_model(NAMES[name])


def from_spec(spec: ArchSpec) -> nn.Module:
    """timm's network of an architecture without v3's fusion, without expansion 1."""
    import timm.models.mobilevit  # noqa: F401  It registers the blocks.
    from timm.models.byobnet import ByobNet, ByoModelCfg

    widths = [stage.channels for stage in spec.stages]
    config = ByoModelCfg(
        blocks=tuple(_blocks(stage) for stage in spec.stages),
        stem_chs=spec.stem.channels,
        stem_type="3x3",
        stem_pool="",
        downsample="",
        act_layer=_ACTIVATIONS.get(spec.activation, spec.activation),
        num_features=spec.head.width(widths[-1]) if isinstance(spec.head, ExpandHead) else 0,
    )
    return ByobNet(config, num_classes=spec.num_classes, in_chans=spec.in_channels)


def _blocks(stage: Stage) -> Any:
    from timm.models.byobnet import ByoBlockCfg

    def residual(depth: int, stride: int) -> Any:
        options = {"bottle_in": True, "linear_out": True}
        return ByoBlockCfg("bottle", d=depth, c=stage.channels, s=stride, gs=1, br=stage.expansion, block_kwargs=options)

    if isinstance(stage, InvertedResidualStage):
        return residual(stage.num_blocks, stage.stride)
    options = {
        "transformer_dim": stage.dim,
        "transformer_depth": stage.depth,
        "patch_size": stage.patch,
        "mlp_ratio": stage.ffn_ratio,
    }
    if isinstance(stage, MobileViTV2Stage):
        return residual(1, 2), ByoBlockCfg("mobilevit2", d=1, c=stage.channels, s=1, gs=1, block_kwargs=options)
    assert isinstance(stage, MobileViTStage)
    options["num_heads"] = stage.heads
    groups = 1 if stage.dw_local else None
    return residual(1, 2), ByoBlockCfg("mobilevit", d=1, c=stage.channels, s=1, gs=groups, block_kwargs=options)
