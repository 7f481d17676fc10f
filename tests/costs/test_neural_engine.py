"""The closed form of the Neural Engine's graph lists the operations that Core ML receives of it.

As `tests/models/test_coreml_ops.py` does for the plain graph: same kinds, MACs, shapes and bytes, in the same order.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given

from mvsearch.costs import OP_KINDS, Resolution, count, lower, total
from mvsearch.costs.neural_engine import has_form, lower_neural_engine
from mvsearch.models import build
from mvsearch.models.neural_engine import for_neural_engine
from mvsearch.spec.arch import ArchSpec, ConvStem, InvertedResidualStage, MobileViTStage, PoolHead
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.space_file import load_space
from mvsearch.targets.coreml.convert import coreml_available
from tests.models.mil import converted_rows, lowered_rows, totals
from tests.models.test_coreml_ops import ODD
from tests.strategies import random_spec, specs

torch.set_num_threads(1)
needs_coremltools = pytest.mark.skipif(not coreml_available()[0], reason=coreml_available()[1])
HEADS = replace(ODD, stages=(MobileViTStage(16, 24, 2, 2, heads=3), MobileViTStage(16, 24, 1, 2, heads=2, patch=(1, 1))))


def check(spec: ArchSpec, resolution: Resolution) -> None:
    converted = converted_rows(spec, for_neural_engine(build(spec)), resolution)
    lowered = lowered_rows(spec, resolution, lower_neural_engine)
    for i, (found, expected) in enumerate(zip(converted, lowered, strict=False)):
        # Scales and shifts of norms are folded: nothing but convolutions and the classifier holds weights.
        assert found == expected, f"operation {i}"
    assert len(converted) == len(lowered)
    assert totals(converted) == totals(lowered)


def of_kind(spec: ArchSpec, resolution: Resolution, kind: str, plain: bool = False) -> int:
    parts = (lower if plain else lower_neural_engine)(spec, resolution)
    return sum(op.kind == kind for part in parts for op in part.ops)


@needs_coremltools
@pytest.mark.parametrize(("spec", "resolution"), [(ODD, (96, 128)), (HEADS, 64)], ids=["odd", "heads"])
def test_operations_are_those_of_the_converted_program(spec: ArchSpec, resolution: Resolution) -> None:
    check(spec, resolution)


@given(specs())
def test_same_parameters_and_macs_as_the_plain_graph(spec: ArchSpec) -> None:
    plain, form = count(spec, 96), total(lower_neural_engine(spec, 96))
    assert (form.params, form.macs) == (plain.params, plain.macs)
    assert form.weight_bytes <= plain.weight_bytes
    assert {op.kind for part in lower_neural_engine(spec, 96) for op in part.ops} <= set(OP_KINDS)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_1.0", "mobilevitv3_xxs", "mobilevitv3_0.5"])
def test_no_rank_above_four_and_fewer_reshapes_and_transposes(name: str) -> None:
    spec = network(name)
    parts = lower_neural_engine(spec, 256)
    assert max(segment.highest_rank for part in parts for segment, _ in part.segments) == 4
    assert of_kind(spec, 256, "reshape") == 7
    layers = sum(stage.depth for stage in spec.stages if hasattr(stage, "depth"))
    keys = layers if name in ("mobilevit_xxs", "mobilevitv3_xxs") else 0
    assert of_kind(spec, 256, "transpose") == 6 + keys
    assert of_kind(spec, 256, "reshape", plain=True) > 50


def test_parts_without_a_form_are_shared_with_the_plain_graph() -> None:
    spec = network("mobilevit_xs")
    plain, form = lower(spec, 256), lower_neural_engine(spec, 256)
    assert [a is b for a, b in zip(plain, form, strict=True)] == [True, True, True, False, False, False, True]
    assert lower_neural_engine(spec, 256) is form
    assert has_form(spec)
    convolutions = ArchSpec(ConvStem(8), (InvertedResidualStage(8, 1, 1, 2),), PoolHead())
    assert not has_form(convolutions)
    assert lower_neural_engine(convolutions, 64) == lower(convolutions, 64)


@needs_coremltools
@pytest.mark.full
@pytest.mark.parametrize("name", published_networks())
def test_every_published_network(name: str) -> None:
    check(network(name), 256)


@needs_coremltools
@pytest.mark.full
@pytest.mark.parametrize("seed", range(100))
def test_random_networks_of_the_default_space(seed: int) -> None:
    space = load_space("mobilevit")
    check(space.decode(space.random_point(random.Random(seed))), [256, 224, (208, 240)][seed % 3])


@needs_coremltools
@pytest.mark.full
@pytest.mark.parametrize("seed", range(100))
def test_random_networks(seed: int) -> None:
    check(random_spec(seed), [256, 224, (208, 240), 32, (33, 95)][seed % 5])
