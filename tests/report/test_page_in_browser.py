"""The page in headless Chromium: drawn, hovered, switched, dark, small, silent on the network."""

import json

import pytest

from mvsearch.report.page import render_page
from tests.report.sample import HOSTILE, synthetic_view

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def page(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(synthetic_view(space=HOSTILE)), encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def drawn(browser):
    return browser.execute_script("return document.querySelectorAll('#tradeoff .scatterlayer .trace').length")


def settle(browser):
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def test_plots_are_drawn_and_nothing_is_requested(page):
    assert drawn(page) >= 6
    assert page.execute_script("return document.querySelectorAll('#progress svg.main-svg').length") > 0
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in requests), requests
    assert sum(url.startswith("file:") for url in requests) <= 1


def test_hover_and_card_show_the_whole_configuration(page):
    winner = synthetic_view(space=HOSTILE).winner
    text = page.execute_script(
        """const plot = document.getElementById('tradeoff');
        const trace = plot.data.findIndex((t) => t.name === 'winner');
        Plotly.Fx.hover(plot, [{ curveNumber: trace, pointNumber: 0 }]);
        return document.querySelector('#tradeoff .hoverlayer').textContent;"""
    ).replace("\u00a0", " ")
    for word in (winner, "estimated", "predicted", "stage 1", "stage 5", "patch", "head", "(90"):
        assert word in text, word
    card = page.execute_script("return document.getElementById('card').innerText")
    for word in (winner, "winner", "stage 3", "FFN", "nearest published network"):
        assert word in card, word


def test_every_candidate_has_hover_text(page):
    lacking = page.execute_script(
        """const plot = document.getElementById('tradeoff');
        return plot.data.filter((t) => t.customdata && !t.hovertemplate.every((h) => h.includes('stage')))
          .map((t) => t.name);"""
    )
    assert lacking == []


def test_axes_and_marks_can_be_chosen(page):
    for cost, word in (("params", "parameters"), ("macs", "multiply-accumulates"), ("latency", "latency")):
        page.find_element("css selector", f"input[value={cost}]").send_keys(" ")
        settle(page)
        assert word in page.execute_script("return document.getElementById('tradeoff').layout.xaxis.title.text")
        assert drawn(page) >= 6
    page.find_element("css selector", "input[value=lower]").send_keys(" ")
    settle(page)
    assert "lower bound" in page.execute_script("return document.getElementById('tradeoff').layout.yaxis.title.text")
    before = drawn(page)
    page.find_element("css selector", "input[value=candidates]").send_keys(" ")
    settle(page)
    assert drawn(page) == before - 1


def test_dark_scheme_repaints(page):
    ink = "return getComputedStyle(document.querySelector('#tradeoff .xtick text')).fill"
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(ink), page.execute_script(paper)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    settle(page)
    dark = page.execute_script(ink), page.execute_script(paper)
    assert light[0] != dark[0] and light[1] != dark[1]
    assert drawn(page) >= 6


def test_a_phone_has_no_sideways_scrolling(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    page.refresh()
    settle(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    assert drawn(page) >= 6
