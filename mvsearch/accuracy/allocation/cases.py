"""Two networks of one size that a size-only estimate puts close together, as a test of what allocation does.

The exploited one is what an evolution for the plain estimate against latency arrives at; the thinned one
is MobileViTv3-XS with its late stages made evenly narrower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mvsearch.spec.arch import SWITCHES, ArchSpec, ConvStem, ExpandHead, InvertedResidualStage, MobileViTStage

EXPLOITED, THINNED = "exploited", "thinned"


@dataclass(frozen=True, slots=True)
class _Shape:
    stem: int
    channels: tuple[int, int, int, int, int]
    dims: tuple[int, int, int]
    depths: tuple[int, int, int]
    expansions: tuple[int, int, int, int, int]
    ffn_ratio: int
    patches: tuple[int, int, int]


_SHAPES = {
    EXPLOITED: _Shape(24, (16, 24, 32, 64, 320), (48, 64, 128), (1, 1, 1), (6, 6, 2, 3, 6), 4, (8, 2, 2)),
    THINNED: _Shape(16, (32, 48, 88, 144, 144), (88, 112, 128), (2, 4, 3), (4, 4, 4, 4, 4), 2, (2, 2, 2)),
}


@lru_cache(maxsize=1)
def cases() -> dict[str, ArchSpec]:
    """`exploited` and `thinned`, with ImageNet's classes.

    exploited: 2.00 M params, 361 M MACs and 11.6 M activations at 256 px, one transformer layer per stage,
    narrow attention, parameters in the last stage and activations in the first. thinned: 2.12 M params, 882 M MACs.
    """
    return {name: _network(shape) for name, shape in _SHAPES.items()}


def _network(shape: _Shape) -> ArchSpec:
    c1, c2, *attention_channels = shape.channels
    e1, e2, *attention_expansions = shape.expansions
    attention = tuple(
        MobileViTStage(channels, dim, depth, e, 4, shape.ffn_ratio, (p, p), **dict.fromkeys(SWITCHES, True))
        for channels, dim, depth, e, p in zip(
            attention_channels, shape.dims, shape.depths, attention_expansions, shape.patches, strict=True
        )
    )
    early = (InvertedResidualStage(c1, e1, 1, 1), InvertedResidualStage(c2, e2, 3, 2))
    return ArchSpec(ConvStem(shape.stem), early + attention, ExpandHead())
