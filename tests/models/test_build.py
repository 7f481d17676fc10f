"""Building: initial weights from a seed, names, dropout, an open batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from mvsearch.models import build, initialise
from mvsearch.spec.arch import ArchSpec, ConvStem, ExpandHead, InvertedResidualStage, MobileViTStage, MobileViTV2Stage

torch.set_num_threads(1)

SMALL = ArchSpec(
    ConvStem(8),
    (
        InvertedResidualStage(8, 1, 1, 2),
        MobileViTStage(16, 16, 1, 2, heads=2, concat_local=True, residual=True),
        MobileViTV2Stage(16, 16, 1, concat_local=True, residual=True),
    ),
    ExpandHead(),
    num_classes=5,
)


def test_same_seed_same_weights_and_the_global_generator_stays() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = build(SMALL), build(SMALL), build(SMALL, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)


def test_initial_weights_follow_cvnets() -> None:
    model = build(replace(SMALL, stages=(MobileViTStage(64, 96, 1),)))
    state = model.state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())
    convolution = state["stages.0.1.conv_fusion.conv.weight"]
    assert convolution.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert state["stages.0.1.transformer.0.attn.qkv.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    for name, value in state.items():
        if name.endswith("bias") or "running_mean" in name or "num_batches" in name:
            assert not value.any(), name
        elif value.dim() == 1:
            assert (value == 1).all(), name


def test_initialise_refuses_a_layer_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="`1`, a `PReLU`"):
        initialise(nn.Sequential(nn.Conv2d(3, 3, 1), nn.PReLU()))


def test_names() -> None:
    names = set(build(SMALL).state_dict())
    assert {
        "stem.conv.weight",
        "stages.0.0.conv2_kxk.bn.running_var",
        "stages.1.1.transformer.0.attn.qkv.weight",
        "stages.2.1.transformer.0.mlp.fc1.bias",
        "final_conv.conv.weight",
        "head.fc.bias",
    } <= names
    # At expansion 1 there is no expansion convolution.
    assert not any(name.startswith("stages.0.0.conv1_1x1") for name in names)


def test_dropout_rates_reach_their_layers_and_change_no_names() -> None:
    model = build(SMALL, drop_rate=0.1, transformer_drop_rate=0.05)
    rates = {name: m.p for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert rates.pop("head.drop") == 0.1
    assert set(rates.values()) == {0.05}
    assert {name.rsplit(".", 2)[-2] for name in rates} == {"attn", "mlp"}
    assert model.state_dict().keys() == build(SMALL).state_dict().keys()


def test_trains() -> None:
    model = build(SMALL, drop_rate=0.1, transformer_drop_rate=0.1).train()
    loss = nn.functional.cross_entropy(model(torch.rand(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_leaves_the_batch_open() -> None:
    model = build(SMALL).eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.rand(1, 3, 72, 64), check_trace=False)
        images = torch.rand(3, 3, 72, 64)
        torch.testing.assert_close(traced(images), model(images))


def test_images_of_a_batch_do_not_see_each_other() -> None:
    model = build(SMALL).eval()
    images = torch.rand(3, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[1:2], model(images[1:2]))
