"""MobileViTv3's blocks, which no library has, against a reference that is written from the definition."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from mvsearch.models.layers import Options
from mvsearch.models.mobilevit import MobileViTBlock
from mvsearch.models.mobilevitv2 import MobileViTV2Block
from mvsearch.spec.arch import SWITCHES, MobileViTStage, MobileViTV2Stage
from tests.parity.comparison import LIMIT, randomise, relative_error
from tests.parity.v3_reference import v1_block, v2_block

MAPS = [(16, 16), (7, 7), (9, 14)]
SQUARE, ODD = (2, 2), (4, 3)


def inputs(channels: int, size: tuple[int, int]) -> Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "switches", product((False, True), repeat=4), ids=lambda s: "".join("abcdABCD"[i + 4 * on] for i, on in enumerate(s))
)
def test_softmax_block_with_every_combination_of_switches(switches: tuple[bool, ...]) -> None:
    for size, patch in product(MAPS, (SQUARE, ODD)):
        stage = MobileViTStage(24, 32, 2, heads=4, patch=patch, **dict(zip(SWITCHES, switches, strict=True)))
        block = randomise(MobileViTBlock(stage, Options()))
        x = inputs(24, size)
        with torch.no_grad():
            assert relative_error(block(x), v1_block(x, stage, block.state_dict())) <= LIMIT


@pytest.mark.parametrize("concat_local", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_separable_block_with_every_combination_of_switches(concat_local: bool, residual: bool) -> None:
    for size, patch in product(MAPS, (SQUARE, ODD)):
        stage = MobileViTV2Stage(24, 32, 2, patch=patch, concat_local=concat_local, residual=residual)
        block = randomise(MobileViTV2Block(stage, Options()))
        x = inputs(24, size)
        with torch.no_grad():
            assert relative_error(block(x), v2_block(x, stage, block.state_dict())) <= LIMIT


def test_the_comparison_would_notice_the_other_order_of_concatenation() -> None:
    stage = MobileViTStage(32, 32, 1, concat_local=True)
    block = randomise(MobileViTBlock(stage, Options()))
    state = block.state_dict()
    name = "conv_fusion.conv.weight"
    swapped = {**state, name: torch.cat(state[name].chunk(2, dim=1)[::-1], dim=1)}
    x = inputs(32, (16, 16))
    with torch.no_grad():
        assert relative_error(block(x), v1_block(x, stage, swapped)) > 0.1


def test_the_comparison_would_notice_it_with_separable_attention() -> None:
    stage = MobileViTV2Stage(32, 32, 1, concat_local=True)
    block = randomise(MobileViTV2Block(stage, Options()))
    state = block.state_dict()
    name = "conv_proj.conv.weight"
    swapped = {**state, name: torch.cat(state[name].chunk(2, dim=1)[::-1], dim=1)}
    x = inputs(32, (16, 16))
    with torch.no_grad():
        assert relative_error(block(x), v2_block(x, stage, swapped)) > 0.1
