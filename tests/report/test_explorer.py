"""What the explorer's scripts get: every number and knob of every network, whole, and no more than that."""

import json
import time

import pytest

from mvsearch.accuracy import explain_top1
from mvsearch.accuracy.field import field_points
from mvsearch.costs import count
from mvsearch.report.explorer import explorer_data, failures_by_kind, origins_of, run_importances
from mvsearch.report.explorer_columns import knobs_of
from mvsearch.report.explorer_field import MAIN_FAMILIES, field_of, field_rows
from mvsearch.report.explorer_rows import nearest_of, rows_of
from mvsearch.report.page import render_page
from mvsearch.search.estimate import estimate
from mvsearch.spec.published import published_networks
from mvsearch.targets import get_target
from tests.report.large import large_view
from tests.report.sample import synthetic_view


@pytest.fixture(scope="module")
def view():
    return synthetic_view(200, "2M-params,5ms")


@pytest.fixture(scope="module")
def rows(view):
    return rows_of(view)


@pytest.fixture(scope="module")
def data(view, rows):
    return json.loads(json.dumps(explorer_data(view, rows, field_of("iphone12"), get_target("iphone12"))))


def at(column, i):
    return column[i] if isinstance(column, list) else column


def test_rows_are_all_trials_and_all_published_networks(view, rows):
    assert [r.name for r in rows[: len(view.trials)]] == [t.evaluation.arch_id for t in view.trials]
    assert [r.name for r in rows[len(view.trials) :]] == [p.name for p in view.published]
    roles = {r.name: r.role for r in rows}
    assert roles[view.winner] == "winner"
    assert {roles[m.evaluation.arch_id] for m in view.front} <= {"winner", "tied", "front"}
    assert roles[view.struck[0].arch_id] == "struck"
    assert all(r.role == "over" for r in rows if r.trial is not None and not r.feasible)


def test_columns_hold_every_number_with_its_interval_and_source(rows, data):
    metrics = {m["key"]: m for m in data["metrics"]}
    assert set(metrics) >= {"top1", "lower", "latency", "params", "macs", "activations", "peak_memory", "weight_bytes",
                            "distance", "on_front", "in_budget", "trial", "generation"}  # fmt: skip
    for i, row in enumerate(rows):
        numbers = row.evaluation.measurements
        assert metrics["params"]["values"][i] == numbers["params"].value
        assert metrics["macs"]["values"][i] == numbers["macs"].value
        assert metrics["top1"]["low"][i] == pytest.approx(numbers["top1"].low, rel=1e-4)
        assert metrics["latency"]["high"][i] == pytest.approx(numbers["latency"].high, rel=1e-4)
        kind, level, target, basis, protocol, n, _ = data["sources"][at(metrics["latency"]["source"], i)]
        m = numbers["latency"]
        assert (kind, level, target, basis, protocol, n) == (m.kind, m.level, m.target, m.basis, m.protocol, m.n)


def test_knobs_and_fixed_parts_are_the_whole_configuration(rows, data):
    knobs = {k["name"]: k for k in data["knobs"]}
    for i, row in enumerate(rows):
        own = knobs_of(row.evaluation.spec)
        for name, knob in knobs.items():
            place = at(knob["data"], i)
            assert (knob["values"][place] if place >= 0 else None) == own.get(name)
    assert {b for r in rows for b in (s.block for s in r.evaluation.spec.stages)} == set(data["blocks"])


def test_costs_by_stage_add_up_to_the_counted_ones_and_to_the_prediction(rows, data):
    parts, target = data["costs"]["parts"], get_target("iphone12")
    for i in range(0, len(rows), 17):
        spec, own = rows[i].evaluation.spec, data["costs"]["of"][i]
        costs = count(spec, 256)
        assert sum(parts["params"][k] for k in own) == costs.params
        assert sum(parts["macs"][k] for k in own) == costs.macs
        assert max(parts["peak"][k] for k in own) == costs.peak_memory
        ms = data["costs"]["constant"][i] + data["costs"]["factor"][i] * sum(parts["ms"][k] for k in own)
        assert ms == pytest.approx(target.predict(spec, 256).value, rel=2e-3)


def test_kinds_of_operation_are_there_for_the_front_and_the_published(view, rows, data):
    wanted = {str(i) for i, r in enumerate(rows) if r.role in ("winner", "tied", "front", "published")}
    assert wanted <= set(data["kinds"]["of"])
    for i in list(wanted)[:5]:
        assert sum(k[2] for k in data["kinds"]["of"][i]) == count(rows[int(i)].evaluation.spec, 256).params


def test_a_target_that_cannot_split_its_prediction_has_no_milliseconds(view, rows):
    costs = explorer_data(view, rows, (), None)["costs"]
    assert costs["factor"] is None and costs["constant"] is None and set(costs["parts"]["ms"]) == {None}


def test_the_nearest_network_is_the_estimate_s():
    target = get_target("iphone12")
    for spec in list(published_networks().values())[::4]:
        changed = spec.with_classes(100)
        assert nearest_of(estimate(changed, 256, target)) == explain_top1(changed, 256).nearest != ""


def test_distance_from_evidence_is_the_estimate_s(view):
    from dataclasses import replace

    from mvsearch.spec.run import PublishedPoint

    target = get_target("iphone12")
    published = tuple(
        PublishedPoint(name, estimate(spec, 256, target), True, None) for name, spec in published_networks().items()
    )
    trials = tuple(replace(t, evaluation=estimate(t.evaluation.spec, 256, target)) for t in view.trials[:20])
    rows = rows_of(replace(view, trials=trials, published=published, front=(), winner=None, struck=()))
    for row in rows[:20]:
        assert row.distance == pytest.approx(explain_top1(row.evaluation.spec, 256).distance, abs=0.02)
    assert min(r.distance for r in rows[20:]) == 0


def test_the_field_is_published_numbers_of_other_families(data):
    field = field_of("iphone12")
    assert {p.family for p in field} >= set(MAIN_FAMILIES)
    assert not {p.our_name for p in field} & set(published_networks())
    assert len(data["field"]) == len(field) < len(field_points("iphone12"))
    assert len({row["name"] for row in data["field"]}) == len(field)
    assert [row.get("latency") for row in data["field"]] == [p.latency_ms for p in field]
    assert all(any(key == "source" for key, _ in row["facts"]) for row in data["field"])
    assert not any("latency" in row for row in field_rows(field_of("cpu")))


def test_importances_find_what_the_sample_s_latency_is_made_of(rows):
    found = {(i.dimension, i.objective): i for i in run_importances(rows_of(synthetic_view(600)))}
    depth = max(found["stage3.depth", "latency"].share, found["stage3.channels", "latency"].share)
    assert depth > found["stem.channels", "latency"].share if ("stem.channels", "latency") in found else depth > 0.05
    assert any(i.is_above_noise for (_, objective), i in found.items() if objective == "params")


def test_failures_and_origins_add_up(view):
    assert failures_by_kind(view) == [("convert-fail", len(view.struck), view.struck[0].failure.message)]
    found = origins_of(view)
    assert sum(n for _, n, _, _ in found) == len(view.trials)
    assert sum(feasible for _, _, feasible, _ in found) == sum(t.feasible for t in view.trials)
    assert sum(front for *_, front in found) == len(view.front)


def test_three_thousand_trials_are_a_small_page_made_quickly():
    view = large_view(3000)
    start = time.perf_counter()
    page = render_page(view)
    took = time.perf_counter() - start
    assert len(page) < 3_000_000
    assert took < 15, f"{took:.1f} s"  # 2 s on an idle core
