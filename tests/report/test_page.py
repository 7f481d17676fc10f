import json
import re
from dataclasses import replace

import pytest

from mvsearch.report.figures import plotly_script, tradeoff_figure
from mvsearch.report.labels import Box, Label, label_box, place_labels
from mvsearch.report.page import render_page
from mvsearch.report.scene import COSTS, QUALITIES, build_scene, log_ticks
from tests.report.sample import HOSTILE, NOTE, synthetic_view


@pytest.fixture(scope="module")
def page():
    """The page without plotly's own code."""
    view = synthetic_view(space=HOSTILE)
    hostile = replace(view, machine="</script><img src=x onerror=alert(1)>", target_note=f"{NOTE} <b>&</b>")
    return render_page(hostile).replace(plotly_script(), "")


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_hostile_text_is_text(page):
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("<script") == page.count("</script>") == 3


def test_no_outside_links(page):
    assert not re.search(r"https?://", page)
    assert not re.search(r"(src|href)=\"(?!data:,\")", page)
    assert "default-src 'none'" in page


def test_answer_is_in_words_with_kinds(page):
    view = synthetic_view(space=HOSTILE)
    for text in (view.winner, "estimated at", "predicted on iphone12 at", "Nearest published network", "authors report",
                 "Struck off", "&lt;einsum&gt;", "What every number means", "Nothing was timed on iphone12"):  # fmt: skip
        assert text in page, text


def test_cards_hold_whole_configurations(page):
    data = data_of(page)
    assert set(data["figures"]) == {f"{c}|{q}" for c in COSTS for q in QUALITIES}
    for card in data["cards"]:
        assert len(card["parts"]) == 7
        assert len(card["parts"][0]) == len(data["headings"])
        assert {"top-1", "at least", "latency", "params", "MACs"} <= {name for name, _ in card["numbers"]}
    assert data["cards"][data["shown"]]["role"] == "winner"


@pytest.mark.parametrize("cost", COSTS)
def test_figures_state_kinds_units_and_budget(cost):
    scene = build_scene(synthetic_view(budgets="2M-params,400M-macs,5ms"))
    figure = tradeoff_figure(scene, cost, "estimate")
    title = figure["layout"]["xaxis"]["title"]["text"]
    assert title == scene.axes[cost].title
    assert ("predicted" in title and "ms" in title) if cost == "latency" else "counted" in title
    assert "estimated" in figure["layout"]["yaxis"]["title"]["text"]
    assert len(figure["layout"]["shapes"]) == 1
    assert "budget" in figure["layout"]["annotations"][0]["text"]
    traces = {t.get("name"): t for t in figure["data"]}
    assert traces["winner"]["error_y"]["array"]
    assert ("error_x" in traces["winner"]) == (cost == "latency")
    assert {"square", "diamond", "triangle-up"} <= {
        str(t["marker"]["symbol"]).removesuffix("-open")
        for t in figure["data"]
        if "published" in t.get("name", "") or "within" in t.get("name", "")
    }
    shown = [i for t in figure["data"] for i in t.get("customdata", ())]
    assert sorted(shown) == list(range(len(scene.points)))


def test_a_flops_budget_stands_on_the_macs_axis():
    assert build_scene(synthetic_view(budgets="800M-flops")).axes["macs"].limit == 400


def test_a_run_without_a_front_still_has_a_page():
    view = replace(synthetic_view(), front=(), winner=None, trials=(), hypervolume=(), finished=False)
    page = render_page(view)
    assert "not finished" in page
    assert "No candidate keeps the budget yet" in page


def test_labels_keep_apart_and_inside():
    labels = [Label(50, 50, 40, 10), Label(52, 52, 40, 10), Label(54, 48, 40, 10), Label(199, 50, 40, 10)]
    area = Box(0, 0, 200, 100)
    places = place_labels(labels, [(label.x, label.y) for label in labels], area)
    boxes = [label_box(label, place, 8) for label, place in zip(labels, places, strict=True) if place]
    assert len(boxes) >= 3
    assert all(area.holds(b) for b in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert place_labels([Label(500, 50, 40, 10)], [], area) == [None]


def test_log_ticks_are_few_and_inside():
    for low, high in ((1.2, 9.5), (0.3, 2.6), (80, 1900), (1, 1000)):
        ticks, texts = log_ticks(low, high)
        assert 2 <= len(ticks) <= 9
        assert all(low <= t <= high for t in ticks)
        assert len(texts) == len(ticks)
