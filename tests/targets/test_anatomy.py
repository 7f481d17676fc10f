"""Nothing is lost and nothing is counted twice: parts, kinds and operations add up to the totals and to the prediction."""

from __future__ import annotations

import math
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.costs import Costs, count
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from mvsearch.targets import Target, get_target
from mvsearch.targets.anatomy import Anatomy, anatomy
from mvsearch.targets.host.cpu import CpuTarget
from mvsearch.targets.host.machine import Calibration, fit_machine
from mvsearch.targets.predictor.calibrated import OwnRow, refit
from tests.strategies import random_spec, specs

PHONE = get_target("iphone12")


@pytest.fixture(scope="module")
def calibrated_phone() -> Target:
    from mvsearch.costs import lower

    names = ("mobilevit_xs", "mobilevitv2_0.5", "mobilevitv3_xxs")
    own = [OwnRow(name, lower(network(name), 256), ms) for name, ms in zip(names, (6.5, 4.0, 5.5), strict=True)]
    return PHONE.calibrated(refit("iphone12", own).model)  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def calibrated_cpu() -> Target:
    cpu = CpuTarget()
    specs = [random_spec(seed) for seed in range(8)]
    times = [count(s, 64).macs / 1e6 + count(s, 64).activations / 1e6 for s in specs]
    model = fit_machine(specs, 64, times, cpu.expected_rates(), cpu.spec.protocol)
    return cpu.calibrated(Calibration(model, cpu.spec.key, cpu.machine(), cpu.versions()))


def assert_adds_up(found: Anatomy, costs: Costs) -> None:
    for rows in (found.parts, found.kinds, found.ops):
        assert sum(r.params for r in rows) == costs.params
        assert sum(r.macs for r in rows) == costs.macs
        assert sum(r.weight_bytes for r in rows) == costs.weight_bytes
    assert sum(p.activations for p in found.parts) == costs.activations
    assert max(p.peak_memory for p in found.parts) == max(o.memory for o in found.ops) == costs.peak_memory
    assert sum(k.count for k in found.kinds) == len(found.ops)
    assert sum(k.bytes_moved for k in found.kinds) == sum(o.bytes_moved for o in found.ops)


def assert_splits(found: Anatomy, spec: ArchSpec, resolution: int, target: Target) -> None:
    predicted = target.predict(spec, resolution).value
    assert found.constant_ms is not None and found.constant_ms >= 0
    for rows in (found.parts, found.kinds, found.ops):
        assert all(r.ms is not None and r.ms > 0 for r in rows)
        assert math.isclose(found.constant_ms + sum(r.ms for r in rows), predicted, rel_tol=1e-9)
    assert found.total_ms is not None and math.isclose(found.total_ms, predicted, rel_tol=1e-9)


@pytest.mark.parametrize("name", published_networks())
def test_a_published_network_adds_up(name: str) -> None:
    spec = network(name)
    for target in (PHONE, get_target("iphone13")):
        found = anatomy(spec, 256, target)
        assert_adds_up(found, count(spec, 256))
        assert_splits(found, spec, 256, target)


@settings(max_examples=40, deadline=None)
@given(spec=specs(), resolution=st.sampled_from((33, 64, 96)))
def test_any_network_adds_up(spec: ArchSpec, resolution: int) -> None:
    found = anatomy(spec, resolution, PHONE)
    assert_adds_up(found, count(spec, resolution))
    assert_splits(found, spec, resolution, PHONE)


def test_a_phone_calibrated_by_its_owner_is_split_too(calibrated_phone: Target) -> None:
    for seed in range(10):
        spec = random_spec(seed)
        assert_splits(anatomy(spec, 96, calibrated_phone), spec, 96, calibrated_phone)
    plain, own = (anatomy(network("mobilevitv2_0.5"), 256, t) for t in (PHONE, calibrated_phone))
    assert plain.total_ms != own.total_ms
    assert [p.macs for p in plain.parts] == [p.macs for p in own.parts]


def test_a_machine_is_split_once_it_is_calibrated(calibrated_cpu: Target) -> None:
    for seed in range(20, 30):
        spec = random_spec(seed)
        assert_splits(anatomy(spec, 64, calibrated_cpu), spec, 64, calibrated_cpu)


@pytest.mark.parametrize("target", [None, get_target("cpu"), get_target("gpu"), get_target("iphone14"),
                                    get_target("iphone12@units=cpu_only")])  # fmt: skip
def test_what_cannot_be_split_is_none_and_the_rest_is_there(target: Target | None) -> None:
    spec = network("mobilevit_xxs")
    found = anatomy(spec, 256, target)
    assert_adds_up(found, count(spec, 256))
    rows = (*found.parts, *found.kinds, *found.ops)
    assert {r.ms for r in rows} | {found.constant_ms, found.total_ms} == {None}


def test_parts_and_kinds_are_named_and_in_order() -> None:
    found = anatomy(network("mobilevitv3_xxs"), 256, PHONE)
    assert [p.name for p in found.parts] == ["stem", *(f"stages.{i}" for i in range(5)), "head"]
    assert [p.title for p in found.parts] == ["stem", *(f"stage {i}" for i in range(1, 6)), "head"]
    assert [p.block for p in found.parts[3:6]] == ["v3-v1"] * 3
    assert found.parts[-2].output == (1, 128, 8, 8)
    assert {"conv", "depthwise", "matmul", "softmax"} <= {k.kind for k in found.kinds}
    assert {o.part for o in found.ops} == {p.name for p in found.parts}


def test_three_thousand_candidates_take_little_time() -> None:
    networks = [random_spec(seed) for seed in range(100)]
    for spec in networks:
        anatomy(spec, 64, PHONE)
    start = time.process_time()
    for spec in networks:
        anatomy(spec, 64, PHONE)
    assert (time.process_time() - start) / len(networks) < 1.5e-3  # about 0.15 ms on an idle core


def test_a_model_travels_without_what_it_remembers_of_kinds() -> None:
    model = PHONE.latency_model
    assert model is not None
    anatomy(network("mobilevit_xs"), 256, PHONE)
    assert len(pickle.dumps(model)) < 20_000
