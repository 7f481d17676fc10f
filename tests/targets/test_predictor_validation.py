"""The honesty report: what it says is so, from the shipped tables alone."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import pytest

from mvsearch.api.validate import validate
from mvsearch.errors import TargetError
from mvsearch.targets.predictor.phones import PHONES
from mvsearch.targets.predictor.shipped import shipped_model
from mvsearch.targets.predictor.tables import load_ops, published_rows
from mvsearch.targets.predictor.validation import PhoneValidation, SummaryRow


@lru_cache(maxsize=4)
def validated(phone: str) -> PhoneValidation:
    return validate(phone)


def row(phone: str, scheme: str, subset: str, predictor: str) -> SummaryRow:
    found = [r for r in validated(phone).summary if (r.scheme, r.subset, r.predictor) == (scheme, subset, predictor)]
    assert len(found) == 1
    return found[0]


KNOWN, BASELINE = "shipped, protocol known", "constant + MACs"


def test_unseen_families_of_the_ios_16_era() -> None:
    own = row("iphone12", "leave-family-out", "iOS 16 era", KNOWN)
    assert own.mape_percent <= 18 and own.spearman >= 0.95 and own.factor90 <= 1.6
    assert own.coverage is not None and own.coverage >= 0.88
    assert own.interval_factor is not None and own.interval_factor <= 1.6
    for baseline in (BASELINE, "constant + MACs, protocol known"):
        other = row("iphone12", "leave-family-out", "iOS 16 era", baseline)
        assert own.mape_percent < 0.7 * other.mape_percent and own.factor90 < 0.6 * other.factor90
        assert own.spearman > other.spearman and own.kendall > other.kendall


def test_unseen_mobilevits() -> None:
    own = row("iphone12", "leave-network-out", "MobileViT", KNOWN)
    assert own.networks == 12
    assert own.mape_percent <= 15 and own.kendall >= 0.9
    assert own.coverage is not None and own.coverage >= 0.88
    assert own.interval_factor is not None and own.interval_factor <= 1.6


def test_it_is_no_matter_of_one_family() -> None:
    """Two families out at a time, and networks that only another phone's table holds."""
    two = row("iphone12", "leave-family-out", "iOS 16 era, two families at a time", KNOWN)
    assert two.mape_percent <= 18 and two.spearman >= 0.94
    elsewhere = row("iphone12", "leave-family-out", "iPhone 13: networks not in this table", "shipped, one scale per protocol")
    assert elsewhere.networks >= 20
    assert elsewhere.mape_percent <= 20 and elsewhere.spearman >= 0.9


def test_the_iphone_13_is_predicted_as_well() -> None:
    own = row("iphone13", "leave-family-out", "all", KNOWN)
    assert own.mape_percent <= 18 and own.spearman >= 0.9 and own.factor90 <= 1.6
    assert own.coverage is not None and own.coverage >= 0.88
    assert own.mape_percent < 0.6 * row("iphone13", "leave-family-out", "all", BASELINE).mape_percent


def test_a_refused_phone_is_validated_too() -> None:
    found = validated("iphone14")
    assert "21 networks, 30 needed" in found.refusal and found.noise_floor == ()
    assert all(validated(p).refusal == "" for p in ("iphone12", "iphone13"))


@pytest.mark.parametrize("phone", PHONES)
def test_every_row_is_accounted_for(phone: str) -> None:
    found, rows = validated(phone), published_rows(phone)
    used = [r for r in rows if not r.unused]
    by_family = [r for r in found.held_out if r.scheme == "leave-family-out"]
    assert len(by_family) == len(used) == found.rows_used
    assert {(r.network, r.protocol) for r in by_family} == {(r.network, r.protocol) for r in used}
    timed = [r for r in rows if r.unused and r.latency_ms is not None]
    assert len(found.unused) == len(timed) and all(u.reason for u in found.unused)
    assert {r.network for r in rows} <= set(load_ops())


@pytest.mark.parametrize("phone", ["iphone12", "iphone13"])
def test_held_out_rows_add_up_to_the_summary(phone: str) -> None:
    found = validated(phone)
    for scheme in ("leave-family-out", "leave-network-out"):
        ratios: dict[str, list[float]] = {}
        for r in found.held_out:
            if r.scheme == scheme:
                assert r.low_ms < r.predicted_ms < r.high_ms
                ratios.setdefault(r.network, []).append(math.log(r.ratio))
        errors = [abs(math.expm1(sum(e) / len(e))) for e in ratios.values()]
        own = row(phone, scheme, "all", KNOWN)
        assert own.networks == len(errors)
        assert own.mape_percent == pytest.approx(100 * sum(errors) / len(errors))
    worst = [abs(math.log(r.ratio)) for r in found.worst]
    assert worst == sorted(worst, reverse=True) and all(r in found.held_out for r in found.worst)


def test_what_fell_off_the_neural_engine_is_left_out_and_shown() -> None:
    off = {(u.network, u.printed_ms): u for u in validated("iphone13").unused if u.off_neural_engine}
    assert {("mobilevitv2_050@256", 9.47), ("mobilenetv3_large_100@224", 11.4)} <= set(off)
    for u in off.values():
        assert u.predicted_ms is not None and u.printed_ms > 4 * u.predicted_ms
    assert off["mobilevitv2_050@256", 9.47].risk == "ane-fallback-risk: separable-attention"
    assert off["mobilenetv3_large_100@224", 11.4].risk == "ane-fallback-risk: hardswish"


def test_laboratories_differ_less_than_the_predictor_errs() -> None:
    floor = {(n.subset, n.how): n for n in validated("iphone12").noise_floor}
    recent = floor["iOS 16 era", "after protocol scales"]
    assert recent.pairs == 70
    assert 3 < recent.median_percent < row("iphone12", "leave-family-out", "iOS 16 era", KNOWN).median_percent
    assert recent.within_10 <= recent.within_20 <= 1


def test_two_own_anchors_halve_the_error_on_mobilevit() -> None:
    effects = {(a.subset, a.anchors): a for a in validated("iphone12").anchors}
    assert set(effects) == {(s, k) for s in ("all families", "MobileViT") for k in range(4)}
    none, two = effects["MobileViT", 0], effects["MobileViT", 2]
    assert two.mape_percent <= 0.5 * none.mape_percent
    for subset in ("all families", "MobileViT"):
        errors = [effects[subset, k].mape_percent for k in range(4)]
        assert errors == sorted(errors, reverse=True)
    assert effects["all families", 2].mape_percent < 0.6 * effects["all families", 0].mape_percent


def test_scales_and_ratios() -> None:
    found = validated("iphone12")
    reference = [s for s in found.scales if s.reference]
    assert len(reference) == 5 and all(0.95 < s.scale < 1.05 for s in reference)
    assert next(s.scale for s in found.scales if s.protocol == "mobilevit-2021") > 1.5
    assert sum(s.rows for s in found.scales) == found.rows_used
    ratios = {r.name.split()[0]: r for r in found.ratios}
    assert ratios["mobilevit_xs"].published == pytest.approx(0.815, abs=1e-3)
    assert all(0.75 <= r.fitted <= 0.88 for r in ratios.values())
    # Both of a size held out, the smallest ratio falls just short of that range.
    assert all(0.74 <= r.predicted <= 0.88 for r in ratios.values())


@pytest.mark.parametrize("phone", PHONES)
def test_it_is_plain_data(phone: str) -> None:
    text = json.dumps(validated(phone).to_json(), allow_nan=False)
    assert json.loads(text)["target"] == phone


def test_the_shipped_interval_is_the_one_that_was_checked() -> None:
    for phone in ("iphone12", "iphone13"):
        model = shipped_model(phone)
        held = [r for r in validated(phone).held_out if r.scheme == "leave-network-out"]
        inside = [abs(math.log(r.ratio)) <= model.half_width for r in held]
        assert sum(inside) / len(inside) >= 0.88
        assert model.half_width <= model.heir_half_width < math.log(1.6)


def test_unknown_targets() -> None:
    with pytest.raises(TargetError, match="no table of published latencies for `cpu`"):
        validate("cpu")
    assert validate("iPhone 12").target == "iphone12"
