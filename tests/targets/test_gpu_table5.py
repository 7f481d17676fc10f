"""The benchmark that repeats MobileViTv3's Table 5, on a simulated GPU; it gets one try on a real one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mvsearch.targets.host.gpu.target import GpuTarget
from tests.targets.fake_gpu import FakeGpu

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_table5.py"
NAMES = ("mobilevit_xxs", "mobilevitv3_xxs_l2")
UNNEEDED = (
    "coremltools",
    "fvcore",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "platformdirs",
    "plotly",
    "ray",
    "rich",
    "typer",
)


@pytest.fixture(scope="module")
def table5():
    spec = importlib.util.spec_from_file_location("gpu_table5", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.RESOLUTION = 64
    return module


def run(table5, gpu, columns, repeats=3, limit_s=1e6, **kwargs):
    targets = [GpuTarget(way.options, device=gpu) for way in columns]
    return table5.measure_all(columns, targets, NAMES, repeats, limit_s, **kwargs)


def test_every_network_is_measured_in_every_way_and_repeat(table5, capsys) -> None:
    columns = [w for w in table5.ways(60, 30) if "batch" not in w.options]
    saved = []
    results, faults = run(table5, FakeGpu(), columns, on_repeat=lambda r: saved.append(json.dumps(table5.plain(r))))
    assert faults == [] and len(saved) == 3
    assert {len(records) for records in results.values()} == {3} and len(results) == 2 * len(NAMES)
    text = table5.table(columns, results, NAMES)
    rows = [line.split(" | ") for line in text.splitlines()]
    assert len(rows) == 2 + len(NAMES) and {len(r) for r in (rows[0], *rows[2:])} == {6}
    assert rows[2][:4] == ["| mobilevit_xxs", "1.27", "7.24", "2124"]
    lines = table5.repeatability(columns, results)
    assert len(lines) == 2 and all(", within 2%" in line for line in lines)
    stated = "\n".join(table5.conditions(results))
    assert "Fake GPU, driver 1.2; torch" in stated and "sm_clock_before: 1980 MHz" in stated and "flags: none" in stated
    entry = json.loads(saved[-1])[columns[1].title]["mobilevit_xxs"][0]
    assert "samples_ms" not in entry and entry["n"] > 100 and entry["p50_ms"] == pytest.approx(entry["value_ms"], rel=1e-3)


def test_throughput_is_images_over_time(table5) -> None:
    way = next(w for w in table5.ways(60, 30) if w.options == {"batch": "100"})
    target = GpuTarget(way.options, device=FakeGpu())
    results, _ = table5.measure_all([way], [target], NAMES[:1], 1, 1e6)
    (record,) = results[way.title, NAMES[0]]
    assert table5.shown(way, record) == pytest.approx(1e5 / record.value_ms)


def test_when_the_time_is_up_what_there_is_is_kept(table5) -> None:
    gpu = FakeGpu()
    columns = table5.ways(60, 30)[2:3]
    results, faults = run(table5, gpu, columns, repeats=50, limit_s=12.0, clock=gpu.now)
    done = {len(records) for records in results.values()}
    assert max(done) >= 2 and min(done) >= 2 and gpu.now() < 14.0
    assert len(faults) == 1 and faults[0].startswith("the time was up after")


def test_a_network_that_fails_does_not_take_the_others_with_it(table5, monkeypatch) -> None:
    monkeypatch.setattr(table5.time, "sleep", lambda seconds: None)
    gpu = FakeGpu(slowdowns=["thermal"])
    columns = table5.ways(60, 30)[2:3]
    results, faults = run(table5, gpu, columns, repeats=1)
    assert len(faults) == len(NAMES) and "held its clocks back" in faults[0]
    assert "| none |" in table5.table(columns, results, NAMES)
    assert table5.conditions(results) == []


def test_a_wide_spread_is_told(table5) -> None:
    assert table5.spread([1.0, 1.01, 1.03]) == pytest.approx(0.03 / 1.01)


def test_the_whole_command_prints_the_table_and_writes_the_records(table5, monkeypatch, capsys, tmp_path) -> None:
    gpu = FakeGpu()
    few = table5.ways(60, 30)[::2]
    monkeypatch.setattr(table5, "GpuTarget", lambda options: GpuTarget(options, device=gpu))
    monkeypatch.setattr(table5, "ways", lambda runs, batch_runs: few)
    monkeypatch.setattr(table5, "PUBLISHED", {name: table5.PUBLISHED[name] for name in NAMES})
    file = tmp_path / "records.json"
    assert table5.main(["--repeats", "2", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "`python benchmarks/gpu_table5.py --repeats 2 --json" in out and "median of 2 repeats" in out
    assert sum(line.startswith("| mobilevit") for line in out.splitlines()) == 2
    data = json.loads(file.read_text())
    assert data["faults"] == [] and len(data["records"][few[0].title]["mobilevit_xxs"]) == 2
    assert table5.main(["--repeats", "2", "--minutes", "0"]) == 1


@pytest.mark.skipif(GpuTarget().capability().status == "available", reason="there is a GPU here, and it would be measured")
def test_without_a_gpu_it_says_why_with_no_more_than_torch_installed() -> None:
    """It may run on a bare machine that has torch and little else."""
    code = (
        "import runpy, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {UNNEEDED!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"sys.argv = ['gpu_table5.py']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPT.parents[1], check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("no GPU to measure on: ") and "\nhint: " in done.stderr
