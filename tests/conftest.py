"""What tests share. No test reads or writes the user's own cache of measurements."""

import os
import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    os.environ["MVSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; `get_log("browser")` has the errors of scripts."""
    chromium, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        missing = "chromium or chromedriver is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


# Before xdist's own hook, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a fixture of their module go to one worker (`--dist loadgroup`), so that it is made once."""
    for item in items:
        made = getattr(item, "_fixtureinfo", None)
        if made and any(d.scope == "module" for definitions in made.name2fixturedefs.values() for d in definitions):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
