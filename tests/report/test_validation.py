"""The honesty report: what it says in a terminal, in files and as a picture."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from mvsearch.api.validate import validate
from mvsearch.errors import InputError
from mvsearch.report.validation import render_validation, write_validation


@pytest.fixture(scope="module")
def found():
    return validate("iphone12")


def text_of(renderable, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_the_terminal_names_every_predictor_beside_its_baseline(found):
    text = text_of(render_validation(found))
    assert max(map(len, text.splitlines())) <= 100
    for row in found.summary:
        assert f"{row.mape_percent:.1f} %" in text
        assert row.predictor in text
    assert text.count("constant + MACs") >= 4
    assert "Nothing was measured here" in text
    for scale in found.scales:
        assert scale.protocol in text


def test_a_refused_phone_says_why():
    text = text_of(render_validation(validate("iphone14")))
    assert "No predictor is shipped for it" in text
    assert "30 needed" in text.replace("\n", " ")


def test_files_hold_every_row(found, tmp_path):
    written = write_validation(found, tmp_path / "v")
    assert [p.name for p in written] == ["validation.json", "validation.csv", "validation.svg", "validation.png"]
    data = json.loads(written[0].read_text())
    assert len(data["held_out"]) == len(found.held_out)
    with written[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.held_out)
    assert {r["inside"] for r in rows} == {"True", "False"}
    svg = written[2].read_text()
    assert "mobilevit_s" in svg and "constant plus MACs" in svg
    again = write_validation(found, tmp_path / "w")
    assert again[2].read_bytes() == written[2].read_bytes()


def test_a_place_that_cannot_be_written_is_refused(found, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot write"):
        write_validation(found, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_without_anchors_or_ratios_there_are_no_empty_tables(found):
    text = text_of(render_validation(replace(found, anchors=(), ratios=(), unused=())))
    assert "own measurements" not in text
    assert "One network over another" not in text
