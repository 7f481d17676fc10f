"""One's own measurements: what they do to the predictor, and what becomes of a file with faults."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from mvsearch.api.calibrate import CalibrationReport, calibrate, load_calibration
from mvsearch.costs import lower
from mvsearch.errors import InputError, TargetError
from mvsearch.spec.arch import to_json
from mvsearch.spec.published import network
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.shipped import shipped_model
from mvsearch.targets.predictor.tables import published_rows

V1_V2 = ("mobilevit_xxs", "mobilevit_s", "mobilevitv2_1.0", "mobilevitv2_0.5")


def predicted(name: str, model: LatencyModel, resolution: int = 256) -> tuple[float, float]:
    """Milliseconds and the interval's factor."""
    m = model.predict(lower(network(name), resolution), target="iphone12")
    assert m.high is not None
    return m.value, m.high / m.value


def own_csv(folder: Path, names: tuple[str, ...], scale: float, noise: float = 0.05, v3: float = 1.0, seed: int = 0) -> Path:
    """Measurements of somebody whose phone and habits are `scale` times the reference."""
    rng, model = random.Random(seed), shipped_model("iphone12")
    lines = ["network,ms"]
    for name in names:
        factor = scale * math.exp(rng.gauss(0, noise)) * (v3 if "v3" in name else 1.0)
        lines.append(f'"{name}",{predicted(name, model)[0] * factor:.3f}')
    path = folder / "own.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("scale", [0.4, 1.6, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_own_measurements_halve_the_error(tmp_path: Path, scale: float, seed: int) -> None:
    """On networks that were not measured, under the same hands."""
    calibrate(own_csv(tmp_path, ("mobilevit_s", "mobilevitv2_1.0"), scale, seed=seed), "iphone12", tmp_path / "c.json")
    before, after = shipped_model("iphone12"), load_calibration(tmp_path / "c.json", "iphone12")
    for name in ("mobilevit_xs", "mobilevitv2_0.75", "mobilevitv3_xs"):
        truth = predicted(name, before)[0] * scale
        errors = [abs(predicted(name, m)[0] / truth - 1) for m in (before, after)]
        assert errors[1] < 0.5 * errors[0]


def test_published_measurements_of_another_phone_as_ones_own(tmp_path: Path) -> None:
    """MobileViT on an iPhone 14, as SwiftFormer published it, calibrates the iPhone 12's predictor."""
    rows = [r for r in published_rows("iphone14") if r.family.startswith("MobileViT")]
    names = {"mobilevit_xs@256": "mobilevit_xs", "mobilevitv2_100@256": "mobilevitv2_1.0",
             "mobilevitv2_150@256": "mobilevitv2_1.5", "mobilevitv2_200@256": "mobilevitv2_2.0"}  # fmt: skip
    path = tmp_path / "swiftformer.csv"
    path.write_text("network,ms\n" + "".join(f"{names[r.network]},{r.latency_ms}\n" for r in rows))
    report = calibrate(path, "iphone12")
    assert report.anchors == 4 and 0.4 < report.scale < 0.9
    assert report.mape_after is not None and report.mape_after < 0.6 * report.mape_before
    # The four disagree more than one laboratory's values on the iPhone 12 do: the interval says so.
    assert report.disagreement > 1.5 and "lie further apart" in report.warnings[0]
    assert sum(r.low_ms <= r.measured_ms <= r.high_ms for r in report.rows) == 4


def test_the_report(tmp_path: Path) -> None:
    path = own_csv(tmp_path, V1_V2, 1.6)
    report = calibrate(path, "iphone12", tmp_path / "c.json")
    assert report.anchors == 4 and report.target == "iphone12" and report.csv == str(path)
    assert 1.45 < report.scale < 1.75
    assert report.mape_after is not None and report.mape_after < 0.5 * report.mape_before
    assert report.expected_mape_after < 0.5 * report.expected_mape_before
    assert 1.05 < report.factor_after < report.factor_before
    assert set(report.corrections) == {"v1", "v2"}
    model = load_calibration(tmp_path / "c.json", "iphone12")
    for r in report.rows:
        value, factor = predicted(r.network, model)
        assert r.low_ms == pytest.approx(value / factor, rel=1e-4) and r.high_ms == pytest.approx(value * factor, rel=1e-4)
        assert r.low_ms < r.measured_ms < r.high_ms
        assert r.before_ms == pytest.approx(predicted(r.network, shipped_model("iphone12"))[0])
    assert [r.line for r in report.rows] == [2, 3, 4, 5]
    assert report.warnings == ()


def test_one_measurement_is_enough_for_a_scale(tmp_path: Path) -> None:
    report = calibrate(own_csv(tmp_path, ("mobilevit_s",), 1.6, noise=0), "iphone12", tmp_path / "c.json")
    assert 1.4 < report.scale < 1.6
    assert report.mape_after is None and report.rows[0].after_ms is None
    assert "one measurement tells the scale only" in report.warnings[0]


def test_more_measurements_narrow_the_interval_but_not_below_the_noise(tmp_path: Path) -> None:
    factors = [
        calibrate(own_csv(tmp_path, V1[:n], 1.3), "iphone12").factor_after for n in (1, 2, 3, 5)
    ]  # fmt: skip
    assert factors[0] > factors[1] > factors[2] >= factors[3] > 1.05


V1 = ("mobilevit_s", "mobilevit_xs", "mobilevit_xxs", "mobilevit_s@patch=8,4,2", "mobilevit_xs@patch=8,4,2")


def test_blocks_that_were_not_measured_stay_less_sure(tmp_path: Path) -> None:
    calibrate(own_csv(tmp_path, V1[:3], 1.3), "iphone12", tmp_path / "c.json")
    model = load_calibration(tmp_path / "c.json", "iphone12")
    measured, other, heir = (predicted(n, model)[1] for n in ("mobilevit_xs", "mobilevitv2_1.0", "mobilevitv3_xs"))
    assert measured < other < heir
    assert other > predicted("mobilevitv2_1.0", shipped_model("iphone12"))[1]


def test_v3_gets_a_correction_of_its_own(tmp_path: Path) -> None:
    """Nobody has published one; who measures some sees whether v3 runs as its operations say."""
    names = ("mobilevit_s", "mobilevit_xs", "mobilevitv2_1.0", "mobilevitv3_s", "mobilevitv3_xs", "mobilevitv3_xxs")
    report = calibrate(own_csv(tmp_path, names, 1.0, noise=0.01, v3=1.4), "iphone12", tmp_path / "c.json")
    before, after = report.corrections["v3-v1"]
    assert after / before > 1.2
    assert 0.9 < report.corrections["v1"][1] / report.corrections["v1"][0] < 1.1
    model = load_calibration(tmp_path / "c.json", "iphone12")
    v3_factor = predicted("mobilevitv3_s_l2", model)[0] / predicted("mobilevitv3_s_l2", shipped_model("iphone12"))[0]
    v1_factor = predicted("mobilevit_xxs", model)[0] / predicted("mobilevit_xxs", shipped_model("iphone12"))[0]
    assert v3_factor > 1.2 * v1_factor
    assert predicted("mobilevitv3_s_l2", model)[1] < predicted("mobilevitv3_s_l2", shipped_model("iphone12"))[1]


def test_a_row_far_from_the_others_is_warned_of(tmp_path: Path) -> None:
    path = own_csv(tmp_path, V1_V2, 1.0)
    path.write_text(path.read_text() + "mobilevitv2_0.75,16.9\n")
    (warning,) = [w for w in calibrate(path, "iphone12").warnings if "mobilevitv2_0.75" in w]
    assert "line 6" in warning and "Neural Engine" in warning


def test_architectures_by_name_file_and_entry(tmp_path: Path) -> None:
    spec = network("mobilevitv3_xs")
    (tmp_path / "net.json").write_text(json.dumps(to_json(spec)))
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "config.json").write_text(json.dumps({"arch": to_json(network("mobilevit_xs"))}))
    path = tmp_path / "own.csv"
    path.write_text(
        "network,ms,resolution,protocol,note\nnet.json,4.4,,mine,cold\nentry,4.1,,mine,\nmobilevit_s,6.3,320,mine,\n"
    )
    report = calibrate(path, "iphone12")
    assert [r.resolution for r in report.rows] == [256, 256, 320]
    assert report.rows[0].before_ms == pytest.approx(predicted("mobilevitv3_xs", shipped_model("iphone12"))[0])
    assert report.rows[2].before_ms == pytest.approx(predicted("mobilevit_s", shipped_model("iphone12"), 320)[0])


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfnetwork,ms\r\nmobilevit_s,6.1\r\n", b"network;ms\nmobilevit_s;6.1\n",
     b"\nMS , Network\n6.1, mobilevit_s \n\n",      b'"network"\t"ms"\n"mobilevit_s"\t6.1e0'],
    ids=["BOM and CRLF", "semicolons", "spaces and order", "tabs, no newline at the end"],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    (row,) = calibrate(tmp_path / "own.csv", "iphone12").rows
    assert (row.network, row.measured_ms) == ("mobilevit_s", 6.1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b" \n\n", ["empty"]),
        (b"network,ms\n", ["no measurement follows the header"]),
        (b"network\nmobilevit_s\n", ["no column `ms`"]),
        (b"mobilevit_s,6.1\n", ["no column `network`", "no column `ms`"]),
        (b"network,s\nmobilevit_s,0.0061\n", ["no column `ms`", "column `s` is in seconds"]),
        (b"network,us\nmobilevit_s,6100\n", ["column `us` is in microseconds"]),
        (b"network,ms,resoluton\nmobilevit_s,6.1,320\n", ["unknown column `resoluton`"]),
        (b"network,ms,ms\nmobilevit_s,6.1,6.1\n", ["column `ms` is there 2 times"]),
        (b"network,ms\nmobilevit_s,-6.1\n", ["line 2: `ms` is `-6.1`: not a positive number"]),
        (b"network,ms\nmobilevit_s,0\n", ["not a positive number"]),
        (b"network,ms\nmobilevit_s,nan\nmobilevit_xs,inf\n", ["line 2", "line 3", "not a positive number"]),
        (b"network,ms\nmobilevit_s,fast\nmobilevit_xs,\n", ["`fast`: not a number", "``: not a number"]),
        (b"network;ms\nmobilevit_s;6,1\n", ["write a point, not a comma"]),
        (b"network,ms\nmobilevit_s,0.0061\n", ["more than 20 times off", "perhaps seconds"]),
        (b"network,ms\nmobilevit_s,6100\n", ["more than 20 times off", "perhaps microseconds"]),
        (b"network,ms\nmobilevit_s,6.1\nmobilevit_xs,4.4\nmobilevit_s,6.2\n", ["line 4", "in line 2 already"]),
        (
            b"network,ms\nmobilevit_s,6.1\nmobilevit_s@patch=2,2,2,6.1\n",
            ["line 3: 4 values for 2 columns; a name that holds commas goes in quotes"],
        ),
        (b"network,ms\nmobilevit_z,6.1\n", ["line 2: unknown network `mobilevit_z`"]),
        (
            b"network,ms,resolution\nmobilevit_s,6.1,31\nmobilevit_xs,4.4,2x2\n",
            ["`resolution` is `31`", "`resolution` is `2x2`"],
        ),
        (b"network,ms,protocol\nmobilevit_s,6.1,warm\nmobilevit_xs,4.4,cold\n", ["2 protocols in one file"]),
        (b'network,ms\n"mobilevit_s,6.1\n', ["not a CSV file"]),
        (b"network,ms\nmobilevit_s,6.1\n\x00\x00\n", ["not a text file"]),
        (b"\xff\xfen\x00e\x00t\x00", ["not a text file in UTF-8"]),
        (bytes(range(256)) * 8, ["not a text file"]),
    ],
)
def test_a_file_with_faults_is_refused_whole(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path, out = tmp_path / "own.csv", tmp_path / "c.json"
    path.write_bytes(content)
    out.write_text("what was there")
    with pytest.raises(InputError) as caught:
        calibrate(path, "iphone12", out)
    message = str(caught.value)
    assert all(w in message for w in words), message
    assert out.read_text() == "what was there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.json", "own.csv"]


def test_all_faults_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("network,ms\nmobilevit_s,-1\nmobilevit_q,3\nmobilevit_xs,0.004\nmobilevit_xxs,2.4\nmobilevit_xxs,2.5\n")
    with pytest.raises(InputError) as caught:
        calibrate(path, "iphone12")
    assert caught.value.message.startswith(f"4 faults in `{path}`")
    assert [line.split(":")[0].strip() for line in caught.value.message.splitlines()[1:]] == [
        "line 2",
        "line 3",
        "line 4",
        "line 6",
    ]
    assert caught.value.exit_code == 2


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    path = own_csv(tmp_path, V1_V2, 1.0)
    with pytest.raises(InputError, match="cannot read"):
        calibrate(tmp_path / "none.csv", "iphone12")
    with pytest.raises(InputError, match="is a folder"):
        calibrate(path, "iphone12", tmp_path)
    with pytest.raises(InputError, match="holds the measurements"):
        calibrate(path, "iphone12", path)
    with pytest.raises(InputError, match="could not be written"):
        calibrate(path, "iphone12", path / "below" / "c.json")
    for target, words in (("iphone14", "has no predictor"), ("cpu", "no table of published latencies")):
        with pytest.raises(TargetError, match=words):
            calibrate(path, target)


def test_an_output_is_replaced_after_success(tmp_path: Path) -> None:
    out = tmp_path / "new" / "c.json"
    first = calibrate(own_csv(tmp_path, V1_V2, 1.0), "iphone12", out)
    second = calibrate(own_csv(tmp_path, V1_V2, 2.0), "iphone12", out)
    assert isinstance(first, CalibrationReport) and first.csv_hash != second.csv_hash
    assert predicted("mobilevit_s", load_calibration(out, "iphone12"))[0] > 8
    assert [p.name for p in out.parent.iterdir()] == ["c.json"]
    assert json.loads(out.read_text())["csv_hash"] == second.csv_hash


def test_a_calibration_that_is_none(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    calibrate(own_csv(tmp_path, V1_V2, 1.2), "iphone12", out)
    with pytest.raises(TargetError, match="was made for `iphone12`, not for `iphone13`"):
        load_calibration(out, "iphone13")
    text = out.read_text()
    data = json.loads(text)
    data["model"]["base_ms"] *= 2
    other_format = json.dumps({**data, "format": 99})
    for content, words in ((json.dumps(data), "was changed"), (text[:-40], "no JSON"), ("{}", "is not a calibration"),
                           ("[1]", "is not a calibration"), (other_format, "format `99`"), ("", "no JSON")):  # fmt: skip
        out.write_text(content)
        with pytest.raises(InputError, match=words):
            load_calibration(out, "iphone12")
    with pytest.raises(InputError, match="cannot read"):
        load_calibration(tmp_path / "none.json", "iphone12")


def test_the_iphone_13_is_calibrated_with_the_simulation_of_the_iphone_12(tmp_path: Path) -> None:
    """Its own table has too few families to simulate anchors on."""
    rows = [r for r in published_rows("iphone13") if r.network == "mobilevit_s@256"]
    assert len(rows) == 1
    path = tmp_path / "own.csv"
    path.write_text("network,ms\nmobilevit_s,3.0\nmobilevitv2_1.0,2.0\n")
    report = calibrate(path, "iphone13")
    assert report.expected_mape_after < report.expected_mape_before
    assert report.factor_after < report.factor_before
