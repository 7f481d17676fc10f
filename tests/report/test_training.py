"""The trainings in the terminal, on the page and as rows: what a reader has to be told is there; nothing breaks the page."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from mvsearch.accuracy.marriage import Marriage, Scored, marry
from mvsearch.accuracy.trained import CurvePoint, TrainingRecord
from mvsearch.report.training import count_text, render_training
from mvsearch.report.training_csv import TRAINING_COLUMNS, training_rows, write_training_csv
from mvsearch.report.training_figures import curves_figure, training_figures
from mvsearch.report.training_page import training_section
from tests.accuracy.simulated import ANCHORS, RECIPES, candidate, estimate, training, world

Told = tuple[Marriage, list[TrainingRecord], dict[str, str]]
HOSTILE = '<script>alert(1)</script>&"'


def told(trusted: bool = False, anchors: tuple[str, ...] = ANCHORS, loss_sd: float = 0.001) -> Told:
    """Twelve candidates, one failed, one broken; by default ten published networks in perfect order."""
    networks = world(0, 12, anchors, loss_sd=loss_sd).networks
    failed, broken = candidate(50), candidate(51)
    networks += [
        Scored(failed, estimate(70, 1.6), None, (training(failed, None),)),
        Scored(broken, estimate(71, 1.6), None, (training(broken, 6.5),)),
    ]
    records = [r for n in networks for r in n.records]
    return marry(networks, RECIPES[:1], trusted), records, {failed.arch_id: HOSTILE}


def text_of(told: Told, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_training(*told, limit=30))
    return console.export_text()


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("anchors", [(), ANCHORS])
def test_the_sentence_on_trust_comes_first(trusted: bool, anchors: tuple[str, ...]) -> None:
    found = told(trusted, anchors)
    sentence = found[0].sentence
    assert plain(text_of(found)).startswith(f"What training says {sentence}")
    section = re.sub("<[^>]*>", "", training_section(*found).replace("<code>", "`").replace("</code>", "`"))
    assert section.split("\n")[1].replace("\u00a0", " ") == sentence


def test_the_terminal_shows_every_network_and_rung() -> None:
    found = told()
    text = text_of(found)
    assert max(map(len, text.splitlines())) <= 100
    for n in found[0].networks:
        assert found[2].get(n.arch_id, n.arch_id)[:8] in text
        if n.trained:
            assert f"{n.after.value:.1f} ±" in text and f"{n.trained.top1:.1f} ±" in text
    assert "20 of 20 pairs" in plain(text)
    assert "nan: loss is not finite after step 33" in plain(text)
    assert "far off the others" in plain(text)
    assert "assumed" in text  # no network was trained twice
    assert f"{found[0].scales[0].why}." in plain(text)


def test_without_trust_nothing_is_called_after() -> None:
    found = told(anchors=())
    assert not re.search("before +after", text_of(found))
    assert re.search("before +after", text_of(told(trusted=True, anchors=())))
    assert "after, %" not in training_section(*found)
    change = training_figures(*found)["training-change"]
    assert not any(t.get("name", "").startswith("after") for t in change["data"])
    assert any("not used" in t.get("name", "") for t in change["data"])


class _Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("found", [told(), told(anchors=()), told(trusted=True, anchors=ANCHORS[:3])])
def test_every_figure_has_its_place_and_is_plotly(found: Told) -> None:
    import plotly.graph_objects as go

    figures = training_figures(*found)
    parser = _Ids()
    parser.feed(training_section(*found))
    assert sorted(parser.ids) == sorted(figures) and parser.open == []
    for figure in figures.values():
        go.Figure(figure)  # refuses what plotly does not know
        json.loads(json.dumps(figure, allow_nan=False))
        assert "<script" not in json.dumps(figure)


def test_the_figures_hold_the_numbers() -> None:
    found = told()
    figures = training_figures(*found)
    after = next(t for t in figures["training-change"]["data"] if t.get("name", "").startswith("after"))
    trained = [n for n in found[0].networks if n.losses or n.failures]
    assert sorted(after["x"]) == pytest.approx(sorted(n.after.value for n in trained), abs=0.01)
    curves = figures["training-curves"]["data"][0]
    assert curves["y"].count(None) == len(found[1])
    assert "rung 0: 100 steps" in curves["name"]
    stars = next(t for t in figures["training-rung-0"]["data"] if "published" in t.get("name", ""))
    assert len(stars["x"]) == 10


def test_a_loss_that_is_not_finite_leaves_a_gap() -> None:
    marriage, records, names = told()
    wild = replace(records[0], curve=(*records[0].curve[:2], CurvePoint(100, float("nan"), float("nan"), 10.0)))
    text = json.dumps(curves_figure(marriage, [wild, *records[1:]], names), allow_nan=False)
    assert "null" in text


def test_nothing_trained() -> None:
    marriage = marry([Scored(candidate(0), estimate(70, 1))], RECIPES)
    assert "No network was trained" in text_of((marriage, [], {}))
    assert training_section(marriage, [], {}).endswith(f"{marriage.sentence}</p>")
    assert marry([], []).sentence == marriage.sentence
    for figure in training_figures(marriage, [], {}).values():
        json.dumps(figure)


def test_trainings_that_left_no_trace_have_no_device() -> None:
    well, lost = training(candidate(0), 1.0), replace(training(candidate(1), None), device="", num_val=0)
    assert "1 failed, 60 seconds in all on cpu. " in count_text([well, replace(lost, seconds=0.0)])
    assert "none failed, 2.0 hours in all on cpu. " in count_text([well, replace(well, seconds=7140.0)])
    assert count_text([lost]) == "1 training of 1 network, and it failed."
    assert count_text([lost, lost]) == "2 trainings of 1 network, and all of them failed."


def test_rows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    marriage, records, names = told()
    path = tmp_path / "training.csv"
    write_training_csv(path, training_rows(marriage, records, names))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert next(iter(rows[0])) == "arch_id"
    assert list(rows[0]) == [name for name, _ in TRAINING_COLUMNS]
    assert len(rows) == len(records)
    by_id = {r["arch_id"]: r for r in rows}
    for n in marriage.networks:
        row = by_id[n.arch_id]
        assert float(row["top1_after"]) == pytest.approx(n.after.value, rel=1e-5)
        assert (row["top1_trained"] == "") == (n.trained is None)
    failed = next(r for r in rows if r["failure"])
    assert (
        failed["failure"] == "nan: loss is not finite after step 33" and failed["val_loss"] == "" and failed["name"] == HOSTILE
    )
    assert by_id[records[0].arch_id]["curve"].startswith("33:")
