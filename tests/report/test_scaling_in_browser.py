"""The scaling page in headless Chromium: every view drawn, chosen by keyboard, small, silent on the network."""

import json

import pytest

from mvsearch.report.scaling_page import render_scaling_page
from tests.report.axe import violations
from tests.report.scaling_sample import HOSTILE, scaling_view

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "scale.html"
    path.write_text(render_scaling_page(scaling_view()), encoding="utf-8")
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
    found = browser.execute_script(
        """return [...document.querySelectorAll('.js-plotly-plot')].filter((p) => p.offsetParent)
        .map((p) => [p.id, p.querySelectorAll('.scatterlayer .trace').length])"""
    )
    return dict(found)


def press(browser, name, value):
    browser.find_element("css selector", f"input[name={name}][value={value}]").send_keys(" ")
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def test_drawn_and_nothing_is_requested(page):
    assert set(drawn(page)) == {"sizes-latency", "marginal", "law-error-params", "compound", "iso-macs-depth"}
    assert all(drawn(page).values())
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in requests), requests
    assert HOSTILE in page.execute_script("return document.body.innerText")
    assert page.execute_script("return document.querySelectorAll('main script').length") == 0


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
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    page.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")
    assert all(a != b for a, b in zip(light, page.execute_script(colours), strict=True))
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") <= 400
    assert len(drawn(page)) == 5


def test_accessible(page):
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert violations(page) == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert violations(page, "color-contrast") == []
