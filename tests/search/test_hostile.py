"""Files of a stranger: whatever is in them, nothing is run, nothing is touched elsewhere, and there is one clear message."""

import io
import shutil
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from rich.console import Console

from mvsearch.api.report import rebuild
from mvsearch.errors import MvsearchError
from mvsearch.report import write
from mvsearch.report.table import print_front
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.folder import RunFolder, versions
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from mvsearch.targets import LatencyRecord, get_target
from tests.hostile import SCRIPT, hostile_bytes, hostile_cell, hostile_json

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=3000)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """A run's folder, as a short search leaves it, with a member verified and one measured."""
    folder = RunFolder(tmp_path_factory.mktemp("valid") / "run")
    folder.path.mkdir()
    space, target = load_space("tiny"), get_target("iphone12")
    asked = RunSettings(parse_budgets(["2M-params", "5ms"]), "iphone12", "tiny", space.content_hash, 24, 0, 256, 0.8)
    goals = goals_of(asked, target)
    with closing(Store(folder.store, space, 256)) as store:
        explorer = Explorer(space, goals, target, store, 0)
        front = explorer.front(explorer.run(24, [InProcessExecutor()]))
        for trial in front[:3]:
            store.set_verified(replace(trial.evaluation, rung="built"))
    MeasurementFile(folder.measurements).append(
        LatencyRecord(
            "a", front[0].evaluation.arch_id, 256, "iphone12", target.spec.key, "p", 2.0, 1.9, 2.1, 0.9, "median", (2.0, 2.1)
        )
    )
    folder.write(
        {
            "settings": asked.to_json(), "command": "mvsearch run", "target_note": "predicted", "versions": versions(),
            "machine": "a machine", "seconds": 1.0, "winner": front[0].evaluation.arch_id, "finished": True,
            "notes": ["a note"],
        }
    )  # fmt: skip
    return folder


def copy_of(valid, tmp_path_factory):
    place = tmp_path_factory.mktemp("stranger")
    (place / "mine.txt").write_text("mine")
    shutil.copytree(valid.path, place / "run")
    return RunFolder(place / "run")


def check_report(folder):
    """The report is written and safe to open, or there is one message; nothing beside the folder is touched."""
    try:
        result = rebuild(folder.path)
        out = io.StringIO()
        print_front(result.view, Console(file=out, width=100))
        assert "\x1b" not in out.getvalue()
        page = (folder.path / "report.html").read_text(encoding="utf-8")
        assert SCRIPT not in page
        event("reported")
    except MvsearchError as error:
        assert error.message
        assert "\x1b" not in str(error)
        event("refused")
    assert sorted(p.name for p in folder.path.parent.iterdir()) == ["mine.txt", "run"]
    assert (folder.path.parent / "mine.txt").read_text() == "mine"


def check_any_change(valid, tmp_path_factory, data, monkeypatch):
    folder = copy_of(valid, tmp_path_factory)
    try:
        kind = data.draw(st.sampled_from(("bytes", "json", "json", "cell", "cell", "cell")))
        if kind == "bytes":
            path = data.draw(st.sampled_from((folder.run_file, folder.store, folder.measurements)))
            path.write_bytes(data.draw(hostile_bytes(path.read_bytes())))
        elif kind == "json":
            path = data.draw(st.sampled_from((folder.run_file, folder.run_file, folder.measurements)))
            path.write_text(data.draw(hostile_json(path.read_text())))
        else:
            data.draw(hostile_cell(folder.store))
        check_report(folder)
    finally:
        shutil.rmtree(folder.path.parent)


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(write, "draw_pictures", lambda view, drafts: [d.write_text("") for d in drafts])


@FEW
@given(data=st.data())
def test_no_change_of_a_run_breaks_its_report(valid, tmp_path_factory, data, without_pictures):
    check_any_change(valid, tmp_path_factory, data, None)


@pytest.mark.full
@MANY
@given(data=st.data())
def test_no_change_of_many_breaks_a_report(valid, tmp_path_factory, data, without_pictures):
    check_any_change(valid, tmp_path_factory, data, None)
