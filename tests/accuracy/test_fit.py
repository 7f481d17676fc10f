"""The fit: it reproduces the shipped file, and its held-out figures are those that the docs state."""

from __future__ import annotations

import json
import time

import pytest

from mvsearch.accuracy.anchors import MOBILEVIT, data_hash, load_anchors
from mvsearch.accuracy.estimator import ESTIMATOR_FILE, load_estimator
from mvsearch.accuracy.features import part_sizes, total_size
from mvsearch.accuracy.fit import fit, isotonic
from mvsearch.spec.published import network


@pytest.fixture(scope="module")
def fitted() -> dict:
    start = time.perf_counter()
    result = fit()
    result["seconds"] = time.perf_counter() - start
    return result


def assert_close(new: object, old: object, path: str = "") -> None:
    if isinstance(old, dict):
        assert isinstance(new, dict) and set(new) == set(old), path
        for key in old:
            assert_close(new[key], old[key], f"{path}.{key}")
    elif isinstance(old, list):
        assert isinstance(new, list) and len(new) == len(old), path
        for i, (a, b) in enumerate(zip(new, old, strict=True)):
            assert_close(a, b, f"{path}[{i}]")
    else:
        assert new == pytest.approx(old, abs=2e-5), path


def test_refitting_reproduces_the_shipped_file(fitted: dict) -> None:
    seconds = fitted.pop("seconds")
    assert_close(fitted, json.loads(ESTIMATOR_FILE.read_text(encoding="utf8")))
    assert load_estimator().data_hash == data_hash()
    print(f"refit in {seconds:.2f} s")
    assert seconds < 5  # under a second on a quiet core


def test_line_that_has_not_seen_mobilevits_ranks_them() -> None:
    held_out = load_estimator().held_out
    assert held_out["mobilevit"]["networks"] == 19
    assert held_out["mobilevit"]["kendall"] >= 0.92
    assert held_out["mobilevit"]["mae"] <= 0.85
    for alternative in ("mobilevit, line in top-1", "mobilevit, line in top-1 below 15 M"):
        assert held_out["mobilevit"]["mae"] < held_out[alternative]["mae"]
        assert held_out["mobilevit"]["kendall"] > held_out[alternative]["kendall"]


def test_the_power_law_explains_other_families_better_too(fitted: dict) -> None:
    power, line = fitted["compared"]["power of size"], fitted["compared"]["line in top-1"]
    assert power["log_likelihood"] > line["log_likelihood"] + 10
    assert power["mae_family_out"] < line["mae_family_out"]


def test_offsets_order_networks_of_equal_size() -> None:
    band = load_estimator().held_out["mobilevit_size_band"]
    assert band["iso_size_pairs"] == 30
    assert band["iso_size_pairs_right"] >= 27
    assert band["mae"] < 0.65


def test_offsets() -> None:
    offsets = load_estimator().block_offsets
    points = {block: -25 * offset for block, offset in offsets.items()}  # at 75 % top-1
    assert points["v3"] - points["v1"] == pytest.approx(1.2, abs=0.2)
    assert abs(points["v1"]) < 0.7
    assert abs(points["v2"]) < 0.7


def test_costs_equal_the_anchors() -> None:
    anchors = [a for a in load_anchors() if a.family == MOBILEVIT]
    assert len(anchors) == 19
    for anchor in anchors:
        size = total_size(part_sizes(network(anchor.network)))
        assert (size.params, size.macs, size.activations) == (anchor.params, anchor.macs, anchor.activations), anchor.name


@pytest.mark.parametrize("table", ["any", "same_family", "mobilevit"])
def test_calibration_is_monotone_and_near_what_was_observed(table: str) -> None:
    bins = load_estimator().calibration[table]
    probabilities = [b.probability for b in bins]
    assert probabilities == sorted(probabilities)
    assert all(0.5 <= p < 1 for p in probabilities)
    for b in bins:
        if b.pairs >= 20:
            assert abs(b.probability - b.observed) <= 0.1, b


def test_isotonic_pools_what_falls() -> None:
    assert isotonic([0.5, 0.9, 0.7, 1.0], [1, 1, 3, 1]) == pytest.approx([0.5, 0.75, 0.75, 1.0])
