"""The published EfficientFormers equal timm's: names and shapes of all weights, and the logits of the same random ones."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mvsearch.errors import InputError
from mvsearch.models import build
from mvsearch.spec.published import network

TOLERANCE = 1e-5
"""Largest difference of two logits over the largest logit."""
NAMES = ["efficientformer_l1", "efficientformerv2_s0"]
MORE = ["efficientformer_l3", "efficientformer_l7", "efficientformerv2_s1", "efficientformerv2_s2", "efficientformerv2_l"]


@torch.no_grad()
def shaken(model: nn.Module) -> nn.Module:
    """Weights that hide no error: layer scales about 1, statistics and biases of their own, activations of about one size."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if not value.dtype.is_floating_point:
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            value.copy_(0.75 + 0.5 * noise.sigmoid())
        elif value.ndim > 1 and not name.endswith("attention_biases"):
            value.copy_(noise / value[0].numel() ** 0.5)
        else:
            value.copy_(0.3 * noise + (1.0 if name.endswith(("weight", "gamma")) else 0.0))
    return model.eval()


def images(side: int) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def difference(ours: nn.Module, theirs: nn.Module, side: int) -> float:
    x = images(side)
    left, right = ours(x), theirs(x)
    return float((left - right).abs().max() / right.abs().max())


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
    assert difference(ours, theirs, side) <= TOLERANCE


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
    assert difference(ours, theirs, 224) > 10 * TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_another_image_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="7 x 7"):
        build(network(name)).eval()(images(256))
