"""The iPhone predictor: reproducible, honest on what is published, and not to be fooled by a search."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import pytest

from mvsearch.costs import OP_KINDS, lower
from mvsearch.errors import TargetError
from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.published import network, published_networks
from mvsearch.targets import get_target
from mvsearch.targets.predictor.expected import expected_a14
from mvsearch.targets.predictor.features import op_cost
from mvsearch.targets.predictor.fit import shipped_json
from mvsearch.targets.predictor.phones import PHONES
from mvsearch.targets.predictor.scores import kendall, spearman
from mvsearch.targets.predictor.shipped import phone_names, refusal, shipped_model
from mvsearch.targets.predictor.sufficiency import Evidence, shortfalls
from mvsearch.targets.predictor.tables import DATA, load_ops, published_rows

PHONE = get_target("iphone12")
OWN_NAMES = {"mobilevitv2_050": "mobilevitv2_0.5", "mobilevitv2_100": "mobilevitv2_1.0",
             "mobilevitv2_150": "mobilevitv2_1.5", "mobilevitv2_200": "mobilevitv2_2.0"}  # fmt: skip


def _ms(spec: ArchSpec, resolution: int = 256) -> float:
    return PHONE.predict(spec, resolution).value


def _flat(value: object, path: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{path}/{key}").items()}
    return {path: value}


@pytest.mark.parametrize("phone", PHONES)
def test_refitting_gives_the_shipped_file(phone: str) -> None:
    shipped = _flat(json.loads((DATA / f"{phone}.json").read_text(encoding="utf-8")))
    again = _flat(json.loads(json.dumps(shipped_json(phone))))
    assert shipped.keys() == again.keys()
    for key, value in shipped.items():
        tolerance = 2e-2 if "validation" in key else 1e-4
        assert again[key] == (pytest.approx(value, rel=tolerance) if isinstance(value, float) else value), key


def test_a_phone_is_shipped_or_refused_with_the_reason() -> None:
    assert phone_names() == ("iphone12", "iphone13")
    assert "21 networks, 30 needed" in refusal("iphone14") and "laboratory" in refusal("iphone14")
    with pytest.raises(TargetError, match=r"`iphone14` has no predictor.*90 % of their errors are within x/÷"):
        shipped_model("iphone14")
    with pytest.raises(TargetError, match="no table of published latencies for `iphone99`"):
        shipped_model("iphone99")


def test_what_suffices() -> None:
    good = Evidence(networks=30, families=10, protocols=2, mape=18, spearman=0.9, factor90=1.6, baseline_mape=24)
    assert shortfalls(good) == ()
    for worse in ({"networks": 29}, {"families": 9}, {"protocols": 1}, {"mape": 18.1, "baseline_mape": 30}, {"spearman": 0.89},
                  {"factor90": 1.61}, {"baseline_mape": 23.9}):  # fmt: skip
        assert len(shortfalls(replace(good, **worse))) == 1, worse  # type: ignore[arg-type]


@pytest.mark.parametrize("phone", ["iphone12", "iphone13"])
def test_no_operation_is_free_and_none_is_absurd(phone: str) -> None:
    expected, fitted = expected_a14(), shipped_model(phone).rates
    for kind in OP_KINDS:
        slowdown = expected.kinds[kind].gb_per_s / fitted.kinds[kind].gb_per_s
        assert 0.2 < slowdown < 10, kind
        assert 0.5 < fitted.kinds[kind].overhead_us / expected.kinds[kind].overhead_us < 2, kind
    assert 0.1 < fitted.base_ms < 1


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("mobilevit_xxs@256", "mobilevit_xxs"), ("mobilevit_xs@256", "mobilevit_xs"), ("mobilevit_s@256", "mobilevit_s"),
     ("mobilevit_xs@patch=8,4,2@256", "mobilevit_xs@patch=8,4,2"), ("mobilevitv2_050@256", "mobilevitv2_0.5"),
     ("mobilevitv2_100@256", "mobilevitv2_1.0"), ("mobilevitv2_200@256", "mobilevitv2_2.0")],
)  # fmt: skip
def test_our_operations_are_those_of_the_converted_program(theirs: str, ours: str) -> None:
    """Count, MACs and bytes by kind; the program's only further weights are constants of element-wise operations."""

    def totals(ops):
        table = {}
        for kind, macs, num_bytes, weight_bytes in ops:
            row = table.setdefault(kind, [0, 0, 0, 0])
            row[0] += 1
            row[1] += macs
            row[2] += num_bytes
            row[3] += weight_bytes if kind != "elementwise" else 0
        return table

    own = totals(op_cost(op) for part in lower(network(ours), 256) for op in part.ops)
    assert own == totals(load_ops()[theirs])


def test_published_mobilevits_lie_in_their_intervals() -> None:
    """At the reference protocol, by the fitted scale of the protocol that they were published under."""
    scales = shipped_model("iphone12").log_scales
    rows = [r for r in published_rows("iphone12") if r.family.startswith("MobileViT") and not r.unused]
    inside = {}
    for r in rows:
        name, _, resolution = r.network.rpartition("@")
        m = PHONE.predict(network(OWN_NAMES.get(name, name)), int(resolution))
        assert m.low is not None and m.high is not None and r.latency_ms is not None
        value = r.latency_ms / math.exp(scales[r.protocol])
        inside[r.network, r.protocol] = m.low <= value <= m.high
    assert len(inside) == 16
    assert [key for key, ok in inside.items() if not ok] == []


@pytest.mark.parametrize("size", ["xxs", "xs", "s"])
def test_config_b_over_config_a(size: str) -> None:
    """Published 0.81 (XS) and 0.83 (S): Tables 6 and 9 of arXiv 2110.02178."""
    assert 0.75 <= _ms(network(f"mobilevit_{size}@patch=8,4,2")) / _ms(network(f"mobilevit_{size}")) <= 0.88


def _with_stage(spec: ArchSpec, index: int, **changes: object) -> ArchSpec:
    stages = list(spec.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(spec, stages=tuple(stages))


@pytest.mark.parametrize("base", ["mobilevit_xs", "mobilevitv2_0.75", "mobilevitv3_xs", "mobilevitv3_0.75"])
@pytest.mark.parametrize("stage", [2, 3, 4])
def test_every_knob_has_the_right_sign(base: str, stage: int) -> None:
    spec = network(base)
    s = spec.stages[stage]
    now = _ms(spec)
    larger = [{"depth": s.depth + 1}, {"dim": s.dim + 32}, {"channels": s.channels + 32}, {"expansion": s.expansion + 1},
              {"ffn_ratio": s.ffn_ratio + 1}]  # fmt: skip
    if isinstance(s, MobileViTStage):
        larger.append({"heads": 2 * s.heads})
    for change in larger:
        assert _ms(_with_stage(spec, stage, **change)) > now, change
    wider = 2 * s.patch[0]
    if isinstance(s, MobileViTStage) and stage < 4:
        assert _ms(_with_stage(spec, stage, patch=(wider, wider))) < now
    assert _ms(_with_stage(spec, 0, channels=spec.stages[0].channels + 8)) > now
    assert _ms(_with_stage(spec, 1, num_blocks=spec.stages[1].num_blocks + 1)) > now


def test_an_odd_patch_pays_for_its_resizing() -> None:
    """Table 6 of arXiv 2110.02178: patch 3 takes 1.49 times as long as patch 2."""
    ratio = _ms(network("mobilevit_s@patch=3,3,3")) / _ms(network("mobilevit_s"))
    assert 1.2 < ratio < 1.7


def test_fallback_risk_is_a_flag_and_moves_no_interval() -> None:
    plain = PHONE.predict(network("mobilevit_xxs"), 256)
    assert plain.flags == ()
    risky = PHONE.predict(replace(network("mobilevit_xxs"), activation="hardswish"), 256)
    assert risky.flags == ("ane-fallback-risk: hardswish",)
    assert risky.high / risky.value == pytest.approx(plain.high / plain.value)  # type: ignore[operator]
    assert PHONE.predict(network("mobilevit_s@patch=3,3,3"), 256).flags == ("ane-fallback-risk: resize",)
    single_pixels = _with_stage(network("mobilevitv2_1.0"), 2, patch=(1, 1))
    assert PHONE.predict(single_pixels, 2048).flags == ("ane-fallback-risk: large-dimension",)


def test_heirs_and_mixtures() -> None:
    """MobileViTv3 has no published latency: a wider interval than the body that it stands on; mixtures lie between."""

    def factor(spec: ArchSpec) -> float:
        m = PHONE.predict(spec, 256)
        assert m.high is not None
        return m.high / m.value

    v1, v3 = network("mobilevit_xs"), network("mobilevitv3_xs")
    mixed = replace(v1, stages=(*v1.stages[:4], v3.stages[4]))
    assert factor(v1) < factor(mixed) < factor(v3)
    assert factor(v1) == pytest.approx(factor(network("mobilevitv2_1.0")))


def test_a_thousand_predictions() -> None:
    """Well under a second of CPU; the first time, operations are listed as well (`benchmarks/latency_prediction.py`)."""
    specs = [
        _with_stage(spec, 3, channels=8 * c) for spec in published_networks().values() for c in range(8, 56)
    ][:1000]  # fmt: skip
    times = []
    for _ in range(2):
        start = time.process_time()
        for spec in specs:
            PHONE.predict(spec, 256)
        times.append(time.process_time() - start)
    assert times[0] < 2 and times[1] < 0.5


def test_rank_correlations() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
