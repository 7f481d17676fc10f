"""What axe-core finds on a page."""

from importlib.resources import files


def violations(browser, *rules):
    """(rule, first element) of every violation of serious or critical impact; of these rules, or of all."""
    browser.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = browser.execute_async_script("axe.run(document, arguments[0]).then(arguments[1])", options)
    assert found["passes"], "nothing was looked at"
    return [(v["id"], v["nodes"][0]["html"]) for v in found["violations"] if v["impact"] in ("serious", "critical")]
