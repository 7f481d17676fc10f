"""Random architectures: every kind mixed, every switch, odd widths and patches."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from mvsearch.spec.arch import (
    ACTIVATIONS,
    ArchSpec,
    ConvStem,
    ExpandHead,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
)

Choose = Callable[[Sequence[Any]], Any]
"""Takes options, returns one of them."""

WIDTHS = (8, 12, 16, 20, 24, 31, 32, 40)
DIMS = (16, 24, 36, 40, 48, 60)
HEADS = (1, 2, 3, 4, 6, 8)
EXPANSIONS = (1, 1.1, 1.5, 2, 3, 4, 5, 6)
FFN_RATIOS = (0.5, 1, 1.5, 2, 3, 4)
PATCHES = tuple((h, w) for h in (1, 2, 3, 4, 8) for w in (1, 2, 3, 4, 8))
DEPTHS = (1, 2, 3)
BOTH = (False, True)


def choose_spec(choose: Choose) -> ArchSpec:
    """A small network, every part of it chosen by `choose`: two convolutional stages, then three of any kind."""
    stages = tuple(_convolutional(choose) for _ in range(2))
    stages += tuple(choose((_convolutional, _softmax, _softmax, _separable, _separable))(choose) for _ in range(3))
    head: Head = choose((PoolHead(), ExpandHead(), ExpandHead(ratio=6, max_channels=100)))
    return ArchSpec(
        ConvStem(choose(WIDTHS)),
        stages,
        head,
        activation=choose(ACTIVATIONS),
        num_classes=choose((1, 10, 1000)),
        in_channels=choose((3, 3, 1)),
    )


def random_spec(seed: int) -> ArchSpec:
    """The random network of this seed."""
    return choose_spec(random.Random(seed).choice)


@st.composite
def specs(draw: st.DrawFn) -> ArchSpec:
    """The same for Hypothesis, which shrinks towards the first of all options."""
    return choose_spec(lambda options: draw(st.sampled_from(options)))


def _convolutional(choose: Choose) -> Stage:
    return InvertedResidualStage(choose(WIDTHS), choose(EXPANSIONS), choose((1, 2, 3, 4)), choose((1, 2)))


def _softmax(choose: Choose) -> Stage:
    dim = choose(DIMS)
    return MobileViTStage(
        choose(WIDTHS),
        dim,
        choose(DEPTHS),
        choose(EXPANSIONS),
        heads=choose(tuple(h for h in HEADS if dim % h == 0)),
        ffn_ratio=choose(FFN_RATIOS),
        patch=choose(PATCHES),
        dw_local=choose(BOTH),
        fuse_1x1=choose(BOTH),
        concat_local=choose(BOTH),
        residual=choose(BOTH),
    )


def _separable(choose: Choose) -> Stage:
    dim = choose(DIMS)
    return MobileViTV2Stage(
        choose(WIDTHS),
        dim,
        choose(DEPTHS),
        choose(EXPANSIONS),
        ffn_ratio=choose(tuple(r for r in FFN_RATIOS if dim * r >= 16)),
        patch=choose(PATCHES),
        concat_local=choose(BOTH),
        residual=choose(BOTH),
    )
