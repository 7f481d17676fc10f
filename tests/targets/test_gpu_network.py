"""The module that is timed on a GPU computes what the network computes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from mvsearch.errors import ConversionError
from mvsearch.models import build
from mvsearch.spec.published import network
from mvsearch.targets.host.gpu.network import fold_batch_norm, inference, prepared_network, random_images
from mvsearch.targets.host.gpu.options import GpuOptions, mobilevitv3

NAMES = ("mobilevit_xxs@patch=8,4,2", "mobilevitv2_0.5", "mobilevitv3_xxs_l2", "mobilevitv3_0.5")
SIDE = 64


def trained(name: str) -> nn.Module:
    """A network whose batch norms have seen images and learnt something, so that each of them matters."""
    model = build(network(name))
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.5, 0.5, generator=generator)
    with torch.no_grad():
        model(torch.randn(8, 3, SIDE, SIDE, generator=generator))
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_folding_batch_norm_changes_no_output(name: str) -> None:
    model = trained(name)
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = model(images)
        fold_batch_norm(model)
        after = model(images)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        scale = before.abs().max()
        assert scale > 0.1
        assert (after - before).abs().max() < 1e-3 * scale
        model.stem.conv.bias.zero_()
        assert (model(images) - before).abs().max() > 0.01 * scale, "the comparison would see a norm that went wrong"


def test_a_batch_norm_without_a_convolution_is_not_passed_over() -> None:
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)).eval()
    with pytest.raises(ConversionError, match="batch norm `1` follows no convolution") as error:
        fold_batch_norm(model)
    assert error.value.hint == "measure with `fold=no`"


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_precision_and_layout_keep_the_output(precision: str, layout: str) -> None:
    spec = network("mobilevitv3_xxs_l2")
    options = GpuOptions(precision=precision, layout=layout, launch="eager", batch=2)
    images, plain = random_images(spec, SIDE, options), random_images(spec, SIDE, GpuOptions(precision="float32", batch=2))
    model = prepared_network(spec, options)
    kernels = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1]
    for tensor in (images, *kernels):
        assert tensor.dtype == getattr(torch, precision)
        assert tensor.is_contiguous(memory_format=torch.channels_last) == (layout == "channels_last")
    out = inference(model, images, options)()
    with torch.no_grad():
        expected = build(spec).eval()(plain)
    assert out.shape == (2, 1000) and torch.isfinite(out).all()
    tolerance = {"float16": 0.01, "bfloat16": 0.08, "float32": 1e-4}[precision]
    assert (out.float() - expected).abs().max() < tolerance * expected.abs().max()


def test_weights_and_images_are_the_same_every_time() -> None:
    spec, options = network("mobilevitv2_0.5"), GpuOptions(precision="float32")
    first, second = (prepared_network(spec, options).state_dict() for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
    images = random_images(spec, SIDE, options)
    assert torch.equal(images, random_images(spec, SIDE, options)) and images.std() > 0.9


def test_grad_mode_goes_with_the_launch() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x):
            seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
            return x

    for options in (GpuOptions(launch="eager"), GpuOptions(launch="graph"), mobilevitv3()):
        inference(Watch(), torch.zeros(1), options)()
    assert seen == [(True, False), (False, False), (False, False)]


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv3_0.5"])
def test_the_compiler_takes_networks_whole(name: str) -> None:
    """`fullgraph` fails on any part that torch would leave to Python; code generation itself is not run here."""
    options = GpuOptions(compile=True, precision="float32")
    spec = network(name)
    model, images = prepared_network(spec, options), random_images(spec, SIDE, options)
    out = inference(model, images, options, backend="eager")()
    with torch.no_grad():
        assert torch.allclose(out, model(images), atol=1e-5)
