"""Run folders compared from their stores: finished, running, killed, of an older version; none of them is touched."""

import json
import shutil
from contextlib import closing
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from mvsearch.api.compare import compare_runs
from mvsearch.cli.main import app
from mvsearch.errors import InputError
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.folder import RunFolder
from mvsearch.search.store import Store
from tests.search.test_migration import GOALS, SETTINGS, SPACE, TARGET, kept  # noqa: F401


def record(settings):
    return {
        "settings": settings.to_json(), "command": "mvsearch run", "target_note": "predicted", "versions": [["mvsearch", "0"]],
        "machine": "a machine", "seconds": 1.0, "winner": None, "finished": False, "notes": [], "images": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds, ten trials each."""
    place = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        folder = RunFolder(place / f"seed{seed}")
        folder.path.mkdir()
        with closing(Store(folder.store, SPACE, 256)) as store:
            Explorer(SPACE, GOALS, TARGET, store, seed).run(10, [InProcessExecutor()])
        folder.write(record(replace(SETTINGS, seed=seed)))
    return place


def contents(folder, but=""):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != but}


def test_two_seeds_are_one_group_and_nothing_changes(runs):
    before = {p: contents(p) for p in runs.iterdir()}
    comparison = compare_runs(sorted(runs.iterdir()))
    assert [len(g.runs) for g in comparison.groups] == [2]
    assert [r.name for _, r in comparison.runs] == ["seed0", "seed1"]
    assert all(len(r.view.trials) == 10 for _, r in comparison.runs)
    assert {p: contents(p) for p in runs.iterdir()} == before


def test_a_run_that_is_written_just_now_and_one_that_was_killed(runs, tmp_path):
    live = shutil.copytree(runs / "seed1", tmp_path / "live")
    with closing(Store(RunFolder(live).store, SPACE, 256)) as store:
        store.set_meta("x", 1)
        assert (live / "trials.sqlite-wal").stat().st_size
        killed = shutil.copytree(live, tmp_path / "killed")
        locks = "trials.sqlite-shm"  # Of the open store: SQLite keeps its locks there, within one process for all.
        before = contents(live, locks), contents(killed)
        comparison = compare_runs([runs / "seed0", live, killed])
        assert [len(r.view.trials) for _, r in comparison.runs] == [10, 10, 10]
        assert (contents(live, locks), contents(killed)) == before
        store.set_meta("x", 2)
    (killed / "trials.sqlite-shm").unlink()
    before = contents(killed)
    compare_runs([runs / "seed0", killed])
    assert contents(killed) == before


def test_an_older_run_is_not_migrated(kept, runs):  # noqa: F811
    folder, trials = kept
    before = contents(folder.path)
    comparison = compare_runs([runs / "seed0", folder.path])
    assert [len(r.view.trials) for _, r in comparison.runs if r.name == "run"] == [len(trials)]
    assert contents(folder.path) == before


def test_what_cannot_be_compared_is_refused_by_name(runs, tmp_path):
    a, b = runs / "seed0", runs / "seed1"
    link = tmp_path / "link"
    link.symlink_to(a)
    for paths, words in (
        ([a], "`1` runs"),
        ([a, a], "is named twice"),
        ([a, link], "are one folder"),
        ([a, runs], "is not a run folder"),
        ([a, tmp_path / "none"], "is not a run folder"),
    ):
        with pytest.raises(InputError, match=words):
            compare_runs(paths)
    damaged = shutil.copytree(b, tmp_path / "damaged")
    (damaged / "trials.sqlite").write_bytes(b"no database at all" * 300)
    with pytest.raises(InputError) as error:
        compare_runs([a, damaged])
    assert str(damaged) in str(error.value), "the user's path, not that of a copy"


def test_the_command(runs, tmp_path):
    paths = [str(runs / "seed0"), str(runs / "seed1")]
    result = CliRunner().invoke(app, ["report", *paths, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "2 runs in 1 group" in result.output
    assert (tmp_path / "out" / "compare.html").exists()
    for arguments, words in (
        ([paths[0], "--out", str(tmp_path / "x")], "`--out` with one run"),
        ([*paths, "--optuna", "sqlite:///x.db"], "`--optuna` with several runs"),
        ([*paths, "--out", str(runs)], "it is no comparison"),
    ):
        failed = CliRunner().invoke(app, ["report", *arguments])
        assert isinstance(failed.exception, InputError)
        assert words in str(failed.exception)
    assert not (tmp_path / "x").exists()
    assert json.loads((runs / "seed0" / "run.json").read_text())["finished"] is False
