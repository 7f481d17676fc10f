"""The page as text: what it holds, that hostile text stays text, that a run in any state has one."""

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from mvsearch.report.figures import plotly_script
from mvsearch.report.labels import Box, Label, label_box, place_labels
from mvsearch.report.page import render_page
from mvsearch.report.scene import build_scene, log_ticks
from mvsearch.report.select import knee
from mvsearch.spec.record import Failure
from tests.report.sample import HOSTILE, NOTE, synthetic_view

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page():
    """A page on which everything that a user can name is hostile."""
    view = synthetic_view(space=HOSTILE)
    trials = tuple(replace(t, origin=EVIL) if t.number < 5 else t for t in view.trials)
    failed = replace(trials[7].evaluation, failure=Failure("oom", EVIL))
    trials = (*trials[:7], replace(trials[7], evaluation=failed, feasible=False), *trials[8:])
    return render_page(replace(view, machine=EVIL, command=EVIL, target_note=f"{NOTE} <b>&</b>", trials=trials, notes=(EVIL,)))


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_hostile_text_is_text(page):
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert" in page and "&lt;img" in page
    assert page.count("<script") == page.count("</script>") == 2
    assert EVIL in data_of(page)["origins"]


def test_no_outside_links_and_only_its_own_scripts_run(page):
    addresses = set(re.findall(r"https?://[^\"'` )]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address to load
    assert not re.search(r"(src|href)=\"(?!data:,\")", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy and "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_plotly_is_left_out_where_nothing_was_trained(page):
    assert plotly_script() not in page
    assert len(page) < 700_000


def test_answer_is_in_words_with_kinds(page):
    view = synthetic_view(space=HOSTILE)
    for text in (view.winner, "estimated at", "predicted on iphone12 at", "Nearest published network", "authors report",
                 "Struck off", "&lt;einsum&gt;", "What every number means", "Nothing was timed on iphone12",
                 "Failures by kind", "convert-fail", "Which knobs matter", "Where the candidates came from"):  # fmt: skip
        assert text in page, text


def test_a_flops_budget_stands_on_the_macs_axis():
    assert build_scene(synthetic_view(budgets="800M-flops")).axes["macs"].limit == 400
    (budget,) = data_of(render_page(synthetic_view(budgets="800M-flops")))["budgets"]
    assert (budget["metric"], budget["limit"]) == ("macs", 400e6)


def test_a_run_without_a_front_still_has_a_page():
    view = replace(synthetic_view(), front=(), winner=None, trials=(), hypervolume=(), finished=False, runner_up=None)
    page = render_page(view)
    assert "not finished" in page
    assert "No candidate keeps the budget yet" in page
    assert 'id="live"' in page


def test_only_a_page_of_a_run_under_way_reads_itself_again():
    view = synthetic_view()
    assert data_of(render_page(view))["running"] is None and 'id="live"' not in render_page(view)
    running = data_of(render_page(replace(view, finished=False)))["running"]
    assert running == {"trials": view.counts.evaluated, "seconds": view.seconds}


def test_where_nothing_is_feasible_the_nearest_stand_there_with_what_binds():
    view = synthetic_view(budgets="2M-params,1ms")
    assert not any(t.feasible for t in view.trials)
    page = render_page(view)
    for text in (
        "what comes nearest",
        "What binds is 1ms",
        "not exceeded with 80",
        "budget 2M-params",
        "Nothing keeps the budget",
    ):
        assert text in page.replace("\u00a0", " "), text
    assert "Nothing keeps the budget" not in render_page(synthetic_view())


def test_the_knee_is_where_the_front_bends():
    view = synthetic_view()
    member = view.front[0]

    def at(ms, top1):
        numbers = {**member.evaluation.measurements}
        numbers["latency"] = replace(numbers["latency"], value=ms)
        return replace(member, evaluation=replace(member.evaluation, measurements=numbers), lower_top1=top1)

    bent = [at(1, 70.0), at(1.2, 72.0), at(1.5, 74.0), at(3, 74.4), at(6, 74.8)]
    ids = iter("abcde")
    named = [replace(m, evaluation=_with_id(m.evaluation, next(ids))) for m in bent]
    assert knee(named) == named[2].evaluation.arch_id
    straight = [at(2.0**k, 70.0 + k) for k in range(5)]
    assert knee(straight) is None and knee(bent[:4]) is None


def _with_id(evaluation, mark):
    spec = replace(evaluation.spec, num_classes=10 + ord(mark))
    return replace(evaluation, spec=spec)


def test_labels_keep_apart_and_inside():
    labels = [Label(50, 50, 40, 10), Label(52, 52, 40, 10), Label(54, 48, 40, 10), Label(199, 50, 40, 10)]
    area = Box(0, 0, 200, 100)
    places = place_labels(labels, [(label.x, label.y) for label in labels], area)
    boxes = [label_box(label, place, 8) for label, place in zip(labels, places, strict=True) if place]
    assert len(boxes) >= 3
    assert all(area.holds(b) for b in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert place_labels([Label(500, 50, 40, 10)], [], area) == [None]


def test_a_narrow_range_has_ticks_too():
    for low, high in ((1.5, 2.9), (1.01, 1.2), (2.2, 2.21)):
        ticks, texts = log_ticks(low, high)
        assert 3 <= len(ticks) <= 9
        assert len(set(texts)) == len(ticks)
        assert all(low <= t <= high for t in ticks)


def test_log_ticks_are_few_and_inside():
    for low, high in ((1.2, 9.5), (0.3, 2.6), (80, 1900), (1, 1000)):
        ticks, texts = log_ticks(low, high)
        assert 2 <= len(ticks) <= 9
        assert all(low <= t <= high for t in ticks)
        assert len(texts) == len(ticks)
