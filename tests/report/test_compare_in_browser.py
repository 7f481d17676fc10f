"""The comparison page in headless Chromium: drawn, axes and marks chosen by keyboard, small, silent on the network."""

import json

import pytest

from mvsearch.report.compare_page import render_comparison_page
from tests.report.axe import violations
from tests.report.test_compare import HOSTILE, sample

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "compare.html"
    path.write_text(render_comparison_page(sample()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, path):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def drawn(browser):
    return browser.execute_script(
        """return [...document.querySelectorAll('.js-plotly-plot')].filter((p) => p.offsetParent)
        .map((p) => [p.id, p.querySelectorAll('.scatterlayer .trace').length, p.layout.xaxis.title.text])"""
    )


def settle(browser):
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def test_drawn_and_nothing_is_requested(page):
    panels = [p for p in drawn(page) if p[0].startswith("panel")]
    assert [title for _, _, title in panels] == ["predicted latency on iphone12, ms", "predicted latency on iphone13, ms"]
    assert all(count >= 4 for _, count, _ in panels)
    assert sum(p[0].startswith("growth") for p in drawn(page)) == 2
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in requests), requests
    assert HOSTILE in page.execute_script("return document.body.innerText")
    assert page.execute_script("return document.querySelectorAll('main script').length") == 0


def test_axes_and_marks_by_keyboard(page):
    page.find_element("css selector", "input[value=params]").send_keys(" ")
    settle(page)
    (panel,) = [p for p in drawn(page) if p[0].startswith("panel")]
    assert panel[2] == "counted parameters, millions"
    before = panel[1]
    page.find_element("css selector", "input[value=runs]").send_keys(" ")
    settle(page)
    (panel,) = [p for p in drawn(page) if p[0].startswith("panel")]
    assert panel[1] == before + 5, "single runs of the groups that have several"
    page.find_element("css selector", "input[value=winners]").send_keys(" ")
    settle(page)
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
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    settle(page)
    assert all(a != b for a, b in zip(light, page.execute_script(paper), strict=True))
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    page.refresh()
    settle(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 400
    assert len(drawn(page)) == 4


def test_accessible(page):
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert violations(page) == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert violations(page, "color-contrast") == []
