"""The comparison page in headless Chromium: drawn, axes and marks chosen by keyboard, small, silent on the network."""

import pytest

from mvsearch.report.compare_page import render_comparison_page
from tests.report.axe import violations
from tests.report.browsing import assert_silent_and_safe, drawn, go_dark, go_small, opened, press
from tests.report.test_compare import HOSTILE, sample

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "compare.html"
    path.write_text(render_comparison_page(sample()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, path):
    with opened(browser, path):
        yield browser


def test_drawn_and_nothing_is_requested(page):
    panels = [p for p in drawn(page) if p[0].startswith("panel")]
    assert [title for _, _, title in panels] == ["predicted latency on iphone12, ms", "predicted latency on iphone13, ms"]
    assert all(count >= 4 for _, count, _ in panels)
    assert sum(p[0].startswith("growth") for p in drawn(page)) == 2
    assert_silent_and_safe(page, HOSTILE)


def test_axes_and_marks_by_keyboard(page):
    press(page, "input[value=params]")
    (panel,) = [p for p in drawn(page) if p[0].startswith("panel")]
    assert panel[2] == "counted parameters, millions"
    before = panel[1]
    press(page, "input[value=runs]")
    (panel,) = [p for p in drawn(page) if p[0].startswith("panel")]
    assert panel[1] == before + 5, "single runs of the groups that have several"
    press(page, "input[value=winners]")
    assert next(p for p in drawn(page) if p[0].startswith("panel"))[1] == before + 5 - 2


def test_hover_names_the_winner(page):
    text = page.execute_script(
        """const plot = document.getElementById('panel-0');
        const trace = plot.data.findIndex((t) => t.legendgroup === 'winners');
        Plotly.Fx.hover(plot, [{ curveNumber: trace, pointNumber: 0 }]);
        return plot.querySelector('.hoverlayer').textContent;"""
    )
    winner = sample().groups[0].runs[0].view.winner
    for word in (winner, "winner of large-0", "estimated", "predicted", "counted"):
        assert word in text, word


def test_dark_and_small(page):
    paper = (
        "return [getComputedStyle(document.body).backgroundColor, document.querySelector('#panel-0 .xtick text').style.fill]"
    )
    light = page.execute_script(paper)
    go_dark(page)
    assert all(a != b for a, b in zip(light, page.execute_script(paper), strict=True))
    assert go_small(page)
    assert len(drawn(page)) == 4


def test_accessible(page):
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert violations(page) == []
    go_dark(page)
    assert violations(page, "color-contrast") == []
