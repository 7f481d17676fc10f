"""The closed form lists the operations that Core ML receives: same kinds, MACs and shapes in the same order.

The networks have their initial weights. Trained ones have two more element-wise operations after every
GroupNorm, whose scale and shift the converter drops while they are 1 and 0 (see `mvsearch.costs.lowering`).
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from mvsearch.costs import Resolution
from mvsearch.models import build
from mvsearch.spec.arch import (
    ACTIVATIONS,
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
)
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.space_file import load_space
from tests.models.mil import converted_rows, lowered_rows
from tests.strategies import random_spec

torch.set_num_threads(1)


def check(spec: ArchSpec, resolution: Resolution) -> None:
    converted, lowered = converted_rows(spec, build(spec), resolution), lowered_rows(spec, resolution)
    for i, (found, expected) in enumerate(zip(converted, lowered, strict=False)):
        assert found == expected, f"operation {i}"
    assert len(converted) == len(lowered)


# Rectangular patches, resize in both kinds of block, one patch on the whole map, one head, expansion 1.
ODD = ArchSpec(
    ConvStem(12),
    (
        InvertedResidualStage(12, 1, 2, 2),
        MobileViTStage(20, 24, 1, 3, heads=1, patch=(4, 3), concat_local=True, residual=True),
        MobileViTV2Stage(16, 32, 2, 1, patch=(1, 5), concat_local=True, residual=True),
        MobileViTV2Stage(16, 32, 1, 1.5, patch=(8, 8)),
    ),
    ExpandHead(2, 30),
    in_channels=1,
    num_classes=7,
)


def test_odd_network() -> None:
    check(ODD, (96, 128))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str) -> None:
    check(replace(ODD, stages=ODD.stages[:2], activation=activation), 64)


def test_published_network_with_resize() -> None:
    check(network("mobilevit_xxs"), 224)


@pytest.mark.full
@pytest.mark.parametrize("resolution", [256, 224, (208, 240)], ids=str)
@pytest.mark.parametrize("name", published_networks())
def test_every_published_network(name: str, resolution: Resolution) -> None:
    check(network(name), resolution)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100))
def test_random_networks(seed: int) -> None:
    check(random_spec(seed), [256, 224, (208, 240), 32, (33, 95)][seed % 5])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100))
def test_random_networks_of_the_default_space(seed: int) -> None:
    space = load_space("mobilevit")
    check(space.decode(space.random_point(random.Random(seed))), 256)
