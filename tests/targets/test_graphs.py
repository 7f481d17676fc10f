from __future__ import annotations

import pytest

from mvsearch.errors import InputError, TargetError
from mvsearch.spec.arch import ArchSpec, ConvStem, InvertedResidualStage, PoolHead
from mvsearch.spec.published import network
from mvsearch.targets import get_target
from mvsearch.targets.graphs import GRAPHS, UNSEEN, choose_graph, predict_graph

XXS = network("mobilevit_xxs")
CONVOLUTIONS = ArchSpec(ConvStem(8), (InvertedResidualStage(8, 1, 1, 2),), PoolHead())


def test_prediction_of_the_plain_graph_is_the_targets_own() -> None:
    phone = get_target("iphone12")
    assert predict_graph(XXS, 256, phone) == phone.predict(XXS, 256)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_1.0", "mobilevitv3_s"])
def test_other_graph_is_flagged_and_less_sure(name: str) -> None:
    plain, other = (predict_graph(network(name), 256, get_target("iphone12"), graph) for graph in GRAPHS)
    assert UNSEEN in other.flags
    assert UNSEEN not in plain.flags
    assert plain.high and plain.low and other.high and other.low
    assert other.high / other.low >= plain.high / plain.low
    assert 0.5 < other.value / plain.value < 1.5


def test_risks_of_leaving_the_neural_engine_stay() -> None:
    other = predict_graph(network("mobilevitv2_0.5"), 240, get_target("iphone12"), "neural-engine")
    assert "ane-fallback-risk: resize" in other.flags


def test_the_faster_one_is_chosen_and_both_numbers_are_said() -> None:
    choice = choose_graph(XXS, 256, get_target("iphone12"))
    assert choice.graph == min(GRAPHS, key=lambda g: choice.predicted[g].value)
    assert choice.target == "iphone12"
    assert all(f"{m.value:.2f} ms" in choice.why for m in choice.predicted.values())
    assert "not measured" in choice.why


@pytest.mark.parametrize("target", [None, "cpu", "mac"])
def test_without_a_phone_the_default_one_decides(target: str | None) -> None:
    assert choose_graph(XXS, 256, get_target(target) if target else None).target == "iphone12"


def test_network_without_another_form_is_plain() -> None:
    choice = choose_graph(CONVOLUTIONS, 64)
    assert choice.graph == "plain"
    assert choice.predicted["plain"] == choice.predicted["neural-engine"]
    assert choice.why == "the network has no transformer stage with another form"


def test_refusals() -> None:
    with pytest.raises(TargetError, match="`cpu` runs no Core ML graph"):
        predict_graph(XXS, 256, get_target("cpu"))
    with pytest.raises(InputError, match="unknown graph `ane`"):
        predict_graph(XXS, 256, get_target("iphone12"), "ane")  # type: ignore[arg-type]
