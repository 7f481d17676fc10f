"""Runs compared: groups, panels, shares, files. The values are invented; see `sample`."""

import csv
import re
from dataclasses import replace
from functools import lru_cache

import pytest
from rich.console import Console

from mvsearch.errors import InputError
from mvsearch.report import compare
from mvsearch.report.compare import COMPARE_FILES, check_place, write_compare
from mvsearch.report.compare_csv import ATTAINMENT_COLUMNS, FRONT_COLUMNS, RUN_COLUMNS
from mvsearch.report.compare_data import ComparedRun
from mvsearch.report.compare_figures import comparison_figures
from mvsearch.report.compare_fronts import compared, points_of
from mvsearch.report.compare_page import render_comparison_page
from mvsearch.report.compare_picture import draw_comparison
from mvsearch.report.compare_table import render_comparison
from mvsearch.report.figures import plotly_script
from mvsearch.search.attainment import attains, dominated_share
from mvsearch.search.pareto import hypervolume
from tests.report.sample import synthetic_view

HOSTILE = "<script>alert('run')</script>"


def run(name, seed=0, budgets="2M-params", trials=80, **settings):
    view = synthetic_view(trials, budgets, "mobilevit", seed)
    return ComparedRun(name, replace(view, settings=replace(view.settings, **settings)))


@lru_cache(maxsize=1)
def sample():
    """Three seeds of one budget, two of another, and one run for another device that is not finished."""
    other = run(f"{HOSTILE}&amp", target="iphone13")
    unfinished = replace(other, view=replace(other.view, finished=False, winner=None))
    small = [run(f"small-{s}", s, "1.5M-params") for s in (1, 0)]
    return compared([run("large-0", 0), small[0], run("large-1", 1), run("large-2", 2), small[1], unfinished])


def text_of(comparison, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render_comparison(comparison))
    return console.export_text()


def test_runs_that_differ_in_their_seed_alone_are_one_group():
    groups = sample().groups
    assert [(g.letter, len(g.runs)) for g in groups] == [("A", 3), ("B", 2), ("C", 1)]
    assert [r.view.settings.seed for r in groups[1].runs] == [0, 1]
    assert groups[0].label == "2M-params, iphone12"
    assert groups[1].label == "1.5M-params, iphone12"
    assert {d.name for d in sample().differences} == {"budgets", "target"}


def test_latencies_of_two_devices_stand_in_plots_of_their_own():
    panels = sample().panels_of("latency")
    assert [[f.group for f in p.fronts] for p in panels] == [[0, 1], [2]]
    assert [p.scope for p in panels] == ["iphone12", "iphone13"]
    assert all(p.scope in p.title for p in panels)
    (params,) = sample().panels_of("params")
    assert [f.group for f in params.fronts] == [0, 1, 2], "counted costs are the same on every device"
    page = render_comparison_page(sample())
    assert "Not all of these runs can be compared on this axis" in page


@pytest.mark.parametrize("settings", [{"calibration": "0" * 64}, {"anchors": "f" * 64}], ids=["own calibration", "own anchors"])
def test_other_models_are_another_axis(settings):
    comparison = compared([run("plain"), run("own", **settings)])
    assert len(comparison.panels_of("latency")) == 2
    assert len(comparison.panels_of("params")) == (2 if "anchors" in settings else 1)


def test_latencies_of_two_machines_are_two_axes():
    comparison = compared([replace(run("here", target="cpu"), machine="X"), replace(run("there", target="cpu"), machine="Y")])
    assert [p.scope for p in comparison.panels_of("latency")] == ["X", "Y"]


def test_levels_and_areas_are_those_of_the_runs_own_candidates():
    comparison = sample()
    panel = comparison.panels_of("latency")[0]
    for found in panel.fronts:
        for one, front, area in zip(comparison.groups[found.group].runs, found.fronts, found.areas, strict=True):
            points = [(g, e.measurements["latency"].value) for g, e in points_of(one, comparison.confidence)]
            assert set(front) <= set(points)
            assert all(attains(front, p) for p in points)
            assert area == pytest.approx(hypervolume(points, panel.reference))
        assert all(attains(f, corner) for f in found.fronts for corner in found.levels[-1])
        assert found.growth[-1][1][0] == pytest.approx(sorted(found.areas)[(len(found.areas)) // 2] if len(found.areas) % 2
                                                       else sum(found.areas) / 2)  # fmt: skip
    (duel,) = panel.duels
    shares = [dominated_share(s, f) for f in panel.fronts[0].fronts for s in panel.fronts[1].fronts]
    assert duel.of_second[1:] == (min(shares), max(shares))
    assert duel.pairs == 6
    assert 0 <= duel.higher + duel.lower <= 1 + 1e-9


def test_struck_and_infeasible_networks_are_on_no_front():
    view = run("x").view
    ids = {e.arch_id for _, e in points_of(run("x"), 0.8)}
    assert ids and not ids & {e.arch_id for e in view.struck}
    assert ids <= {t.evaluation.arch_id for t in view.trials if t.feasible}


def test_measured_latencies_are_not_mixed_with_predicted_ones():
    plain = run("plain")
    first = plain.view.front[0]
    numbers = first.evaluation.measurements
    timed = replace(numbers["latency"], kind="measured")
    member = replace(first, evaluation=replace(first.evaluation, measurements={**numbers, "latency": timed}))
    measured = ComparedRun("measured", replace(plain.view, front=(member, *plain.view.front[1:])))
    assert [e.arch_id for _, e in points_of(measured, 0.8)] == [first.evaluation.arch_id]
    assert [p.scope for p in compared([plain, measured]).panels_of("latency")] == ["predicted", "measured"]


def test_bounds_are_at_one_confidence_and_it_is_said():
    comparison = compared([run("loose", confidence=0.6), run("strict", confidence=0.95)])
    assert comparison.confidence == 0.95
    assert any("95 %" in n for n in comparison.notes)


def test_copies_and_unfinished_runs_are_named():
    comparison = compared([run("one"), run("two")])
    assert "runs of one seed" in comparison.notes[0]
    assert any("is not finished: 80 of 80" in n for n in sample().notes)


def test_a_run_without_any_trial_has_a_place():
    empty = replace(run("empty", 1).view, trials=(), front=(), winner=None, finished=False, reference_point=None, struck=())
    comparison = compared([run("full"), ComparedRun("empty", empty)])
    found = [f for p in comparison.panels_of("params") for f in p.fronts]
    assert any(f.areas[0] == 0 for f in found)
    assert "none yet" in text_of(comparison)
    assert "empty" in render_comparison_page(comparison)
    nothing = compared([ComparedRun("a", empty), ComparedRun("b", replace(empty, settings=run("b", 2).view.settings))])
    assert "nothing found within the budgets yet" in text_of(nothing)
    assert comparison_figures(nothing) == {}


def test_the_tables_fit_and_name_the_kinds():
    text = text_of(sample())
    assert max(map(len, text.splitlines())) <= 100
    for word in ("A: 2M-params, iphone12", "hypervolume", "estimated", "predicted", "counted", "not finished", "dominates"):
        assert word in text, word
    assert HOSTILE in text.replace("\n", ""), "text is text"


def test_hostile_text_is_text():
    page = render_comparison_page(sample()).replace(plotly_script(), "")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("<script") == page.count("</script>") == 4
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page


def test_files(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "compared"
    files = write_compare(sample(), folder)
    assert [f.name for f in files] == list(COMPARE_FILES)
    assert sorted(p.name for p in folder.iterdir()) == sorted(COMPARE_FILES)
    tables = {}
    for name, columns in (("compare", RUN_COLUMNS), ("fronts", FRONT_COLUMNS), ("attainment", ATTAINMENT_COLUMNS)):
        with (folder / f"{name}.csv").open(newline="") as file:
            tables[name] = list(csv.DictReader(file))
            assert list(tables[name][0]) == [c for c, _ in columns]
    assert next(iter(tables["compare"][0])) == next(iter(tables["fronts"][0])) == "arch_id"
    winners = {r.view.winner or "" for _, r in sample().runs}
    assert {row["arch_id"] for row in tables["compare"]} == winners
    assert {row["run"] for row in tables["fronts"]} == {r.name for _, r in sample().runs}
    before = {f.name: f.read_bytes() for f in files}
    monkeypatch.setattr(compare, "draw_comparison", lambda found, paths: draw_comparison(found, paths[:1]))
    files = write_compare(sample(), folder)
    assert [f.name for f in files] == [n for n in COMPARE_FILES if n != "compare.png"], "what was there is replaced as a whole"
    assert all(f.read_bytes() == before[f.name] for f in files), "the same runs give the same bytes"


def test_nothing_else_is_overwritten(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    folder = tmp_path / "mine"
    folder.mkdir()
    check_place(folder)
    (folder / "compare.html").write_text("<html>mine</html>")
    for place in (file, folder):
        with pytest.raises(InputError, match="`"):
            write_compare(sample(), place)
    assert (folder / "compare.html").read_text() == "<html>mine</html>"
    (folder / "compare.html").write_text('<meta name="generator" content="mvsearch comparison">')
    check_place(folder)
    (folder / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"run\.json"):
        check_place(folder)
