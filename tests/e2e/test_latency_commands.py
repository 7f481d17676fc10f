"""`validate`, `calibrate` and `measure`, as a user calls them."""

import json

import pytest

from tests.e2e.here import call_here as call

GOOD = "network,ms\nmobilevit_xs,3.6\nmobilevitv2_1.0,3.1\nmobilevit_s,5.0\n"


def test_validate_shows_and_writes(tmp_path):
    done = call("validate", "--target", "iphone12", "--out", "v", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "constant + MACs" in done.stdout
    assert {p.name for p in (tmp_path / "v").iterdir()} == {f"validation.{s}" for s in ("json", "csv", "svg", "png")}
    done = call("validate", "--target", "cpu", cwd=tmp_path)
    assert done.returncode == 2 and "`iphone13`" in done.stderr and "Traceback" not in done.stderr


def test_a_calibration_changes_what_is_predicted(tmp_path):
    (tmp_path / "mine.csv").write_text(GOOD.replace("3.6", "7.2").replace("3.1", "6.2").replace("5.0", "10.0"))
    done = call("calibrate", "--csv", "mine.csv", "--out", "mine.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "x/÷" in done.stdout
    before = json.loads(call("describe", "mobilevit_xxs", "--json", cwd=tmp_path).stdout)["latency"]
    after = json.loads(call("describe", "mobilevit_xxs", "--json", "--calibration", "mine.json", cwd=tmp_path).stdout)[
        "latency"
    ]
    assert 1.6 < after["value"] / before["value"] < 2.4
    assert after["high"] / after["low"] < before["high"] / before["low"]
    done = call("describe", "mobilevit_xxs", "--target", "iphone13", "--calibration", "mine.json", cwd=tmp_path)
    assert done.returncode == 2 and "`iphone12`" in done.stderr


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("network,ms\nmobilevit_s,-5\n", "line 2"),
        ("network,ms\nmobilevit_s,0.005\n", "perhaps seconds"),
        ("network,ms\nmobilevit_s,5\nmobilevit_s,5\n", "line 3"),
        ("network,ms\nno_such_network,5\n", "`no_such_network`"),
        ("network,us\nmobilevit_s,5000\n", "`us`"),
        ("network,ms\n", "mine.csv"),
        ("\0\1\2", "mine.csv"),
    ],
)
def test_a_faulty_csv_keeps_what_there_was(tmp_path, text, what):
    (tmp_path / "mine.csv").write_text(text)
    (tmp_path / "mine.json").write_text("an older calibration")
    done = call("calibrate", "--csv", "mine.csv", "--out", "mine.json", cwd=tmp_path)
    assert done.returncode == 2
    assert what in done.stderr and "hint:" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "mine.json").read_text() == "an older calibration"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("run", "--budget", "2M-params", "--target", "nonsense", "--out", "r"), "unknown target `nonsense`"),
        (("run", "--budget", "2M-params", "--target", "iphone14", "--out", "r"), "do not suffice"),
        (("run", "--budget", "2M-params", "--target", "gpu@launch=sideways", "--out", "r"), "`launch=sideways`"),
        (("measure", "mobilevit_xxs", "--target", "iphone12"), "cannot be measured here"),
        (("measure", "no_such_network", "--target", "cpu"), "no_such_network"),
        (("measure", "http://127.0.0.1:9", "--target", "cpu"), "MVSEARCH_QUEUE_TOKEN"),
    ],
)
def test_what_cannot_be_done_is_one_clear_message(tmp_path, arguments, what):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert what in done.stderr and "hint:" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
