"""A network without its head, as the backbone of detectors (SSDLite) and segmenters (DeepLabv3).

What comes after it takes `channels` and `strides`:

    body = mvsearch.backbone("winner", out_indices=(-2, -1))  # SSDLite: strides 16 and 32
    heads = nn.ModuleList(nn.Conv2d(c, anchors * (4 + classes), 1) for c in body.channels)
    found = [head(m) for head, m in zip(heads, body(images))]

    body = mvsearch.backbone("winner", (1, -1), output_stride=16)  # DeepLabv3+: a fine map, and the last one, dilated
    low, high = body(images)
    masks = decoder(low, pyramid(high))  # torchvision's `ASPP(body.channels[-1], (6, 12, 18))`, for one
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from mvsearch.costs import Resolution
from mvsearch.costs.features import FeatureMap, StageStride, chosen, feature_info, stage_strides
from mvsearch.models.build import Network
from mvsearch.models.inverted_residual import InvertedResidual
from mvsearch.models.layers import ConvNormAct
from mvsearch.models.mobilevitv2 import MobileViTV2Block


class Backbone(nn.Module):
    """Images (B, in_channels, H, W) -> a list of feature maps (B, channels, h, w), one per index.

    Its parameters have the network's names, so that `load_state_dict(weights, strict=False)` finds all but the head.
    An EfficientFormer's tokens are given as a map again.

    Attributes:
        names: of the stages that give the maps.
        channels: of the maps, which a detector's or segmenter's head is to take.
        strides: of the maps to the image.
    """

    def __init__(self, model: nn.Module, out_indices: Sequence[int] | None = None, output_stride: int | None = None) -> None:
        """See `mvsearch.costs.features` for what the output stride does.

        Args:
            model: a network of `build` or `mvsearch.load`; a copy of its weights is taken.
            out_indices: which of `feature_info`'s maps, from the finest; None for all.
            output_stride: 8 or 16: the last stages keep their input's size; None for the network's own.

        Raises:
            InputError: an index or an output stride that the network does not have.
        """
        super().__init__()
        assert isinstance(model, Network), "a network of `mvsearch.models.build`"
        self._output_stride, self._out_indices, self.spec = output_stride, out_indices, model.spec
        # Names, widths and strides are the same at any size of image.
        maps = self.feature_info(256)
        self.names = tuple(m.name for m in maps)
        self.channels = tuple(m.channels for m in maps)
        self.strides = tuple(m.stride for m in maps)
        last = max((_position(name) for name in self.names), default=0)
        self.stem = copy.deepcopy(model.get_submodule("stem"))
        stages = list(model.get_submodule("stages").children())[:last]
        self.stages = nn.Sequential(*(copy.deepcopy(stage) for stage in stages))
        for stage, strides in zip(self.stages, stage_strides(self.spec, output_stride), strict=False):
            _dilate(stage, strides)
        self.train(model.training)

    def feature_info(self, resolution: Resolution) -> tuple[FeatureMap, ...]:
        """The maps with their shapes at this size of image."""
        return chosen(feature_info(self.spec, resolution, self._output_stride), self._out_indices)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> a map (B, channels, h, w) for each index, in the order of the indices."""
        x = self.stem(images)
        found = {"stem": x}
        for i, stage in enumerate(self.stages):
            x = stage(x)
            found[f"stages.{i}"] = x
        return [_as_map(found[name]) for name in self.names]


def _position(name: str) -> int:
    """How many stages it takes to write this map."""
    return 0 if name == "stem" else int(name.removeprefix("stages.")) + 1


def _as_map(x: Tensor) -> Tensor:
    """Tokens (B, N, C) of a square map -> (B, C, side, side); a map as it is."""
    if x.dim() == 4:
        return x
    side = round(x.shape[1] ** 0.5)
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], side, side)


def _dilate(stage: nn.Module, strides: StageStride) -> None:
    """Give a stage the stride and dilations that it has under an output stride."""
    if strides.dilated:
        first = next(m for m in stage.modules() if isinstance(m, InvertedResidual))
        _set(first.conv2_kxk, strides.before, stride=1)
        # As CVNets: an inverted residual that keeps size and width adds its input.
        convs = [m for m in first.modules() if isinstance(m, nn.Conv2d)]
        first.skip = convs[0].in_channels == convs[-1].out_channels
    if strides.dilation == 1:
        return
    residuals = [m for m in stage.modules() if isinstance(m, InvertedResidual)]
    for i, residual in enumerate(residuals):
        if i or not strides.dilated:
            _set(residual.conv2_kxk, strides.dilation)
    for module in stage.modules():
        if isinstance(module, MobileViTV2Block):
            _set(module.conv_kxk, strides.dilation)


def _set(layer: ConvNormAct, dilation: int, stride: int | None = None) -> None:
    conv = layer.conv
    conv.dilation = (dilation, dilation)
    conv.padding = tuple(dilation * (k // 2) for k in conv.kernel_size)
    if stride is not None:
        conv.stride = (stride, stride)
