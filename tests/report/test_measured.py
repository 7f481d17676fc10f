"""Measurements beside predictions, in a table and as JSON."""

import io
import json

import pytest
from rich.console import Console

from mvsearch.report.measured import print_measured, render_measured
from mvsearch.search.measuring import Measured, MeasureFailure, MeasureResult
from mvsearch.spec.record import Measurement
from mvsearch.targets import LatencyRecord

PREDICTED = Measurement("latency", 4.0, "ms", "predicted", 3.0, 5.3, 0.9, "log", target="iphone12")


def record(value, flags=()):
    return LatencyRecord(
        artifact="a@256/x", arch_id="a" * 12, resolution=256, target="iphone12", target_key="k", protocol="mvsearch-runner-1",
        value_ms=value, low_ms=0.99 * value, high_ms=1.01 * value, level=0.95, statistic="median",
        samples_ms=(value, value, 1.2 * value), conditions=(("device", "iPhone13,2"),), versions=(("xcode", "26"),),
        flags=flags,
    )  # fmt: skip


RESULT = MeasureResult(
    "iphone12",
    (
        Measured("inside", "a" * 12, PREDICTED, record(4.4)),
        Measured("outside", "b" * 12, PREDICTED, record(6.0, ("ane-fallback: 12 of 301 operations",))),
        Measured("gone", "c" * 12, PREDICTED, MeasureFailure("unplugged", "the phone is gone")),
    ),
    ("1 member keeps its prediction",),
)


def text_of(result):
    console = Console(width=100, file=io.StringIO())
    console.print(render_measured(result))
    return console.file.getvalue()


def test_measured_stands_beside_predicted():
    text = text_of(RESULT)
    assert "2 networks measured on iphone12" in text
    assert "1 of 2 measured latencies lie inside their predicted 90 % intervals" in text
    assert "1.10" in text and "1.50" in text
    assert "not measured, unplugged (gone): the phone is gone" in text
    assert "ane-fallback (outside): 12 of 301 operations" in text
    assert "mvsearch-runner-1 on iPhone13,2; xcode 26" in text
    assert "1 member keeps its prediction" in text


def test_columns_without_content_are_left_out():
    text = text_of(MeasureResult("cpu", (Measured("n", "a" * 12, None, record(4.4)),)))
    assert "predicted" not in text
    assert "1 network measured on cpu" in text


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]):
    print_measured(RESULT, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in data["members"]] == ["inside", "outside", "gone"]
    assert data["members"][0]["latency"]["kind"] == "measured"
    assert data["members"][2]["failure"] == {"kind": "unplugged", "message": "the phone is gone"}
