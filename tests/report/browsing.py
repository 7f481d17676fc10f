"""A plotly page in headless Chromium: opened, drawn, silent on the network."""

import json
from contextlib import contextmanager


@contextmanager
def opened(browser, path):
    """The page, light and wide; nothing was said on the console when it is left."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def settle(browser):
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def drawn(browser):
    """(id, number of traces, title of the x axis) of every plot that is to be seen."""
    return browser.execute_script(
        """return [...document.querySelectorAll('.js-plotly-plot')].filter((p) => p.offsetParent)
        .map((p) => [p.id, p.querySelectorAll('.scatterlayer .trace').length, p.layout.xaxis.title.text])"""
    )


def press(browser, selector):
    """Choose an input by keyboard."""
    browser.find_element("css selector", selector).send_keys(" ")
    settle(browser)


def go_dark(browser):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    settle(browser)


def go_small(browser):
    """A phone's width; whether the page fits it."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.refresh()
    settle(browser)
    return browser.execute_script("return document.documentElement.scrollWidth") <= 400


def assert_silent_and_safe(browser, hostile):
    """No network, and a hostile text is shown as text."""
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in requests), requests
    assert hostile in browser.execute_script("return document.body.innerText")
    assert browser.execute_script("return document.querySelectorAll('main script').length") == 0
