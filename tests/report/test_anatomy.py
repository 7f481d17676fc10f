"""Where costs go, as the terminal, the files and the command line show it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from rich.console import Console

from mvsearch.api.describe import describe, describe_all
from mvsearch.cli.describe import describe as command
from mvsearch.errors import InputError
from mvsearch.report import print_renderable, render_network
from mvsearch.report.anatomy import BY, By, changes, lines, paired
from mvsearch.report.anatomy_files import columns, write_anatomy
from mvsearch.report.anatomy_table import MAX_MODULES, render_breakdown
from mvsearch.report.networks import render_networks
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from mvsearch.targets import get_target
from mvsearch.targets.anatomy import anatomy
from tests.strategies import random_spec, specs

PHONE = get_target("iphone12")
WIDE = "A network whose name goes on and on, as those of files in folders do [bold]with markup[/bold].json"


def shown(renderable, width: int | None = None, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    # Without a width a pipe, with one a terminal of that width.
    console = Console(file=file, force_terminal=width is not None, width=width, no_color=True, color_system=None)
    print_renderable(renderable, console)
    return raw.getvalue().decode(encoding)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("name", ["mobilevit_s@patch=8,4,2", "mobilevitv2_2.0", "mobilevitv3_s_l2"])
@pytest.mark.parametrize("target", ["iphone12", "cpu"])
def test_a_breakdown_fits_100_columns_and_is_plain_in_a_pipe(name: str, by: By, target: str) -> None:
    text = shown(render_breakdown(anatomy(network(name), 2048, get_target(target)), by))
    assert widest(text) <= 100
    assert "…" not in text and "\x1b" not in text and "█" not in text
    assert "##########" in text
    assert (" ms " in text, "constant" in text) == (target == "iphone12",) * 2


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100])
def test_a_narrow_terminal_loses_bars_but_no_number(width: int) -> None:
    for by in ("stage", "kind"):
        text = shown(render_breakdown(anatomy(network("mobilevit_xs"), 256, PHONE), by), width)
        assert widest(text) <= width
        assert "…" not in text
        assert ("█" in text) == (width >= {"stage": 90, "kind": 80}[by])


def test_random_networks_fit_too() -> None:
    for seed in range(8):
        a = anatomy(random_spec(seed), 96, PHONE)
        for by in BY:
            assert widest(shown(render_breakdown(a, by))) <= 100, (seed, by)


def test_bars_are_hashes_where_blocks_cannot_be_written() -> None:
    a = anatomy(network("mobilevit_xs"), 256, PHONE)
    assert "█" in shown(render_breakdown(a, "stage"), 100)
    for text in (shown(render_breakdown(a, "stage"), 100, "ascii"), shown(render_breakdown(a, "stage"), None, "latin-1")):
        assert "##########" in text and "?" not in text


def test_modules_beyond_the_table_are_one_line_and_nothing_is_lost() -> None:
    a = anatomy(network("mobilevit_xs"), 256, PHONE)
    found = lines(a, "op")
    text = shown(render_breakdown(a, "op"))
    assert f"{len(found) - MAX_MODULES} others" in text
    assert sum(line.macs for line in found) == sum(p.macs for p in a.parts)
    assert sum(int(line.about[1]) for line in found) == len(a.ops)
    assert [line.ms for line in found] == sorted((line.ms for line in found), reverse=True)


@settings(max_examples=80, deadline=None)
@given(one=specs(), other=specs())
def test_networks_differ_exactly_if_their_configurations_do(one: ArchSpec, other: ArchSpec) -> None:
    assert changes(one, one) == ()
    assert all(a.values[0] != a.values[1] for a in changes(one, other))
    assert one.arch_id == other.arch_id or changes(one, other)
    assert [c.values[::-1] for c in changes(other, one)] == [c.values for c in changes(one, other)]


def test_changes_name_the_knob() -> None:
    found = {(c.part, c.knob): c.values for c in changes(network("mobilevit_xs"), network("mobilevitv3_xs"))}
    assert found[("stage 3", "block")] == ("v1", "v3-v1")
    assert found[("stage 3", "width")] == ("64", "96")
    assert found[("head", "width")] == ("384", "640")
    assert len(found) == 7


@pytest.mark.parametrize("by", ["stage", "kind"])
def test_lines_of_two_networks_pair(by: By) -> None:
    both = [anatomy(network(n), 256, PHONE) for n in ("mobilevit_s", "mobilevitv2_1.0")]
    rows = paired(both, by)
    for i, a in enumerate(both):
        assert sum(found[i].macs for _, found in rows if found[i]) == sum(p.macs for p in a.parts)
    keys = [key for key, _ in rows]
    assert len(set(keys)) == len(keys)
    if by == "stage":
        assert keys == ["stem", *(f"stage {i}" for i in range(1, 6)), "head"]
    else:
        assert dict(rows)["relu"][0] is None and dict(rows)["matmul"][1] is None


@pytest.mark.parametrize("names", [("mobilevit_xs", "mobilevitv3_xs"), tuple(list(published_networks())[:6])])
@pytest.mark.parametrize("by", ["stage", "kind"])
@pytest.mark.parametrize("width", [None, 60, 80, 100])
def test_side_by_side_fits_100_columns(names: tuple[str, ...], by: By, width: int | None) -> None:
    found = describe_all(names)
    called = [WIDE, *(d.name for d in found[1:])]
    text = shown(render_networks(called, [d.evaluation for d in found], [d.anatomy for d in found], by), width)
    assert widest(text) <= (width or 100)
    assert "…" not in text
    assert "[bold]withmarkup[/bold].json" in "".join(text.split())
    assert ("B - A" in text) == (len(names) == 2)
    for word in ("estimated", "predicted", "counted", "Configuration, A -> B"):
        assert word in text, word
    assert ("weights   peak" in text) == (width in (None, 100))


def test_the_difference_is_between_the_totals_that_are_shown() -> None:
    found = describe_all(("mobilevit_s", "mobilevitv2_1.0"))
    text = shown(render_networks([d.name for d in found], [d.evaluation for d in found], [d.anatomy for d in found], "stage"))
    (total,) = (line.split() for line in text.splitlines() if line.startswith("total"))
    assert total[:4] == ["total", "5.32", "3.02", "-2.30"]
    assert "probability" in text


def test_one_network_shows_what_its_numbers_are() -> None:
    d = describe("mobilevit_xxs")
    text = shown(render_network(d.name, d.evaluation, d.anatomy, "kind"))
    assert widest(text) <= 100
    for word in ("matmul", "constant", "predicted on", "no single operation was timed", "counted, and exact"):
        assert word in " ".join(text.split()), word


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_files_hold_all_of_it_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    (tmp_path / "notes").mkdir()
    found = describe_all(("mobilevit_xs", "mobilevitv3_xs"))
    given_names = [d.name for d in found]
    ids, anatomies = [d.evaluation.arch_id for d in found], [d.anatomy for d in found]
    written = write_anatomy(tmp_path, ids, given_names, anatomies, "stage", "predicted on iphone12")
    assert [p.name for p in written] == ["by_stage.csv", "by_kind.csv", "by_op.csv", "anatomy.svg", "anatomy.png"]
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in written} | {"precious.txt", "notes"}
    assert (tmp_path / "precious.txt").read_text() == "keep"
    for by in BY:
        rows = rows_of(tmp_path / f"by_{by}.csv")
        assert list(rows[0]) == list(columns(by)) and list(rows[0])[:2] == ["arch_id", "network"]
        for d in found:
            mine = [r for r in rows if r["arch_id"] == d.evaluation.arch_id]
            m = d.evaluation.measurements
            assert sum(int(r["macs"]) for r in mine) == m["macs"].value
            assert sum(int(r["params"]) for r in mine) == m["params"].value
            assert math.isclose(sum(float(r["ms"]) for r in mine), m["latency"].value, rel_tol=1e-5)
    assert (tmp_path / "anatomy.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "anatomy.svg").read_text(encoding="utf-8")
    assert all(word in svg for word in ("mobilevitv3_xs", "stage 3", "predicted on iphone12", "constant"))
    write_anatomy(tmp_path, ids, given_names, anatomies, "stage", "predicted on iphone12")
    assert (tmp_path / "anatomy.svg").read_text(encoding="utf-8") == svg


def test_a_picture_is_drawn_of_what_cannot_be_split(tmp_path: Path) -> None:
    a = anatomy(network("mobilevit_xxs"), 256, get_target("cpu"))
    write_anatomy(tmp_path, ["x"], [WIDE], [a], "kind", "")
    svg = (tmp_path / "anatomy.svg").read_text(encoding="utf-8")
    assert "MACs, counted" in svg and "ms, " not in svg
    assert {r["ms"] for r in rows_of(tmp_path / "by_kind.csv")} == {""}


def test_json_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    command(["mobilevit_xxs"], by="op", as_json=True)
    data = json.loads(capsys.readouterr().out)
    a = data["anatomy"]
    for rows in (a["parts"], a["kinds"], a["ops"]):
        assert sum(r["macs"] for r in rows) == data["macs"]["value"]
        assert math.isclose(a["constant_ms"] + sum(r["ms"] for r in rows), data["latency"]["value"])
    command(["mobilevit_xxs", "mobilevitv3_xxs"], as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert [n["name"] for n in data["networks"]] == ["mobilevit_xxs", "mobilevitv3_xxs"]
    assert "ops" not in data["networks"][0]["anatomy"]
    assert {"from": "mobilevit_xxs", "to": "mobilevitv3_xxs", "part": "stage 3", "knob": "block",
            "values": ["v1", "v3-v1"]} in data["changes"]  # fmt: skip


def test_a_network_without_a_prediction_is_counted_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["mobilevit_xxs"], target="iphone14", out=tmp_path)
    out = capsys.readouterr().out
    assert "has no predictor" in out and "stage 3" in out and "1.27 M" in out
    assert (tmp_path / "by_stage.csv").exists()
    command(["mobilevit_xxs", "mobilevit_xs"], target="iphone14")
    out = capsys.readouterr().out
    assert "A failed (error)" in out and "B - A" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"networks": ["mobilevit_xs"], "by": "layer"}, "`--by` is `layer`"),
        ({"networks": ["mobilevit_xs", "mobilevit_s"], "by": "op"}, "`--by op` with several networks"),
        ({"networks": ["mobilevit_xs"] * 7}, "7 networks are too many"),
        ({"networks": ["mobilevit_xs", "mobilevit_huge"]}, "mobilevit_huge"),
        ({"networks": ["mobilevit_xs"], "target": "iphone99"}, "iphone99"),
        ({"networks": ["mobilevit_xs"], "out": Path("taken")}, "cannot write into `taken`"),
        ({"networks": ["mobilevit_xs"], "out": Path("full")}, "cannot write into `full`"),
    ],
)
def test_bad_values_get_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("keep")
    (tmp_path / "full" / "by_stage.csv").mkdir(parents=True)
    (tmp_path / "full" / "by_stage.csv" / "precious.txt").write_text("keep")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=said) as error:
        command(**arguments)
    assert error.value.hint
    assert sorted(tmp_path.rglob("*")) == before
    assert capsys.readouterr().out == ""
