"""Feature maps for detection and segmentation, from the architecture alone: strides, widths, and exact shapes.

With an output stride of 16 or 8 the last stages keep the size of their input, and convolutions that follow look twice as
far (dilation), as CVNets does for DeepLabv3 (`--model.classification.*.output-stride`, `dilate_l4` and `dilate_l5`): the
inverted residual that would halve the map has the dilation that was reached before it, a MobileViTv2 block's local
convolution the one after it, and a MobileViT v1 block no dilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvsearch.costs.lowering import Resolution, image_size
from mvsearch.errors import InputError
from mvsearch.spec.arch import ArchSpec, InvertedResidualStage, MobileViTStage, MobileViTV2Stage, Stage
from mvsearch.spec.efficientformer import DoubleConvStem
from mvsearch.spec.plain import shown

OUTPUT_STRIDES = (8, 16)
_DILATABLE = InvertedResidualStage | MobileViTStage | MobileViTV2Stage


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """One map that a backbone gives.

    Attributes:
        name: of the stage that writes it, e.g. `stages.2`; `stem` where no stage has the stem's stride.
        channels: of the map.
        stride: pixels of the image to one of the map. MobileViTv2 enlarges a map that its patches do not divide: the
            map is then larger than image / stride.
        height: in pixels of the map.
        width: in pixels of the map.
    """

    name: str
    channels: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class StageStride:
    """How a stage samples.

    Attributes:
        stride: 2 if it halves its input, else 1.
        total: stride of its output to the image.
        dilated: whether it would halve its input, and does not.
        before: dilation of its first 3x3 convolution, which would halve the map.
        dilation: of the convolutions after that.
    """

    stride: int
    total: int
    dilated: bool
    before: int
    dilation: int


def stage_strides(spec: ArchSpec, output_stride: int | None = None) -> tuple[StageStride, ...]:
    """How each stage samples.

    Args:
        spec: the network.
        output_stride: largest stride of any map; None for the network's own.

    Raises:
        InputError: another output stride than 8 or 16, or a stage that is bound to its map's size.
    """
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise InputError(f"output stride `{shown(output_stride)}`", "8, 16, or none for the network's own")
    total, dilation, strides = stem_stride(spec), 1, []
    for i, stage in enumerate(spec.stages):
        stride, before = _stride_of(stage), dilation
        dilated = output_stride is not None and total * stride > output_stride
        if dilated and not isinstance(stage, _DILATABLE):
            raise InputError(
                f"output stride `{output_stride}` of stage {i + 1}, `{stage.block}`",
                "an EfficientFormer is bound to the size of its maps; leave the output stride out",
            )
        if dilated:
            stride, dilation = 1, dilation * stride
        total *= stride
        strides.append(StageStride(stride, total, dilated, before, dilation))
    return tuple(strides)


def feature_info(spec: ArchSpec, resolution: Resolution, output_stride: int | None = None) -> tuple[FeatureMap, ...]:
    """The last map at each stride, from the finest to the coarsest: 2, 4, 8, 16, 32 in a MobileViT.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.
        output_stride: 8 or 16 for DeepLabv3 and the like; None for the network's own (32).

    Raises:
        InputError: an output stride that the network cannot have.
    """
    stride = stem_stride(spec)
    height, width = (_ceil(side, stride) for side in image_size(resolution))
    found = {stride: FeatureMap("stem", spec.stem.channels, stride, height, width)}
    for i, (stage, s) in enumerate(zip(spec.stages, stage_strides(spec, output_stride), strict=True)):
        height, width = _ceil(height, s.stride), _ceil(width, s.stride)
        if isinstance(stage, MobileViTV2Stage):
            height, width = (_ceil(side, p) * p for side, p in zip((height, width), stage.patch, strict=True))
        found[s.total] = FeatureMap(f"stages.{i}", stage.channels, s.total, height, width)
    return tuple(found.values())


def chosen(maps: Sequence[FeatureMap], out_indices: Sequence[int] | None) -> tuple[FeatureMap, ...]:
    """Those of the maps that are asked for, in the order asked for; all of them for None.

    Raises:
        InputError: an index that is not there.
    """
    for i in out_indices or ():
        if not -len(maps) <= i < len(maps):
            names = ", ".join(f"{k} (stride {m.stride})" for k, m in enumerate(maps))
            raise InputError(f"feature map `{shown(i)}`", f"the network has {names}")
    return tuple(maps) if out_indices is None else tuple(maps[i] for i in out_indices)


def stem_stride(spec: ArchSpec) -> int:
    """Pixels of the image to one of the stem's map."""
    return 4 if isinstance(spec.stem, DoubleConvStem) else 2


def _stride_of(stage: Stage) -> int:
    return 2 if isinstance(stage, MobileViTStage | MobileViTV2Stage) else stage.stride


def _ceil(side: int, divisor: int) -> int:
    return -(-side // divisor)
