"""`mvsearch scale` and `mvsearch.scale`: what is asked, printed, written and refused."""

import csv
import json

import pytest
from typer.testing import CliRunner

import mvsearch
from mvsearch.cli.main import app
from mvsearch.errors import InputError
from mvsearch.report.scaling_csv import COLUMNS

SMALL = {"params": "1M..8M", "members": 3, "rules": "width,depth"}


def run(*arguments):
    return CliRunner().invoke(app, ["scale", "mobilevitv2_1.0", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--params", "0..8M"), "begins at zero"),
        (("--params=-1M..8M",), "begins at zero"),
        (("--params", "8M..1M"), "is reversed"),
        (("--params", "1M..1M"), "single size"),
        (("--params", "1..1e9"), "spans a factor"),
        (("--params", "1M..1e400"), "too large"),
        (("--params", "1M"), "no range"),
        (("--params", "1M..nan"), "cannot read `nan`"),
        (("--params", "1M..8Q"), "unknown unit `Q`"),
        (("--ms", "1M..6M"), "unknown unit `M`"),
        ((), "no range of sizes"),
        (("--params", "1M..2M", "--ms", "1..6"), "2 ranges"),
        (("--params", "1M..8M", "--rules", "width,depht"), "unknown scaling rule `depht`"),
        (("--params", "1M..8M", "--rules", ","), "`--rules` is empty"),
        (("--params", "1M..8M", "--members", "1"), "`--members` is `1`"),
        (("--params", "1M..8M", "--members", "100000"), "`--members` is `100000`"),
        (("--params", "1M..8M", "--confidence", "1"), "`--confidence` is `1`"),
        (("--params", "1M..8M", "--budget", "2M-params"), "cannot be shared out"),
        (("--params", "1M..8M", "--budget", "5ms,1G-macs"), "holds 2 budgets"),
        (("--params", "1M..8M", "--budget", "5ms", "--rules", "width"), "without the rule `compound`"),
        (("--params", "1M..8M", "--target", "nokia"), "unknown target"),
        (("--params", "1M..8M", "--resolution", "10"), "resolution `10`"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(arguments, said, tmp_path):
    out = tmp_path / "new"
    done = run(*arguments, "--out", str(out))
    assert isinstance(done.exception, InputError)
    assert said in done.exception.message
    assert done.exception.hint
    assert done.exception.exit_code == 2
    assert not out.exists()
    assert not done.stdout


def test_a_folder_with_things_in_it_loses_nothing(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        mvsearch.scale("mobilevit_xs", **SMALL, out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="not empty"):
        mvsearch.scale("mobilevit_xs", **SMALL, out=tmp_path / "mine.txt")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("scale") / "deep" / "new"
    return mvsearch.scale("mobilevit_xs", **SMALL, out=out), out


def test_the_table_holds_every_member_and_the_published(written):
    view, out = written
    with (out / "scale.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [name for name, _ in COLUMNS]
    members = [m for f in view.families for m in f.members]
    assert [r["arch_id"] for r in rows[: len(members)]] == [m.arch_id for m in members]
    assert len(rows) == len(members) + len(view.published)
    for row, m in zip(rows, members, strict=False):
        assert int(row["params"]) == m.evaluation.measurements["params"].value
        assert float(row["top1"]) == pytest.approx(m.evaluation.measurements["top1"].value, abs=1e-4)
        assert row["top1_kind"] == "estimated"
    shown = {r["name"]: r for r in rows[len(members) :]}
    assert float(shown["mobilevit_xs"]["published_top1"]) == 74.618


def test_json_on_stdout_is_one_object_and_progress_is_not_in_it():
    done = run("--params", "1M..8M", "--members", "3", "--rules", "width", "--json")
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["schema_version"] == 1
    assert data["name"] == "mobilevitv2_1.0"
    assert len(data["families"][0]["members"]) == 3
    assert data["families"][0]["members"][0]["evaluation"]["measurements"]["top1"]["kind"] == "estimated"
    assert "family by width" in done.stderr


def test_the_table_in_the_terminal_names_kinds():
    done = run("--ms", "2..4", "--members", "3", "--rules", "width")
    assert done.exit_code == 0
    assert "predicted" in done.stdout
    assert "estimated" in done.stdout


def test_an_architecture_of_ones_own(written):
    spec = written[0].base.spec
    assert mvsearch.scale(spec, **SMALL).name == spec.arch_id


def test_the_folder_holds_all_four_files(written):
    assert sorted(p.name for p in written[1].iterdir()) == ["scale.csv", "scale.html", "scale.png", "scale.svg"]
