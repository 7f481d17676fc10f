"""Runs of the first schema: reported and gone on with by this version, which says what it changed."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from mvsearch.api import search
from mvsearch.api.report import rebuild
from mvsearch.report import write
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer, Silent
from mvsearch.search.folder import RunFolder
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target
from tests.search.test_store import OLD_TABLES

SPACE, TARGET = load_space("mobilevit"), get_target("iphone12")
SETTINGS = RunSettings(parse_budgets(["2M-params"]), "iphone12", "mobilevit", SPACE.content_hash, 15, 0, 256, 0.8)
GOALS = goals_of(SETTINGS, TARGET)
FIRST = (
    "budgets",
    "target",
    "space",
    "space_hash",
    "trials",
    "seed",
    "resolution",
    "confidence",
    "calibration",
    "anchors",
    "train",
)
"""Settings of run schema 1."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run of 12 trials as version 1 of both schemas left it; and these trials."""
    tmp_path = tmp_path_factory.mktemp("kept")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with closing(Store(tmp_path / "now.sqlite", SPACE, 256)) as store:
        trials = Explorer(SPACE, GOALS, TARGET, store, 0).run(12, [InProcessExecutor()])
    db = sqlite3.connect(folder.store)
    db.executescript(f"""{OLD_TABLES}
        ATTACH '{tmp_path / "now.sqlite"}' AS now;
        INSERT INTO provenance SELECT * FROM now.provenance;
        INSERT INTO generations VALUES (0, 60, 9, 1);
        INSERT INTO trials SELECT number, arch_id, origin, feasible, point, metrics, failure, seconds FROM now.trials;""")
    db.close()
    data = {k: v for k, v in SETTINGS.to_json().items() if k in FIRST}
    record = {
        "schema_version": 1, "settings": data, "command": "mvsearch run", "target_note": "predicted", "versions": [],
        "machine": "a machine", "seconds": 1.0, "winner": None, "finished": False, "notes": [], "images": None,
    }  # fmt: skip
    folder.run_file.write_text(json.dumps(record))
    return folder, [replace(t, generation=0) for t in trials]


@pytest.fixture
def old(kept, tmp_path):
    folder, trials = kept
    return RunFolder(shutil.copytree(folder.path, tmp_path / "run")), trials


def test_its_report(old, monkeypatch):
    monkeypatch.setattr(write, "draw_pictures", lambda view, drafts: [d.write_text("") for d in drafts])
    folder, trials = old
    assert list(rebuild(folder.path).view.trials) == trials


def test_going_on_with_it(old):
    folder, trials = old
    with closing(Store(folder.store, SPACE, 256)) as store:
        assert "migrated" in store.notes[0]
        after = Explorer(SPACE, GOALS, TARGET, store, 0).run(15, [InProcessExecutor()])
    assert after[:12] == trials
    assert len({t.evaluation.arch_id for t in after}) == 15


def test_a_run_says_that_it_was_migrated(old):
    heard = []

    class Listener(Silent):
        def stage(self, text):
            heard.append(text)
            if text.startswith("searching"):
                raise KeyboardInterrupt

    folder, trials = old
    with pytest.raises(KeyboardInterrupt):
        search("2M-params", trials=15, in_process=True, exports="onnx", out=folder.path, resume=True, listener=Listener())
    assert any("schema 1" in text and "all is kept" in text for text in heard)
    assert json.loads(folder.run_file.read_text())["schema_version"] == 2
    with closing(Store(folder.store, SPACE, 256)) as store:
        assert store.trials() == trials
