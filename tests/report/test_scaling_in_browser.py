"""The scaling page in headless Chromium: every view drawn, chosen by keyboard, small, silent on the network."""

import pytest

from mvsearch.report.scaling_page import render_scaling_page
from tests.report.axe import violations
from tests.report.browsing import assert_silent_and_safe, go_dark, go_small, opened
from tests.report.browsing import drawn as plots_drawn
from tests.report.browsing import press as press_input
from tests.report.scaling_sample import HOSTILE, scaling_view

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "scale.html"
    path.write_text(render_scaling_page(scaling_view()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, path):
    with opened(browser, path):
        yield browser


def drawn(browser):
    return {name: traces for name, traces, _ in plots_drawn(browser)}


def press(browser, name, value):
    press_input(browser, f"input[name={name}][value={value}]")


def test_drawn_and_nothing_is_requested(page):
    assert set(drawn(page)) == {"sizes-latency", "marginal", "law-error-params", "compound", "iso-macs-depth"}
    assert all(drawn(page).values())
    assert_silent_and_safe(page, HOSTILE)


def test_every_view_by_keyboard(page):
    for axis in ("params", "macs", "activations"):
        press(page, "axis", axis)
        assert drawn(page)[f"sizes-{axis}"] >= 5
    for name, value, shown in (
        ("law-y", "latency", "law-latency-params"),
        ("law-x", "macs", "law-latency-macs"),
        ("iso-cost", "latency", "iso-latency-depth"),
        ("iso-axis", "resolution", "iso-latency-resolution"),
    ):
        press(page, name, value)
        assert drawn(page)[shown], shown
    press(page, "law-x", "resolution")
    assert "No law of latency against resolution" in page.execute_script("return document.querySelector('.laws').innerText")
    before = drawn(page)["sizes-activations"]
    press(page, "group", "published")
    assert drawn(page)["sizes-activations"] == before - 2
    bars = "return document.querySelectorAll('#sizes-activations .errorbar').length"
    assert page.execute_script(bars) > 0
    press(page, "group", "intervals")
    assert page.execute_script(bars) == 0


def test_hover_shows_the_numbers_with_their_kinds(page):
    text = page.execute_script(
        """const plot = document.getElementById('sizes-latency');
        const trace = plot.data.findIndex((t) => t.legendgroup === 'width' && t.error_y);
        Plotly.Fx.hover(plot, [{ curveNumber: trace, pointNumber: 1 }]);
        return plot.querySelector('.hoverlayer').textContent;"""
    )
    for word in (
        scaling_view().families[0].members[1].arch_id,
        "width 0.75",
        "estimated",
        "predicted",
        "counted",
        "points for",
    ):
        assert word in text, word


def test_dark_and_small(page):
    colours = """return [getComputedStyle(document.body).backgroundColor,
        document.querySelector('#sizes-latency .xtick text').style.fill,
        document.querySelector('#iso-macs-depth .scatterlayer .point').style.fill]"""
    light = page.execute_script(colours)
    go_dark(page)
    assert all(a != b for a, b in zip(light, page.execute_script(colours), strict=True))
    assert go_small(page)
    assert len(drawn(page)) == 5


def test_accessible(page):
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert violations(page) == []
    go_dark(page)
    assert violations(page, "color-contrast") == []
