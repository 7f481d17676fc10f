"""The page in headless Chromium: every view drawn and linked, by mouse and keyboard, in both schemes, at two widths.

One page is opened once and walked through; what a test chooses it lets go again.
"""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from mvsearch.report.page import render_page
from mvsearch.search.final import Verified
from mvsearch.search.trained_front import Trained
from mvsearch.spec.arch import from_json
from tests.report.sample import HOSTILE, synthetic_view
from tests.report.test_training import told

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETTLE = """const done = arguments[0];
requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(done), 0)))"""


class Page:
    """A page in the browser, and what is done with it."""

    def __init__(self, browser, path):
        self.browser, self.path = browser, path

    def open(self, fragment=""):
        self.browser.get("about:blank")
        self.browser.get(self.path.as_uri() + fragment)
        self.settle()

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def do(self, script, *arguments):
        self.js(script, *arguments)
        self.settle()

    def settle(self):
        self.browser.execute_async_script(SETTLE)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).innerText", selector).replace("\u00a0", " ")

    def press(self, selector, *keys):
        element = self.browser.find_element("css selector", selector)
        for key in keys:
            element.send_keys(key)
        self.settle()

    def mouse(self, kind, selector, x, y, **more):
        """A pointer event at a place within an element, in pixels."""
        self.do(
            """const [kind, selector, x, y, more] = arguments, box = document.querySelector(selector).getBoundingClientRect();
            const target = document.elementFromPoint(box.left + x, box.top + y) || document.querySelector(selector);
            target.dispatchEvent(new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + y, bubbles: true,
              pointerId: 1, pointerType: "mouse", button: 0, ...more }));""",
            kind, selector, x, y, more,
        )  # fmt: skip

    def at(self, name):
        """Where a network stands in the scatter plot."""
        return self.js("const p = mv.place(), i = mv.rowOf.get(arguments[0]); return [p.px[i], p.py[i]]", name)

    def choose(self, selector, value):
        self.do(
            """const node = document.querySelector(arguments[0]); node.value = arguments[1];
            node.dispatchEvent(new Event("input", { bubbles: true }));
            node.dispatchEvent(new Event("change", { bubbles: true }));""",
            selector, value,
        )  # fmt: skip

    def screen(self, width, height=900, scheme="light"):
        self.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.settle()


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(synthetic_view(300, "2M-params,5ms", HOSTILE)), encoding="utf-8")
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {
        "source": "addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
    })  # fmt: skip
    page = Page(browser, path)
    browser.get_log("browser"), browser.get_log("performance")
    page.screen(1300)
    page.open()
    return page


@pytest.fixture
def page(opened):
    yield opened
    assert opened.browser.get_log("browser") == []


VIEW = synthetic_view(300, "2M-params,5ms", HOSTILE)


def selected(page):
    return page.js("return mv.keptTrials")


def test_every_view_is_drawn_and_nothing_is_requested(page):
    assert page.js("return document.querySelectorAll('#scatter path.winner').length") == 1
    assert page.js("return document.querySelectorAll('#scatter path.v1, #scatter path.v2, #scatter path.v3').length") > 3
    assert page.js("return document.querySelectorAll('#scatter line.budget').length") == 1
    for canvas in ("#scatter canvas", "#parallel canvas", "#filters canvas"):
        painted = page.js(
            """const c = document.querySelector(arguments[0]), all = [0, 0, c.width, c.height];
            const d = c.getContext("2d").getImageData(...all).data;
            let n = 0; for (let k = 3; k < d.length; k += 4) n += d[k] > 0; return n;""",
            canvas,
        )
        assert painted > 100, canvas
    assert page.js("return document.querySelectorAll('#growth path').length") >= 2
    assert page.js("return document.querySelectorAll('#hero rect.part').length") == 7
    assert page.js("return document.querySelectorAll('#table tbody tr').length") > 10
    assert page.js("return performance.getEntriesByType('resource').length") == 0
    messages = [json.loads(entry["message"])["message"] for entry in page.browser.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "about:")) for url in requests), requests


def test_pointing_shows_the_whole_configuration_beside_the_plot(page):
    winner = VIEW.winning_member.evaluation
    page.mouse("pointermove", "#scatter", *page.at(winner.arch_id))
    tip, panel = page.text("#scatter .tip"), page.text("#network")
    for word in (winner.arch_id, "winner", "top-1", "latency", " to "):
        assert word in tip, word
    for word in (
        winner.arch_id,
        "winner",
        "stage 3",
        "ffn",
        "at least",
        "estimated",
        "90 %",
        f"{winner.measurements['params'].value:,}",
    ):
        assert word in panel, word
    candidate = next(t for t in VIEW.trials if t.feasible and t.number not in {m.trial for m in VIEW.front})
    page.mouse("pointermove", "#scatter", *page.at(candidate.evaluation.arch_id))
    assert "trial" in page.text("#network .who")
    page.mouse("pointerleave", "#scatter", 5, 5)
    assert winner.arch_id in page.text("#network .who")


def test_a_click_pins_and_the_tabs_say_everything_about_it(page):
    name = VIEW.front[0].evaluation.arch_id
    x, y = page.at(name)
    page.mouse("pointerdown", "#scatter", x, y)
    page.mouse("pointerup", "#scatter", x, y)
    page.mouse("pointermove", "#scatter", 80, 40)
    assert name in page.text("#network .who") and page.js("return mv.state.pin !== null")
    page.mouse("pointermove", "#scatter", *page.at(VIEW.winner))
    tip = page.text("#scatter .tip")
    assert all(word in tip for word in (VIEW.winner, "stage 1", "stage 5", "patch")), tip
    page.press("#tab-network", "\ue014")  # arrow right
    costs = page.text("#tabpanel")
    for word in ("By stage", "stage 5", "By kind of operation", "pointwise", "overhead", "ms", "%", "no operation was timed"):
        assert word in costs, word
    page.press("#tab-costs", "\ue014")
    differs = page.text("#tabpanel")
    assert "differ" in differs and "by the same models" in differs and "mobilevitv3_xxs" in differs
    page.choose("#reference", "mobilevit_xs")
    assert "mobilevit_xs" in page.js("return document.getElementById('reference').value")
    assert differs != page.text("#tabpanel")
    page.press("#tab-differs", "\ue014")
    sources = page.text("#tabpanel")
    for word in ("predicted on iphone12", "invented for tests", "n = 257", "interval, 90 %", "exact: added up"):
        assert word in sources, word
    page.press("#tab-sources", "\ue014")
    assert f"mvsearch describe {name}.json --target iphone12 --resolution 256" in page.text("#tabpanel")
    spec = json.loads(page.js("return [...document.querySelectorAll('#tabpanel pre')].pop().textContent"))
    assert from_json(spec) == VIEW.front[0].evaluation.spec
    page.press("#tab-take", "\ue014")
    page.do("mv.state.reference = ''; mv.pin(null)")


def test_every_network_s_json_is_its_architecture(page):
    texts = page.js(
        "return mv.trials.concat(mv.all.filter((i) => mv.roles[i] === 'published')).map((i) => JSON.stringify(mv.spec(i)))"
    )
    specs = [t.evaluation.spec for t in VIEW.trials] + [p.evaluation.spec for p in VIEW.published]
    assert [from_json(json.loads(t)).arch_id for t in texts] == [s.arch_id for s in specs]


def test_the_copy_button_works_from_a_file(page):
    page.do("mv.state.tab = 'take'; mv.changed('tab')")
    # A real key: a browser lets nobody copy without the user's doing.
    page.press("#tabpanel .copy button", "\ue007")  # Enter
    said = page.browser.execute_async_script(
        """const done = arguments[0], said = document.querySelector('#tabpanel .copy .said');
        const look = () => (said.textContent ? done(said.textContent) : setTimeout(look, 20)); look();"""
    )
    assert said == "copied"
    page.do("mv.state.tab = 'network'; mv.changed('tab')")


def test_any_number_and_knob_can_stand_on_either_axis(page):
    columns = page.js("return [...mv.columns.values()].filter((c) => c.metric || c.varies).map((c) => c.key)")
    assert {"top1", "lower", "latency", "params", "macs", "activations", "peak_memory", "distance", "on_front"} <= set(columns)
    for key in [
        *(c for c in columns if not c.startswith("knob:")),
        "knob:stage3.block",
        "knob:stage4.dim",
        "knob:stage5.patch",
    ]:
        page.choose("#x-axis", key)
        assert page.js("return mv.ticks(mv.place().sx, 9).length") >= 2, key
    page.choose("#x-axis", "params")
    page.choose("#y-axis", "lower")
    titles = page.js("return [...document.querySelectorAll('#scatter text.title')].map((t) => t.textContent)")
    assert titles == ["counted parameters", "lower bound of top-1, 80 % confidence, %"]
    assert "no lower bound" in page.text("#field-note")
    page.do("document.getElementById('swap').click()")
    assert page.js("return [mv.state.x, mv.state.y]") == ["lower", "params"]
    page.do("document.querySelector('button[data-x]').click()")
    assert page.js("return mv.state.x").startswith("knob:")
    page.choose("#x-axis", "latency")
    page.choose("#y-axis", "top1")


def test_a_box_zooms_and_a_double_click_shows_all(page):
    for kind, x, y in (
        ("pointerdown", 200, 100),
        ("pointermove", 300, 180),
        ("pointermove", 420, 320),
        ("pointerup", 420, 320),
    ):
        page.mouse(kind, "#scatter", x, y)
    assert page.js("return mv.state.zoom.length") == 4
    page.do("document.getElementById('scatter').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))")
    assert page.js("return mv.state.zoom") is None


def test_the_keyboard_walks_along_the_front_pins_and_lets_go(page):
    by_latency = [m.evaluation.arch_id for m in VIEW.front]
    page.press("#scatter", "\ue011")  # Home
    assert by_latency[0] in page.text("#network .who")
    page.press("#scatter", "\ue014")  # arrow right
    assert by_latency[1] in page.text("#network .who")
    assert by_latency[1] in page.text("#said")
    page.press("#scatter", "\ue007")  # Enter
    assert page.js("return mv.names[mv.state.pin]") == by_latency[1]
    page.press("#scatter", "\ue00c")  # Escape
    assert page.js("return mv.state.pin") is None
    before = page.js("return mv.columns.get('top1').values[mv.focus()]")
    page.press("#scatter", "\ue013", "\ue013", "\ue013")  # arrow up
    assert page.js("return mv.columns.get('top1').values[mv.focus()]") > before
    page.press("#scatter", "\ue00c")


def test_filters_act_on_all_views(page):
    assert selected(page) == sum(t.feasible for t in VIEW.trials)
    slider = page.browser.find_element("css selector", "[data-key=latency] input[data-side=most]")
    page.do("arguments[0].value = 120; arguments[0].dispatchEvent(new Event('input', { bubbles: true }))", slider)
    some = selected(page)
    limit = page.js("return mv.state.filters.get('latency')[1]")
    expected = sum(t.feasible and t.evaluation.measurements["latency"].value <= limit for t in VIEW.trials)
    assert 0 < some == expected < sum(t.feasible for t in VIEW.trials)
    assert page.text("#table-count").startswith(str(some)) and page.text("#selected").startswith(str(some))
    assert page.js("return document.querySelectorAll('#parallel rect.brush').length") == 1
    page.press("[data-key=latency] input[data-side=most]", "\ue012", "\ue012")  # arrow left, by keyboard
    assert selected(page) <= some
    page.do("document.querySelector('[data-tick=\"block:v2\"]').click()")
    assert selected(page) < some
    assert page.js("return !mv.trials.some((i) => mv.kept[i] && mv.blocksOf[i].includes('v2'))")
    page.do("document.getElementById('clear').click()")
    assert selected(page) == sum(t.feasible for t in VIEW.trials)
    page.do("document.getElementById('over').click()")
    assert selected(page) == len(VIEW.trials)
    page.do("document.getElementById('over').click()")
    page.choose("#find", VIEW.winner[:6])
    assert selected(page) == 1
    page.choose("#find", "")


def test_a_drag_along_an_axis_selects_and_a_click_lets_go(page):
    x, span = page.js(
        """const i = mv.axes().indexOf("params");
        const r = document.querySelectorAll("#parallel rect.grab")[i].getBoundingClientRect();
        const host = document.getElementById("parallel").getBoundingClientRect(); return [r.left + 16 - host.left, r.height]"""
    )
    page.js("document.getElementById('parallel').scrollIntoView()")
    for kind, y in (("pointerdown", 60), ("pointermove", 100), ("pointermove", 60 + span / 2), ("pointerup", 60 + span / 2)):
        page.mouse(kind, "#parallel", x, y)
    assert page.js("return [...mv.state.filters.keys()]") == ["params"]
    assert 0 < selected(page) < sum(t.feasible for t in VIEW.trials)
    page.mouse("pointerdown", "#parallel", x, 100)
    page.mouse("pointerup", "#parallel", x, 100)
    assert page.js("return mv.state.filters.size") == 0
    page.do("document.querySelector('#axes-choice input:not(:checked)').click()")
    assert page.js("return mv.axes().length") == page.js("return document.querySelectorAll('#parallel rect.grab').length")
    page.do("mv.state.axes = null; mv.changed('parallel')")


def test_the_table_sorts_and_its_rows_can_be_pinned(page):
    page.do("document.querySelector('#table [data-sort=latency] button').click()")
    ms = page.js(
        """return [...document.querySelectorAll('#table tbody tr[data-row]')]
        .map((r) => mv.columns.get('latency').values[r.dataset.row])"""
    )
    assert (
        ms == sorted(ms)
        and page.js("return document.querySelector('#table [aria-sort]').getAttribute('aria-sort')") == "ascending"
    )
    page.do("document.querySelector('#table [data-sort=latency] button').click()")
    assert page.js("return document.querySelector('#table [aria-sort]').getAttribute('aria-sort')") == "descending"
    page.press("#table tbody button", " ")
    assert page.js("return mv.state.pin === Number(document.querySelector('#table tbody tr[data-row]').dataset.row)")
    page.do("mv.pin(null); mv.state.sort = 'lower'; mv.changed('sort')")


def test_the_key_hides_and_shows_marks_and_colours_can_be_chosen(page):
    count = "return document.querySelectorAll(arguments[0]).length"
    before = page.js(count, "#scatter path.v1, #scatter path.said")
    page.press("input[value=v1]", " ")
    assert page.js(count, "#scatter path.v1:not(.said)") == 0
    page.press("input[value=v1]", " ")
    assert page.js(count, "#scatter path.v1, #scatter path.said") == before
    page.do("mv.state.zoom = [0.5, 10, 55, 85]; mv.changed('axes')")
    main = page.js(count, "#scatter path.field")
    page.do("document.querySelector('.key details').open = true")
    page.press('input[value="field:ResNet"]', " ")
    assert page.js(count, "#scatter path.field") > main > 0
    page.press("input[value=field]", " ")
    assert page.js(count, "#scatter path.field") == 0
    page.press("input[value=field]", " ")
    page.press('input[value="field:ResNet"]', " ")
    page.do("mv.state.zoom = null; mv.changed('axes')")
    for value in ("blocks", "latency", "knob:stage3.depth"):
        page.choose("#colour", value)
        assert page.text("#colour-key")
    page.choose("#colour", "")


def test_a_network_of_the_field_is_shown_as_published(page):
    page.do("mv.point(mv.all.find((i) => mv.roles[i] === 'field' && !Number.isNaN(mv.columns.get('latency').values[i])))")
    panel = page.text("#network")
    assert "Every number as published" in panel and "source" in panel and "estimated," not in panel
    for tab in ("costs", "differs", "sources", "take"):
        page.do("mv.state.tab = arguments[0]; mv.changed('tab')", tab)
        assert page.text("#tabpanel")
    page.do("mv.state.tab = 'network'; mv.point(null); mv.changed('tab')")


def test_hypervolume_over_trials_and_over_time(page, tmp_path):
    title = "return document.querySelector('#growth text.title').textContent"
    for seconds in (None, 0.1):
        view = replace(VIEW, hypervolume=tuple((n, area, seconds and n * seconds) for n, area, _ in VIEW.hypervolume))
        (tmp_path / "growth.html").write_text(render_page(view), encoding="utf-8")
        other = Page(page.browser, tmp_path / "growth.html")
        other.open()
        assert other.js(title) == "trials"
        assert other.js("return document.querySelector('input[name=history][value=seconds]').disabled") == (seconds is None)
    other.press("input[name=history][value=seconds]", " ")
    assert other.js(title) == "seconds that the run worked"
    page.open()


def test_the_figures_of_trainings_are_drawn_under_the_same_policy(page, tmp_path):
    marriage, records, names = told()
    trained = Trained(Verified((), (), ()), marriage, tuple(records), None, names)
    (tmp_path / "trained.html").write_text(render_page(VIEW, trained), encoding="utf-8")
    other = Page(page.browser, tmp_path / "trained.html")
    other.open()
    figures = "return [...document.querySelectorAll('.plot')].map((p) => p.querySelectorAll('.scatterlayer .trace').length)"
    drawn = other.js(figures)
    assert len(drawn) >= 3 and min(drawn) >= 1
    assert other.js("return document.querySelectorAll('#scatter path.winner').length") == 1
    page.open()


def test_what_is_chosen_is_in_the_address_and_survives_reading_the_page_again(page):
    name = VIEW.front[1].evaluation.arch_id
    page.do(
        """Object.assign(mv.state, { x: "macs", y: "lower", tab: "costs", zoom: [1e8, 9e8, 60, 75] });
        mv.state.hide.add("v1"); mv.state.without.add("origin:random"); mv.state.filters.set("params", [1e6, 1.9e6]);
        mv.pin(mv.rowOf.get(arguments[0])); mv.changed("axes", "filter", "key", "tab"); mv.save();""",
        name,
    )
    kept = selected(page)
    page.browser.refresh()
    page.settle()
    state = page.js(
        """const s = mv.state; return [s.x, s.y, s.tab, s.zoom, [...s.hide], [...s.without], [...s.filters], mv.names[s.pin]]"""
    )
    assert state == ["macs", "lower", "costs", [1e8, 9e8, 60, 75], ["v1"], ["origin:random"], [["params", [1e6, 1.9e6]]], name]
    assert selected(page) == kept
    assert not page.browser.find_element("css selector", "input[value=v1]").is_selected()
    page.open("#x=%3Cimg%3E&f=latency~x~&pin=nobody&zoom=1,2&tab=__proto__&axes=a,b")
    assert page.js("return [mv.state.x, mv.state.pin, mv.state.tab, mv.state.filters.size]") == ["latency", None, "network", 0]
    page.open()


def test_a_page_of_a_run_under_way_reads_itself_again_and_keeps_what_is_chosen(page, tmp_path):
    path = tmp_path / "live.html"
    path.write_text(render_page(replace(VIEW, finished=False)), encoding="utf-8")
    live = Page(page.browser, path)
    live.open("#x=params&paused=1")
    live.js("document.getElementById('scatter').focus(); scrollTo(0, 700)")
    assert "updated at trial 300" in live.text("#live") and "paused" in live.text("#live")
    later = replace(VIEW, finished=False, counts=replace(VIEW.counts, evaluated=400))
    path.write_text(render_page(later), encoding="utf-8")
    live.do("mv.reloadAfter = 30; mv.restartLive()")
    live.browser.execute_async_script("setTimeout(arguments[0], 200)")
    assert "trial 300" in live.text("#live")
    live.js("mv.reloadAfter = 30; document.getElementById('live-pause').click()")
    wait_for(live, "return document.getElementById('live-text').textContent.includes('trial 400')")
    assert live.js("return mv.state.x") == "params"
    assert "paused" not in live.js("return location.hash")
    assert live.js("return [document.activeElement.id, Math.round(scrollY)]") == ["scatter", 700]
    page.open()
    assert page.js("return document.getElementById('live')") is None


def wait_for(page, script, seconds=8):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page.browser, seconds, poll_frequency=0.05).until(lambda _: page.js(script))


def axe_script():
    return Path(str(files("axe_core_python").joinpath("axe.min.js"))).read_text(encoding="utf-8")


def grave_faults(page, context, **options):
    """What axe-core finds of serious or critical impact."""
    found = page.browser.execute_async_script(
        "axe.run(arguments[0], arguments[1]).then(arguments[2])", context, {"resultTypes": ["violations", "passes"], **options}
    )
    assert found["passes"]
    return [
        (v["id"], [n["html"][:140] for n in v["nodes"]][:3], v["nodes"][0]["failureSummary"][:300])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def open_for_axe(page, width, scheme):
    page.screen(width, scheme=scheme)
    page.open()
    assert page.js("return document.documentElement.scrollWidth") <= width
    assert page.js("return document.querySelectorAll('#scatter path.winner').length") == 1
    page.do("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.js(axe_script())


def test_accessible(page):
    open_for_axe(page, 1300, "light")
    assert grave_faults(page, "html") == []
    for tab in ("costs", "differs", "sources", "take"):
        page.do("mv.state.tab = arguments[0]; mv.changed('tab')", tab)
        assert grave_faults(page, "#network") == []
    page.do("document.querySelector('#selected').style.color = '#ccc'")
    assert [fault[0] for fault in grave_faults(page, ".toolbar")] == ["color-contrast"]


def test_accessible_in_the_dark(page):
    open_for_axe(page, 1300, "dark")
    page.do("mv.state.tab = 'costs'; mv.changed('tab')")
    assert grave_faults(page, "html", runOnly=["color-contrast"]) == []
    page.screen(1300)


def test_accessible_on_a_phone(page):
    open_for_axe(page, 400, "dark")
    assert grave_faults(page, "html", rules={"color-contrast": {"enabled": False}}) == []
    page.screen(1300)


def test_the_dark_scheme_repaints(page):
    def colours():
        return page.js(
            """const tick = document.querySelector("#scatter text.tick");
            return [getComputedStyle(tick).fill, getComputedStyle(document.body).backgroundColor,
            document.querySelector("#filters canvas").toDataURL()]"""
        )

    page.open()
    light = colours()
    page.screen(1300, scheme="dark")
    dark = colours()
    page.screen(1300)
    assert light[0] != dark[0] and light[1] != dark[1] and light[2] != dark[2]


def test_a_tap_on_a_phone_shows_the_network_below(page):
    page.screen(400)
    page.open()
    name = VIEW.front[0].evaluation.arch_id
    x, y = page.at(name)
    page.mouse("pointerdown", "#scatter", x, y, pointerType="touch")
    page.mouse("pointerup", "#scatter", x, y, pointerType="touch")
    assert name in page.text("#network .who")
    page.do("mv.pin(null)")
    page.screen(1300)


def test_a_run_in_which_nothing_is_feasible_or_nothing_happened_is_explored_too(page, tmp_path):
    none = synthetic_view(60, "2M-params,1ms")
    empty = replace(VIEW, trials=(), front=(), winner=None, runner_up=None, struck=(), hypervolume=())
    for name, view, shown in (("none", none, 60), ("empty", empty, 0), ("bare", replace(empty, published=()), 0)):
        (tmp_path / f"{name}.html").write_text(render_page(view), encoding="utf-8")
        other = Page(page.browser, tmp_path / f"{name}.html")
        other.open()
        assert other.js("return typeof mv.keptTrials === 'undefined' ? 0 : mv.keptTrials") == shown
        assert other.browser.get_log("browser") == []
    page.open()
