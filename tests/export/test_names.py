"""Weights under the names of the libraries, and back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from mvsearch.errors import InputError
from mvsearch.export.names import LIBRARIES, from_library, recognise, tensor_names, to_library
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from tests.export.nets import NETS
from tests.strategies import random_spec, specs

OFFICIAL = json.loads((Path(__file__).parents[1] / "data" / "official_names.json").read_text())


@settings(max_examples=12, deadline=None)
@given(specs())
def test_there_and_back_is_exact_for_every_network(spec: ArchSpec) -> None:
    state = build(spec).state_dict()
    for library in LIBRARIES:
        there = to_library(library, spec, state)
        back = from_library(library, spec, there)
        assert list(back) == list(state)
        assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
        assert sum(t.numel() for t in there.values()) == sum(t.numel() for t in state.values())
        assert recognise(there) == library


@pytest.mark.parametrize("library", ["cvnets", "transformers"])
def test_every_tensor_has_a_name_of_its_own(library: str) -> None:
    for spec in (*published_networks().values(), *map(random_spec, range(20))):
        pairs = tensor_names(library, spec)
        theirs = [name for pair in pairs for name in pair.theirs]
        assert len(set(theirs)) == len(theirs)
        assert len({pair.ours for pair in pairs}) == len(pairs)
        assert not any("{" in name for name in theirs)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_names(name: str) -> None:
    """Some names of every kind of layer, written down from the official code."""
    spec = network(name)
    for library, expected in OFFICIAL[name].items():
        renamed = {pair.ours: list(pair.theirs) for pair in tensor_names(library, spec)}
        assert {ours: renamed[ours] for ours in expected} == expected


def test_queries_keys_and_values_are_thirds_in_this_order() -> None:
    spec = network("mobilevit_xxs")
    weight = torch.arange(3 * 64.0)[:, None].expand(-1, 64)
    renamed = to_library("transformers", spec, {"stages.2.1.transformer.0.attn.qkv.weight": weight})
    prefix = "mobilevit.encoder.layer.2.transformer.layer.0.attention.attention"
    assert [renamed[f"{prefix}.{part}.weight"][0, 0].item() for part in ("query", "key", "value")] == [0, 64, 128]


@pytest.mark.parametrize("library", ["cvnets", "transformers"])
def test_a_name_that_is_not_of_the_network_is_refused(library: str) -> None:
    spec = NETS["v1"]
    with pytest.raises(InputError, match=re.escape("`stages.9.x`")):
        to_library(library, spec, {"stages.9.x": torch.zeros(1)})
    with pytest.raises(InputError, match=re.escape("`layer_9.x`")):
        from_library(library, spec, {"layer_9.x": torch.zeros(1)})


def test_queries_without_their_keys_are_refused() -> None:
    spec = NETS["v1"]
    there = to_library("transformers", spec, build(spec).state_dict())
    name = next(n for n in there if n.endswith("key.bias"))
    del there[name]
    with pytest.raises(InputError, match=re.escape(name)):
        from_library("transformers", spec, there)


def test_what_is_missing_stays_missing() -> None:
    spec = NETS["v2"]
    state = {k: v for k, v in build(spec).state_dict().items() if "num_batches_tracked" not in k}
    assert from_library("cvnets", spec, to_library("cvnets", spec, state)).keys() == state.keys()


@pytest.mark.parametrize("library", ["cvnets", "transformers"])
def test_a_family_that_a_library_does_not_have_has_no_names_there(library: str) -> None:
    with pytest.raises(InputError, match="has no names for the stem `double_conv`"):
        tensor_names(library, network("efficientformer_l1"))


def test_nobodys_names_are_not_recognised() -> None:
    assert recognise(["layer1.0.conv1.weight", "fc.weight"]) is None
    assert recognise([]) is None


def test_without_expansion_there_is_no_convolution_to_name() -> None:
    spec = network("mobilevit_xxs")
    flat = replace(spec, stages=(replace(spec.stages[0], expansion=1), *spec.stages[1:]))
    names = {name for pair in tensor_names("cvnets", flat) for name in pair.theirs}
    assert not any(name.startswith("layer_1.0.block.exp_1x1") for name in names)
    assert any(name.startswith("layer_2.0.block.exp_1x1") for name in names)
