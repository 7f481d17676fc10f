"""A run by slimming through the command line, and what it refuses."""

from __future__ import annotations

import csv
import itertools
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mvsearch.report
from mvsearch.api import SearchOptions
from mvsearch.api.report import read_run
from mvsearch.cli.main import app
from mvsearch.errors import InputError, NoCandidateError
from mvsearch.report.slimming import SLIMMING_COLUMNS, slimming_rows, write_slimming_csv
from mvsearch.report.slimming_picture import draw_slimming
from mvsearch.targets.coreml import convert
from tests.small_space import write_small_space

BUDGET = "1.2M-params"


def call(*arguments):
    return CliRunner().invoke(app, ["run", "--in-process", "--export", "onnx", *map(str, arguments)])


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slimming")
    space = write_small_space(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "coreml_available", lambda: (False, "this test does without"))
        asked = ("--budget", BUDGET, "--space", space, "--strategy", "slimming", "--out", folder / "run")
        done = call(*asked)
        assert done.exit_code == 0, done.output
        yield folder / "run", asked


def test_a_run_leaves_its_path_behind(run):
    folder, _ = run
    path, trials = rows(folder / "slimming.csv"), rows(folder / "trials.csv")
    assert [*path[0]] == [name for name, _ in SLIMMING_COLUMNS]
    assert {r["arch_id"] for r in path} == {t["arch_id"] for t in trials}
    first = [r for r in path if r["path"] == "1"]
    assert [int(r["step"]) for r in first] == list(range(len(first)))
    assert first[0]["move"] == "the largest network"
    assert all(re.fullmatch(r"stage \d: \D+ \d+ to \d+", r["move"]) for r in first[1:])
    kept = [float(r["params"]) <= 1.2e6 for r in first]
    assert [r["in_budget"] == "1" for r in first] == kept
    assert kept[0] is False
    assert kept[-1] is True
    for before, after in itertools.pairwise(first):
        assert float(after["saved_ms"]) == pytest.approx(float(before["latency_ms"]) - float(after["latency_ms"]), abs=1e-5)
        assert float(after["lost_top1"]) == pytest.approx(float(before["lower_top1"]) - float(after["lower_top1"]), abs=1e-4)
    assert {(r["latency_ms_kind"], r["top1_kind"], r["judged_by"]) for r in path} == {("predicted", "estimated", "estimate")}


def test_the_columns_are_documented():
    text = (Path(mvsearch.report.__file__).parent / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Columns of `slimming.csv`")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE) == [*SLIMMING_COLUMNS]


def test_what_is_over_the_budget_is_kept_and_never_wins(run):
    folder, _ = run
    over = {t["arch_id"]: t for t in rows(folder / "trials.csv") if float(t["params"]) > 1.2e6}
    assert over
    assert {(t["role"], t["feasible"]) for t in over.values()} == {("over", "0")}
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["strategy"] == "slimming"
    assert record["finished"] is True
    assert record["winner"] not in over
    assert over.keys().isdisjoint(r["arch_id"] for r in rows(folder / "front.csv"))


def test_the_page_shows_the_path_and_is_made_again(run):
    folder, _ = run
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h2>Slimming</h2>" in page
    assert 'src="data:image/svg+xml;base64,' in page
    for row in rows(folder / "slimming.csv"):
        assert row["arch_id"] in page
    view = read_run(folder).view
    write_slimming_csv(folder.parent / "again.csv", slimming_rows(view))
    draw_slimming(view, folder.parent / "again.svg")
    for suffix in ("csv", "svg"):
        assert (folder.parent / f"again.{suffix}").read_bytes() == (folder / f"slimming.{suffix}").read_bytes()


def test_a_resumed_run_keeps_its_strategy(run):
    folder, asked = run
    before = rows(folder / "slimming.csv")
    for other in (("--slim-by", "mes"), ("--strategy", "sample")):
        refused = call(*asked, *other, "--resume").exception
        assert isinstance(refused, InputError)
        assert other[0].strip("-").replace("-", "_") in refused.message
    assert rows(folder / "slimming.csv") == before


def test_a_budget_that_no_move_reaches_is_said_with_the_nearest(tmp_path):
    failed = call("--budget", "0.5ms", "--space", "tiny", "--strategy", "slimming", "--out", tmp_path / "a").exception
    assert isinstance(failed, NoCandidateError)
    assert failed.exit_code == 3
    nearest = [e.measurements["latency"].value for e in failed.nearest]
    assert 0 < len(nearest) <= 5
    assert min(nearest) > 0.5


def test_a_path_that_trials_cut_short_shows_the_nearest_by_every_budget(tmp_path):
    failed = call(
        "--budget", "1M-params,9ms", "--space", "mobilevit", "--strategy", "slimming", "--trials", "7", "--out", tmp_path / "a"
    ).exception
    assert isinstance(failed, NoCandidateError)
    assert "--trials" in failed.hint
    params = [e.measurements["params"].value for e in failed.nearest]
    assert params == sorted(params)
    assert params[0] > 1e6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SearchOptions(strategy="slim"), "`--strategy` is `slim`"),
        (SearchOptions(strategy="slimming", slim_by="ms"), "`--slim-by` is `ms`"),
        (SearchOptions(strategy="slimming", sampler="tpe"), "with `--sampler`"),
        (SearchOptions(strategy="slimming", sampler="tpe", screened=False), "with `--sampler`"),
        (SearchOptions(slim_by="mes"), "without slimming"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        options.check()


def test_training_is_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "a"
    failed = call("--budget", BUDGET, "--strategy", "slimming", "--data", "procedural", "--out", out).exception
    assert isinstance(failed, InputError)
    assert "--data" in failed.message
    assert not out.exists()
