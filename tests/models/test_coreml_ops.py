"""The closed form lists the operations that Core ML receives.

Same kinds, MACs, shapes, bytes of activations and bytes of weights, in the same order. The networks have
their initial weights. Trained ones have one more operation after every GroupNorm, whose scale and shift the
converter drops while they are 1 and 0 (see `mvsearch.costs.lowering`).

A conversion takes 1 to 4 seconds: the default run has networks with every kind of block and two random
ones, the `full` one every published network and 200 random ones.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from mvsearch.costs import Resolution, count
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
from tests.models.mil import converted_rows, lowered_rows, totals
from tests.strategies import random_spec

torch.set_num_threads(1)


def check(spec: ArchSpec, resolution: Resolution) -> None:
    converted, lowered = converted_rows(spec, build(spec), resolution), lowered_rows(spec, resolution)
    for i, (found, expected) in enumerate(zip(converted, lowered, strict=False)):
        assert found == expected, f"operation {i}"
    assert len(converted) == len(lowered)
    assert totals(converted) == totals(lowered)
    assert totals(lowered)["all"][1] == count(spec, resolution).macs


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


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {ODD.activation}))
def test_activations(activation: str) -> None:
    check(replace(ODD, stages=ODD.stages[:2], activation=activation), 64)


def test_published_network_with_resize() -> None:
    check(network("mobilevit_xxs"), 224)


@pytest.mark.parametrize("name", ["mobilevitv3_xxs", "mobilevitv3_0.5"])
def test_one_published_network_of_each_kind(name: str) -> None:
    check(network(name), 256)


@pytest.mark.parametrize("seed", [4, 20])
def test_random_network(seed: int) -> None:
    check(random_spec(seed), 128)


def test_all_weights_are_there_once_a_group_norm_is_trained() -> None:
    """One more operation for each; half of its constants are the scale and shift that the closed form counts."""
    spec = replace(ODD, stages=(ODD.stages[0], ODD.stages[2]))
    model = build(spec)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.GroupNorm)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight)
        torch.nn.init.uniform_(norm.bias)
    converted, initial = totals(converted_rows(spec, model, 64)), totals(lowered_rows(spec, 64))
    affine = converted.pop("batch_norm")
    assert affine[0] == len(norms) == 5
    assert converted["all"][3] - affine[3] // 2 == count(spec, 64).weight_bytes
    # The last one stands between two reshapes that otherwise are one.
    assert converted.pop("reshape")[0] == initial.pop("reshape")[0] + 1
    del converted["all"], initial["all"]
    assert converted == initial


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
