"""Networks of controlled pairs: an architecture in which one thing is changed that no `ArchSpec` says.

What is changed, a `Change`, takes the place of one part, or of one kind of layer, and writes what that wrote: the rest of the
network is that of the architecture. A lowering in `mvsearch.costs.lessons` and a block in `mvsearch.models.lessons` go
with each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mvsearch.spec.arch import ArchSpec


@dataclass(frozen=True, slots=True)
class PatchEmbedding:
    """In place of the stem: one convolution with bias, as large as its stride or a little larger, and nothing after it.

    Attributes:
        kernel: side of the convolution in pixels, e.g. 16 (DeiT) or 7 (PoolFormer).
        stride: of the convolution, e.g. 16 or 4.
    """

    kernel: int
    stride: int


@dataclass(frozen=True, slots=True)
class ConvStem3x3:
    """In place of the stem: 3x3 convolutions with stride 2, each with bias, batch norm and the network's activation.

    Attributes:
        channels: of each; the last has the stem's.
    """

    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AlternatingBlocks:
    """The last stage's blocks in another order: one on the map, one on tokens, in turn; what is left over at the end.

    The blocks are those of an `EfficientFormerStage` with as many blocks that pool as blocks that attend. There the map is
    reshaped into tokens once, here before every block that attends, and back after it.
    """


@dataclass(frozen=True, slots=True)
class MlpBlocks:
    """In place of the last stage's blocks: MLPs alone, each added to its input.

    Attributes:
        norm: `layer_norm`: on tokens, a layer norm, then two linear layers. `batch_norm`: on the map, two 1x1 convolutions
            with bias, each with a batch norm after it.
    """

    norm: Literal["layer_norm", "batch_norm"]


Change = PatchEmbedding | ConvStem3x3 | AlternatingBlocks | MlpBlocks


@dataclass(frozen=True, slots=True)
class LessonNetwork:
    """One network of a pair.

    Attributes:
        name: short, unique in its pair, e.g. `16x16 patch embedding`.
        spec: the architecture.
        resolution: side of its image, in pixels.
        change: what is changed in it; None for nothing.
    """

    name: str
    spec: ArchSpec
    resolution: int
    change: Change | None = None
