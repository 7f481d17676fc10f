"""A batch norm in place of the transformers' norms: what is counted, built, folded and converted is one network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from mvsearch.accuracy.estimate import explain_top1
from mvsearch.costs import count
from mvsearch.costs.neural_engine import lower_neural_engine
from mvsearch.errors import InputError, SpecError
from mvsearch.export.cvnets.variants import variant_of
from mvsearch.export.exporter import Refusal
from mvsearch.export.names import tensor_names
from mvsearch.export.shaken import shaken
from mvsearch.export.timm.express import refusal
from mvsearch.export.training.recipes import recipe_of
from mvsearch.export.transformers.native import native_config
from mvsearch.models import build
from mvsearch.models.folding import folded, folded_ahead
from mvsearch.models.neural_engine import for_neural_engine
from mvsearch.models.witness import count_built
from mvsearch.report.csv import spec_cells, spec_of_row
from mvsearch.spec.arch import BATCH_NORM, LAYER_NORM, NORMS, ArchSpec, from_json, to_json
from mvsearch.spec.published import network
from mvsearch.spec.space_file import load_space
from tests.export.nets import NETS, images
from tests.models.mil import converted_rows, lowered_rows
from tests.models.test_coreml_ops import ODD

torch.set_num_threads(1)

SMALL = {name: replace(spec, norm=BATCH_NORM) for name, spec in {"odd": ODD, **NETS}.items()}


def outputs(model: nn.Module, spec: ArchSpec) -> torch.Tensor:
    with torch.no_grad():
        return model.double()(images(spec).double())


@pytest.mark.parametrize("name", ["odd", *(pytest.param(name, marks=pytest.mark.full) for name in NETS)])
def test_core_ml_receives_no_operation_for_it(name: str) -> None:
    """Not with trained weights either, of which no two are alike."""
    spec = SMALL[name]
    assert converted_rows(spec, shaken(build(spec)), 64) == lowered_rows(spec, 64)


def test_the_neural_engines_form_has_none_either() -> None:
    spec = SMALL["odd"]
    model = shaken(build(spec))
    converted = converted_rows(spec, for_neural_engine(model), 64)
    assert converted == lowered_rows(spec, 64, lower_neural_engine)
    expected, found = outputs(model, spec), outputs(for_neural_engine(model), spec)
    assert (expected - found).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("name", SMALL)
def test_counts_are_those_of_the_built_network_and_of_the_family_norms(name: str) -> None:
    spec = SMALL[name]
    costs, own = count(spec, 64), count(replace(spec, norm=LAYER_NORM), 64)
    built = count_built(build(spec), 64)
    assert (built.params, built.macs) == (costs.params, costs.macs) == (own.params, own.macs)
    assert costs.weight_bytes < own.weight_bytes


@pytest.mark.parametrize("name", SMALL)
def test_folded_computes_the_same(name: str) -> None:
    spec = SMALL[name]
    model = shaken(build(spec))
    expected = outputs(model, spec)
    for other in (folded(model), folded_ahead(model)):
        assert (outputs(other, spec) - expected).abs().max() <= 1e-10 * expected.abs().max()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded(model).modules())
    assert folded_ahead(plain := build(NETS["v1"])) is plain


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_it_trains(name: str) -> None:
    model = build(SMALL[name])
    x = images(SMALL[name])
    model.train()(x).square().sum().backward()
    norms = {n: m for n, m in model.named_modules() if n.endswith(("norm", "norm1", "norm2"))}
    assert norms and all(isinstance(m, nn.BatchNorm2d) for m in norms.values())
    assert all(m.weight.grad is not None and m.running_mean.abs().sum() > 0 for m in norms.values())
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-5), "in eval mode images do not depend on one another"


def test_tokens_are_normed_over_all_of_the_batch() -> None:
    norm = build(SMALL["v1"]).stages[2][1].norm.train()
    y = norm(3 + 2 * torch.randn(4, 9, 48, generator=torch.Generator().manual_seed(0)))
    assert y.shape == (4, 9, 48)
    assert y.mean((0, 1)).abs().max() < 1e-5 and (y.var((0, 1), unbiased=False) - 1).abs().max() < 1e-3


def test_it_is_part_of_the_architecture_where_it_is_not_the_familys_own() -> None:
    plain, other = NETS["v1"], SMALL["v1"]
    assert "norm" not in to_json(plain) and to_json(other)["norm"] == BATCH_NORM
    assert plain.arch_id != other.arch_id
    assert from_json(to_json(other)) == other and from_json(to_json(plain)).norm == LAYER_NORM
    assert spec_of_row({k: str(v) for k, v in spec_cells(other).items()}).arch_id == other.arch_id
    bare = replace(plain, stages=plain.stages[:2])
    assert replace(bare, norm=BATCH_NORM).arch_id == bare.arch_id, "no transformer, no norm"
    with pytest.raises(SpecError, match="unknown norm `rms_norm`"):
        replace(plain, norm="rms_norm")
    for name in ("efficientformer_l1", "efficientformerv2_s0"):
        with pytest.raises(SpecError, match="in an EfficientFormer"):
            replace(network(name), norm=BATCH_NORM)


def test_it_is_a_dimension_of_the_fast_space() -> None:
    space, spec = load_space("mobilevit_fast"), replace(network("mobilevit_xs"), norm=BATCH_NORM)
    point = space.encode(spec)
    assert point["norm"] == BATCH_NORM and space.decode(point) == spec
    assert spec not in load_space("mobilevit")
    assert space.by_name["norm"].choices == NORMS and not space.by_name["norm"].ordered


@pytest.mark.parametrize(("name", "cost"), [("mobilevit_s", 0.1), ("mobilevitv2_1.0", 0.8)])
def test_accuracy_is_never_gained_by_it_and_less_sure(name: str, cost: float) -> None:
    plain, other = (explain_top1(replace(network(name), norm=norm), 256) for norm in NORMS)
    found = {k.knob: k for k in other.knobs}["norm"]
    assert found.bias == pytest.approx(-cost) and found.sigma > 0
    assert {k.knob: k for k in plain.knobs}["norm"].sigma == 0
    assert any("norm not evidenced" in flag for flag in other.flags) and not any("norm" in flag for flag in plain.flags)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_1.0"])
def test_libraries_that_cannot_say_it_name_it(name: str) -> None:
    spec = replace(network(name), norm=BATCH_NORM)
    for refused in (refusal(spec), variant_of(spec, 256), native_config(spec, 256, recipe_of(spec))):
        assert isinstance(refused, Refusal) and refused.dimension == "norm"
    for library in ("cvnets", "transformers"):
        with pytest.raises(InputError, match="norm `batch_norm`"):
            tensor_names(library, spec)
