"""A network as the backbone of a detector or segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network

if TYPE_CHECKING:
    from mvsearch.models.features import Backbone


def backbone(
    source: str | Path | ArchSpec, out_indices: Sequence[int] | None = None, output_stride: int | None = None
) -> Backbone:
    """Feature maps at strides 2 to 32 for SSDLite, DeepLabv3 and the like.

        body = mvsearch.backbone("winner", out_indices=(3, 4))          # SSDLite: strides 16 and 32
        body = mvsearch.backbone("winner", (1, -1), output_stride=16)   # DeepLabv3: fine and last map
        maps = body(images)                                             # a list, of body.channels and body.strides

    Args:
        source: folder of a library entry (its weights), or a published network's name or an architecture (initial weights).
        out_indices: which maps, from the finest; None for all.
        output_stride: 8 or 16: the last stages keep their input's size and look further instead; None for 32.

    Returns:
        A torch module, in training mode if its weights are initial.

    Raises:
        InputError: no entry, no such network, or an index or output stride that the network does not have.
    """
    from mvsearch.export.entry import load
    from mvsearch.models import build
    from mvsearch.models.features import Backbone

    if isinstance(source, ArchSpec):
        model = build(source)
    elif Path(source).is_dir() or isinstance(source, Path):
        model = load(source)
    else:
        model = build(network(source))
    return Backbone(model, out_indices, output_stride)
