"""Two networks of about equal size that a plain estimate hardly tells apart, and training does: a test case by name.

A search for the plain estimate (size, block and patch offsets) at 2 M parameters on a phone arrives at
`EXPLOITED`: one transformer layer per stage, narrow attention, the parameters in the last stage and in
the feed-forward networks, the activations in wide expansions on early maps. `THINNED` is a published
shape at that size.
"""

from __future__ import annotations

from mvsearch.spec.arch import SWITCHES, ArchSpec, ConvStem, ExpandHead, InvertedResidualStage, MobileViTStage

_V3 = dict.fromkeys(SWITCHES, True)


def _v3(
    stem: int,
    channels: tuple[int, int, int, int, int],
    dims: tuple[int, int, int],
    depths: tuple[int, int, int],
    expansions: tuple[int, int, int, int, int],
    ffn_ratio: int,
    patches: tuple[int, int, int],
) -> ArchSpec:
    """A MobileViTv3 on v1 with four heads, 3 inverted residuals in the second stage and the published head."""
    early = (InvertedResidualStage(channels[0], expansions[0], 1, 1), InvertedResidualStage(channels[1], expansions[1], 3, 2))
    late = (
        MobileViTStage(channels[i], dims[i - 2], depths[i - 2], expansions[i], 4, ffn_ratio, (p, p), **_V3)
        for i, p in enumerate(patches, start=2)
    )
    return ArchSpec(ConvStem(stem), (*early, *late), ExpandHead())


EXPLOITED = _v3(24, (16, 24, 32, 64, 320), (48, 64, 128), (1, 1, 1), (6, 6, 2, 3, 6), 4, (8, 2, 2))
"""2.00 M parameters, 11.6 M activations, 361 M MACs."""

THINNED = _v3(16, (32, 48, 88, 144, 144), (88, 112, 128), (2, 4, 3), (4, 4, 4, 4, 4), 2, (2, 2, 2))
"""MobileViTv3-XS thinned evenly: 2.12 M parameters, 13.8 M activations, 882 M MACs."""
