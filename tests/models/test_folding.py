"""Batch norm folded: the same function to rounding, on weights of which no two are alike, and nothing else changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mvsearch.export.shaken import shaken
from mvsearch.models import build
from mvsearch.models.folding import folded
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import default_resolution, network
from tests.export.nets import NETS, images
from tests.strategies import random_spec

EFFICIENTFORMERS = [network("efficientformer_l1"), network("efficientformerv2_s0")]


def norms(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("spec", [*NETS.values(), *map(random_spec, range(4)), *EFFICIENTFORMERS], ids=lambda s: s.arch_id)
def test_folded_computes_the_same(spec: ArchSpec) -> None:
    model = shaken(build(spec))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = folded(model.train())
    x = images(spec, default_resolution(spec) if spec in EFFICIENTFORMERS else 64)
    with torch.inference_mode():
        ours, theirs = model.eval()(x), result(x)
    assert (ours - theirs).abs().max() <= 2e-6 * ours.abs().max()
    assert not result.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "the original was changed"


@pytest.mark.parametrize("name", NETS)
def test_nothing_else_changes(name: str) -> None:
    model = shaken(build(NETS[name]))
    result = folded(model)
    assert norms(result) == []
    ours, theirs = model.state_dict(), result.state_dict()
    # A convolution with batch norm loses that and gains a bias; what is not next to one is as it was.
    convs = {n.removesuffix(".bn") + ".conv" for n in norms(model)}
    assert theirs.keys() - ours.keys() == {f"{conv}.bias" for conv in convs}
    assert {n.rsplit(".", 2)[-2] for n in ours.keys() - theirs.keys()} == {"bn"}
    for key in ours.keys() & theirs.keys():
        assert torch.equal(ours[key], theirs[key]) != (key.rsplit(".", 1)[0] in convs), key


def test_a_batch_norm_that_follows_no_convolution_stays() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1)).eval()
    assert norms(folded(model)) == ["0", "3"]
    head = network("efficientformerv2_s0")
    assert norms(folded(build(head))) == ["head.norm"] or norms(folded(build(head))) == ["norm"]


def test_the_check_can_fail() -> None:
    model = shaken(build(NETS["v1"]))
    result = folded(model)
    with torch.no_grad():
        result.get_parameter("stem.conv.bias").zero_()
        x = images(NETS["v1"])
        assert (model(x) - result(x)).abs().max() > 1e-3 * model(x).abs().max()
