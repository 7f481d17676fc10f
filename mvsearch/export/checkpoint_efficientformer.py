"""Which published EfficientFormer a checkpoint under timm's names belongs to, read from names and shapes alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import TOTAL_STRIDE, DoubleConvStem, NormHead, TokenHead
from mvsearch.spec.efficientformer_published import RESOLUTION
from mvsearch.spec.published import network, published_networks

if TYPE_CHECKING:
    from torch import Tensor

STEMS = {"efficientformer": "stem.conv1.weight", "efficientformerv2": "stem.conv1.conv.weight"}
"""Family -> its first layer's weights; no other network in timm's names here has these."""
CLASSIFIER = "head.weight"
NOTE = (
    "timm and the authors train EfficientFormers on images less ImageNet's mean, divided by its deviation; a file does not say "
    "so, and networks here take images in [0, 1]: normalise them first for weights that were trained so"
)
_TABLE = re.compile(r"stages\.3\.blocks\.\d+\.token_mixer\.attention_biases")
_BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.")


def stem_of(spec: ArchSpec) -> str | None:
    """Name of an EfficientFormer's first weights; None for other networks."""
    if not isinstance(spec.stem, DoubleConvStem):
        return None
    return STEMS["efficientformer" if spec.stem.activation else "efficientformerv2"]


def family_of_tensors(tensors: Mapping[str, Tensor]) -> str | None:
    """Key of the family in `FAMILIES`; None for no EfficientFormer."""
    return next((family for family, name in STEMS.items() if name in tensors), None)


def nearest_published(family: str, tensors: Mapping[str, Tensor]) -> tuple[str, ArchSpec]:
    """Name and network of the published one whose widths and depths come nearest, with the checkpoint's heads and image size.

    Args:
        family: as `family_of_tensors` gives it.
        tensors: of the checkpoint.
    """
    networks = published_networks(family)
    own = _sizes(family, tensors)

    def distance(name: str) -> float:
        spec = networks[name]
        sizes = (spec.stem.channels, *(n for s in spec.stages for n in (s.channels, s.depth)))  # type: ignore[union-attr]
        return sum(abs(math.log(a / b)) for a, b in zip(own, sizes, strict=True))

    name = min(networks, key=distance)
    side = _side(tensors)
    if side and side * TOTAL_STRIDE != RESOLUTION:
        name = f"{name}@resolution={side * TOTAL_STRIDE}"
    spec = network(name)
    head = spec.head
    if "head_dist.weight" not in tensors or not isinstance(head, TokenHead | NormHead):
        return name, spec
    distilled = replace(spec, head=replace(head, distilled=True))
    return name if "@" in name else f"{name}@head=distilled", distilled


def _sizes(family: str, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Width of the stem, then width and depth of the four stages; 1 where the checkpoint does not show it."""
    blocks = {(int(found[1]), found[2]) for name in tensors if (found := _BLOCK.match(name))}
    conv = "conv.conv" if family == "efficientformerv2" else "conv"
    stem = STEMS[family].replace("conv1", "conv2")
    widths = [_rows(tensors, n) for n in (stem, *(f"stages.{i}.downsample.{conv}.weight" for i in (1, 2, 3)))]
    return (widths[0], *(n for i, width in enumerate(widths) for n in (width, max(1, sum(stage == i for stage, _ in blocks)))))


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    tensor = tensors.get(name)
    return max(1, tensor.shape[0]) if tensor is not None and tensor.dim() else 1


def _side(tensors: Mapping[str, Tensor]) -> int | None:
    """Side of the last map, from the size of a table of its attention; None if there is none, or no published one."""
    positions = next((t.shape[-1] for n, t in tensors.items() if _TABLE.fullmatch(n) and t.dim()), 0)
    side = math.isqrt(positions)
    return side if side**2 == positions and 1 <= side <= 2048 // TOTAL_STRIDE else None
