"""What the estimate says about published MobileViTs that it does not know, and how sure it says it is."""

import numpy as np
import pytest

from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.fit import kendall
from mvsearch.accuracy.validation.held_out import band_estimators, coverage, held_out
from mvsearch.accuracy.validation.labels import knob_rows
from mvsearch.accuracy.validation.networks import BANDS
from mvsearch.accuracy.validation.stated import MIN_PAIRS, TOLERANCE, calibration_rows


def test_the_figures_are_those_of_the_fit():
    rows = held_out()
    labels = np.array([h.judged.top1 for h in rows])
    family = np.array([h.family_out for h in rows])
    shipped = load_estimator().held_out
    assert kendall(family, labels) == pytest.approx(shipped["mobilevit"]["kendall"])
    assert np.abs(family - labels).mean() == pytest.approx(shipped["mobilevit"]["mae"], abs=1e-4)
    inside = [h for h in rows if h.judged.band != BANDS[-1]]
    mae = np.mean([abs(h.band_out - h.judged.top1) for h in inside])
    assert mae == pytest.approx(shipped["mobilevit_size_band"]["mae"], abs=1e-4)
    right = sum(
        (a.band_out > b.band_out) == (a.judged.top1 > b.judged.top1)
        for i, a in enumerate(inside)
        for b in inside[:i]
        if a.judged.band == b.judged.band
    )
    assert right == shipped["mobilevit_size_band"]["iso_size_pairs_right"] >= 27


def test_no_band_shapes_what_is_said_about_it():
    estimators = band_estimators()
    assert len({tuple(e.block_offsets.values()) for e in estimators.values()}) == 4
    assert estimators["larger"].sigma == pytest.approx(load_estimator().sigma, abs=1e-4)
    # The least networks err most: without them the others look better than they are.
    assert estimators["XXS"].sigma < load_estimator().sigma < estimators["S"].sigma


def test_coverage_is_counted():
    bands, shipped, larger = coverage()
    assert (bands.networks, shipped.networks, larger.networks) == (15, 15, 4)
    assert 10 <= bands.inside <= shipped.inside <= 15
    assert shipped.half_width == pytest.approx(1.645 * load_estimator().sigma, abs=1e-3)


def test_single_knobs():
    rows = {(k.knob, k.change): k for k in knob_rows()}
    depth = [k for (knob, _), k in rows.items() if knob == "depth"]
    patch = [k for (knob, _), k in rows.items() if knob == "patch"]
    v3 = [k for (knob, _), k in rows.items() if knob == "v1 or v2 to v3"]
    assert [len(depth), len(patch), len(v3)] == [3, 4, 6]
    assert all(k.sign_right and abs(k.error) <= 0.35 for k in depth)
    assert all(abs(k.error) <= 0.2 for k in patch)
    assert all(k.seen == "fitted to it" for k in patch)
    assert all(k.sign_right for k in v3)


def test_stated_probabilities_come_true():
    rows = calibration_rows()
    assert {r.kind for r in rows} == {"any two networks", "one family", "two MobileViTs"}
    judged = [r for r in rows if r.pairs >= MIN_PAIRS]
    assert len(judged) >= 12
    assert all(r.error <= TOLERANCE for r in judged)
    # The second column is another table's, not the same one again.
    assert any(abs(r.stated - r.stated_held_out) > 1e-3 for r in rows)
    by_kind = [r for r in rows if r.kind == "any two networks"]
    assert [r.stated_held_out for r in by_kind] == sorted(r.stated_held_out for r in by_kind)


def test_the_shipped_table_counts_the_same_pairs():
    rows = {(r.kind, r.low): r for r in calibration_rows()}
    for b in load_estimator().calibration["same_family"]:
        assert rows["one family", b.low].pairs == b.pairs
        assert rows["one family", b.low].observed == pytest.approx(b.observed, abs=1e-4)
