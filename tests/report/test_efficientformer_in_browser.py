"""The page of a run in another family's space: every network's JSON is its architecture, in Chrome."""

import json
import random
from dataclasses import replace

from mvsearch.report.page import render_page
from mvsearch.search.estimate import estimate
from mvsearch.spec.arch import from_json
from mvsearch.spec.published import all_published
from mvsearch.spec.record import Trial
from mvsearch.spec.run import PublishedPoint
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target
from tests.report.sample import synthetic_view

TARGET = get_target("iphone12")


def trials():
    rng = random.Random(0)
    for i in range(24):
        space = load_space("efficientformer" if i % 2 else "efficientformerv2")
        point = space.random_point(rng)
        yield Trial(i, point, estimate(space.decode(point), 224, TARGET), True)


def test_every_network_s_json_is_its_architecture(browser, tmp_path):
    own = {name: spec for name, spec in all_published().items() if name.startswith("efficientformer")}
    published = tuple(PublishedPoint(name, estimate(spec, 224, TARGET), True, None) for name, spec in own.items())
    view = synthetic_view(30)
    settings = replace(view.settings, resolution=224, family="efficientformer")
    view = replace(view, settings=settings, trials=tuple(trials()), published=published, front=(), winner=None, struck=())
    path = tmp_path / "report.html"
    path.write_text(render_page(view), encoding="utf-8")
    browser.get_log("browser")
    browser.get(path.as_uri())
    texts = browser.execute_script("return mv.trials.map((i) => JSON.stringify(mv.spec(i)))")
    assert [from_json(json.loads(t)).arch_id for t in texts] == [t.evaluation.arch_id for t in view.trials]
    texts = browser.execute_script(
        "return mv.all.filter((i) => mv.roles[i] === 'published').map((i) => JSON.stringify(mv.spec(i)))"
    )
    assert [from_json(json.loads(t)) for t in texts] == list(own.values())
    assert browser.get_log("browser") == []
