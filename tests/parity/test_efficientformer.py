"""The published EfficientFormers equal timm's: names and shapes of all weights, and the logits of the same random ones."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mvsearch.errors import InputError
from mvsearch.models import build
from mvsearch.spec.published import network
from tests.parity.comparison import LIMIT, images, randomise, relative_error

NAMES = ["efficientformer_l1", "efficientformerv2_s0"]
MORE = ["efficientformer_l3", "efficientformer_l7", "efficientformerv2_s1", "efficientformerv2_s2", "efficientformerv2_l"]


@torch.no_grad()
def shaken(model: nn.Module) -> nn.Module:
    """Random weights that leave no part idle: attention is sharp, and its bias as large as the products that it is added to."""
    randomise(model)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if name.endswith("attention_biases"):
            parameter.copy_(3 * torch.randn(parameter.shape, generator=generator))
        elif name.endswith("gamma"):
            # Larger ones add up to numbers beyond float32 over forty blocks.
            parameter.copy_(0.1 + 0.4 * torch.rand(parameter.shape, generator=generator))
    return model


@torch.no_grad()
def difference(ours: nn.Module, theirs: nn.Module, side: int) -> float:
    return relative_error(ours(images(side, side)), theirs(images(side, side)))


def check(name: str, side: int = 224) -> None:
    suffix = "" if side == 224 else f"@resolution={side}"
    size = {} if side == 224 else {"img_size": side}
    theirs = shaken(timm.create_model(name, **size))
    distilled = network(f"{name}{suffix or '@head=distilled'}")
    if suffix:
        theirs.head_dist.load_state_dict(theirs.head.state_dict())
    ours = build(distilled).eval()
    weights = {k: v for k, v in theirs.state_dict().items() if not (suffix and k.startswith("head_dist"))}
    ours.load_state_dict(weights, strict=True)
    assert difference(ours, theirs, side) <= LIMIT


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(n, marks=pytest.mark.full) for n in MORE)])
def test_published_networks_equal_timm(name: str) -> None:
    check(name)


def test_another_resolution_equals_timm() -> None:
    check("efficientformerv2_s0", 160)


def test_the_comparison_can_fail() -> None:
    name = NAMES[0]
    theirs = shaken(timm.create_model(name))
    ours = build(network(f"{name}@head=distilled")).eval()
    weights = dict(theirs.state_dict())
    biases = "stages.3.blocks.4.token_mixer.attention_biases"
    weights[biases] = weights[biases].flip(0)
    ours.load_state_dict(weights)
    assert difference(ours, theirs, 224) > 10 * LIMIT


@pytest.mark.parametrize(("name", "side"), [("efficientformer_l1", 7), ("efficientformerv2_s0", 14)])
def test_another_image_is_refused(name: str, side: int) -> None:
    with pytest.raises(InputError, match=f"{side} x {side}"):
        build(network(name)).eval()(images(256, 256))
