"""The Neural Engine's form of a network is the same function, and shares nothing with it."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from mvsearch.costs import Resolution, image_size
from mvsearch.models import build
from mvsearch.models.neural_engine import fold, for_neural_engine, has_form, unfold
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.space_file import load_space
from tests.models.test_coreml_ops import ODD
from tests.strategies import specs

torch.set_num_threads(1)


def trained_like(spec: ArchSpec, seed: int = 5) -> nn.Module:
    """A network in eval mode whose every weight and statistic matters: none is 0 or 1, and attention is not even."""
    generator = torch.Generator().manual_seed(seed)
    model = build(spec, seed=seed).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim > 1:
                tensor.copy_(noise * (1.5 / tensor[0].numel() ** 0.5))
            elif name.endswith(("running_var", "weight")):
                tensor.copy_(1 + 0.3 * noise.tanh())
            else:
                tensor.copy_(0.3 * noise)
    return model


def difference(spec: ArchSpec, resolution: Resolution, ours: nn.Module, other: nn.Module, batch: int = 1) -> float:
    """Largest difference relative to the spread of the logits, in float64."""
    size = (batch, spec.in_channels, *image_size(resolution))
    images = torch.rand(size, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        expected, found = copy.deepcopy(ours).double()(images), copy.deepcopy(other).double()(images)
    return float((expected - found).abs().max() / (expected - expected.mean()).abs().max().clamp_min(1e-3))


def check(spec: ArchSpec, resolution: Resolution) -> None:
    model = trained_like(spec)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    form = for_neural_engine(model)
    assert difference(spec, resolution, model.double(), for_neural_engine(model)) < 1e-10
    assert not any(t.is_set_to(o) for t in form.state_dict().values() for o in model.state_dict().values())
    assert all(torch.equal(tensor.float(), before[name].float()) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_0.5", "mobilevitv3_xxs", "mobilevitv3_0.5"])
def test_published_network_of_each_kind(name: str) -> None:
    check(network(name), 64)


def test_odd_network() -> None:
    check(ODD, (96, 128))


@settings(max_examples=4, deadline=None)
@given(specs())
def test_any_network(spec: ArchSpec) -> None:
    check(spec, 64)


def test_in_float32_for_a_batch() -> None:
    spec = network("mobilevitv3_xxs")
    model = trained_like(spec)
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, found = model(images), for_neural_engine(model)(images)
    assert float((expected - found).abs().max() / expected.abs().max()) < 1e-4


def test_every_weight_matters_to_the_comparison() -> None:
    """A form with any one of its tensors changed is another function: no planted error goes unseen."""
    spec = replace(ODD, stages=(ODD.stages[1], replace(ODD.stages[2], depth=1)))
    model = trained_like(spec)
    form = for_neural_engine(model)
    # A softmax takes no notice of what is added to all that it runs over.
    unseen = {"stages.0.1.transformer.0.attn.key.bias", "stages.1.1.transformer.0.attn.query.bias"}
    assert unseen < form.state_dict().keys()
    for name, tensor in form.state_dict().items():
        if not tensor.is_floating_point() or name in unseen:
            continue
        kept = tensor.clone()
        tensor.mul_(1.05)
        assert difference(spec, 64, model, form) > 1e-7, name
        tensor.copy_(kept)
    assert difference(spec, 64, model, form) < 1e-5


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (4, 2), (1, 5), (3, 1)])
def test_unfold_orders_pixels_and_patches_by_rows(patch: tuple[int, int]) -> None:
    from mvsearch.models.mobilevitv2 import unfold as plain

    x = torch.rand(2, 3, 4 * patch[0], 2 * patch[1])
    y = unfold(x, patch)
    assert torch.equal(y, plain(x, patch))
    assert torch.equal(fold(y, patch, *x.shape[2:]), x)


def test_what_has_no_form_is_copied() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert not has_form(model)
    other = for_neural_engine(model)
    assert not other.training
    assert model.training
    assert other[0].weight is not model[0].weight  # type: ignore[index]
    assert has_form(build(ODD))


@pytest.mark.full
@pytest.mark.parametrize("name", published_networks())
def test_every_published_network(name: str) -> None:
    check(network(name), 256)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100))
def test_random_networks_of_the_default_space(seed: int) -> None:
    space = load_space("mobilevit")
    check(space.decode(space.random_point(random.Random(seed))), [256, 224, (208, 240)][seed % 3])
