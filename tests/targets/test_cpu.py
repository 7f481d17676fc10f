"""`cpu`: the reference that gives its milliseconds, what a record says, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

import mvsearch.targets.host.cpu as cpu_module
import mvsearch.targets.host.load as load_module
from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.published import network
from mvsearch.targets import Artifact, MeasurementCache, get_target, take
from mvsearch.targets.cache import CACHE_VARIABLE, REFERENCE_TIME
from mvsearch.targets.host.cpu import CpuTarget
from mvsearch.targets.host.load import load_conditions
from mvsearch.targets.host.machine import Calibration
from mvsearch.targets.host.timing import AloneTimes, PairedTimes
from mvsearch.targets.predictor.shipped import shipped_model

PAIRED = PairedTimes(1.5, 1.48, 1.52, 0.95, (0.03, 0.031), (0.02, 0.0205), 0.04, 0.02, 0.01, 7, 0.4, 1)


class FakeCpu:
    """Takes the place of clocks and runtimes.

    Attributes:
        alone_ms: what the reference takes when it is timed alone.
        now_ms: what it takes beside a network at its fastest.
        paired: what pairs give otherwise.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.alone_ms, self.now_ms, self.timed_alone, self.second = 20.0, 20.0, 0, 0
        self.paired = PAIRED
        monkeypatch.setenv(CACHE_VARIABLE, str(folder))
        for name in ("onnx_runtime", "openvino"):
            runtime = getattr(cpu_module, name)
            monkeypatch.setattr(runtime, "missing_packages", lambda: ())
            monkeypatch.setattr(runtime, "versions", lambda: (("runtime", "1"),))
            monkeypatch.setattr(runtime, "runner", lambda model: lambda: None)
        monkeypatch.setattr(cpu_module, "_reference_run", lambda runtime: lambda: None)
        monkeypatch.setattr(cpu_module, "measure_alone", self.measure_alone)
        monkeypatch.setattr(cpu_module, "measure_paired", lambda *args: replace(self.paired, seen_s=self.now_ms / 1e3))
        monkeypatch.setattr(cpu_module, "utc_now", self.now)
        self.artifact = Artifact("a@256/onnx", 256, network("mobilevit_xs"), folder / "a.onnx")
        assert self.artifact.path is not None
        self.artifact.path.write_bytes(b"onnx")

    def measure_alone(self, run) -> AloneTimes:
        self.timed_alone += 1
        return AloneTimes(self.alone_ms / 1e3, (self.alone_ms / 1e3, 0.05), 90)

    def now(self) -> str:
        self.second += 1
        return f"2026-11-21T10:00:{self.second:02d}Z"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeCpu:
    return FakeCpu(monkeypatch, tmp_path)


def test_the_reference_is_timed_once_and_gives_the_milliseconds(fake: FakeCpu) -> None:
    first = CpuTarget().measure(fake.artifact)
    fake.alone_ms = 25.0  # A busier moment.
    second = CpuTarget().measure(fake.artifact)
    assert fake.timed_alone == 1
    assert first.value_ms == second.value_ms == pytest.approx(1.5 * 20.0)
    assert (first.low_ms, first.high_ms) == pytest.approx((1.48 * 20, 1.52 * 20))
    assert first.condition(REFERENCE_TIME) == second.condition(REFERENCE_TIME) == CpuTarget().reference().taken_at


def test_a_record_holds_the_ratio_both_references_and_every_run(fake: FakeCpu) -> None:
    fake.now_ms = 21.0
    record = CpuTarget().measure(fake.artifact)
    conditions = dict(record.conditions)
    assert conditions["ratio"] == "1.5" and conditions["reference"] == "mobilevit_xxs@256"
    assert (conditions["reference_ms"], conditions["reference_now_ms"]) == ("20", "21")
    assert (conditions["wall_ms"], conditions["drift"], conditions["attempts"]) == ("40", "0.010", "1")
    assert {"load_before", "load_after"} <= set(conditions)
    assert record.samples_ms == pytest.approx((30.0, 31.0))
    assert record.reference_samples_ms == pytest.approx((20.0, 20.5))
    assert (record.rounds, record.warm_up_n, record.warm_up_s) == (1, 7, 0.4)
    assert record.load_ms is not None and record.load_ms >= 0
    assert record.statistic == "median ratio to mobilevit_xxs (20 ms)" and not record.flags


@pytest.mark.parametrize(("now_ms", "flagged"), [(16.0, True), (18.9, True), (19.3, False), (20.0, False), (40.0, False)])
def test_a_reference_that_runs_faster_than_stored_is_told(fake: FakeCpu, now_ms: float, flagged: bool) -> None:
    fake.now_ms = now_ms
    flags = CpuTarget().measure(fake.artifact).flags
    assert len(flags) == flagged
    if flagged:
        assert flags[0].startswith(f"reference: stored 20 ms, now {now_ms:.3g} ms")


@pytest.mark.parametrize(("beside_ms", "flagged"), [(20.0, False), (24.0, False), (26.0, True), (40.0, True)])
def test_a_machine_that_is_held_back_is_told(fake: FakeCpu, beside_ms: float, flagged: bool) -> None:
    fake.paired = replace(PAIRED, reference_s=(beside_ms / 1e3,) * 2)
    flags = CpuTarget().measure(fake.artifact).flags
    assert len(flags) == flagged
    if flagged:
        assert flags[0].startswith(f"reference: stored 20 ms, now {beside_ms:.3g} ms; ratios move")


def test_timed_anew_on_demand_and_records_on_the_old_scale_no_longer_count(fake: FakeCpu) -> None:
    cache, target = MeasurementCache(), CpuTarget()
    assert take(target, fake.artifact, cache=cache).value_ms == pytest.approx(30.0)
    fake.alone_ms = 18.0
    assert target.reference(fresh=True).value_ms == pytest.approx(18.0)
    assert cache.get(fake.artifact.key, target.spec) is None
    assert take(target, fake.artifact, cache=cache).value_ms == pytest.approx(27.0)
    assert [r.value_ms for r in cache.records(target.spec)] == pytest.approx([30.0, 27.0])


def test_the_two_runtimes_have_references_and_records_of_their_own(fake: FakeCpu) -> None:
    cache, ours, other = MeasurementCache(), CpuTarget(), CpuTarget({"runtime": "openvino"})
    take(ours, fake.artifact, cache=cache)
    fake.alone_ms = 10.0
    assert take(other, fake.artifact, cache=cache).value_ms == pytest.approx(15.0)
    assert take(ours, fake.artifact, cache=cache).value_ms == pytest.approx(30.0)
    assert fake.timed_alone == 2
    assert (ours.spec.protocol, other.spec.protocol) == ("onnxruntime-1thread-paired", "openvino-1thread-paired")
    assert (ours.resource, other.resource) == ("cpu", "cpu")


def test_a_calibration_on_another_scale_is_told(fake: FakeCpu) -> None:
    target = CpuTarget()
    calibration = Calibration(shipped_model("iphone12"), target.spec.key, target.machine(), (), 20.5)
    assert target.calibrated(calibration).measure(fake.artifact).flags == ()
    (flag,) = target.calibrated(replace(calibration, reference_ms=24.0)).measure(fake.artifact).flags
    assert flag == "reference: 24 ms in the calibration that predictions come from, 20 ms here"


def test_another_machine_is_refused(fake: FakeCpu, monkeypatch: pytest.MonkeyPatch) -> None:
    target = CpuTarget()
    monkeypatch.setattr(cpu_module, "processor_name", lambda: "another processor")
    with pytest.raises(MeasureError, match="this is `another processor`") as error:
        target.measure(fake.artifact)
    assert error.value.kind == "unavailable" and fake.timed_alone == 0


def test_options_are_checked() -> None:
    assert get_target("cpu@runtime=onnxruntime").spec == get_target("cpu").spec
    assert get_target("cpu@runtime=openvino").name == "cpu@runtime=openvino"
    with pytest.raises(TargetError, match="no runtime `tvm`") as error:
        get_target("cpu@runtime=tvm")
    assert "`onnxruntime`, `openvino`" in error.value.hint
    with pytest.raises(TargetError, match="no option `threads`") as error:
        get_target("cpu@threads=4")
    assert "`runtime`" in error.value.hint


@pytest.mark.parametrize(("name", "package"), [("cpu", "onnxruntime"), ("cpu@runtime=openvino", "openvino")])
def test_a_missing_runtime_is_a_reason_with_a_command(monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    module = cpu_module.openvino if package == "openvino" else cpu_module.onnx_runtime
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else object())
    target = get_target(name)
    capability = target.capability()
    assert (capability.status, capability.fix) == ("unavailable", f"`python -m pip install {package}`")
    for verb in (lambda: target.measure(Artifact("a", 256)), lambda: target.prepare(network("mobilevit_xs"), 64, Path())):
        with pytest.raises(TargetError, match=f"not installed: {package}"):
            verb()


@pytest.mark.parametrize("name", ["cpu", "cpu@runtime=openvino"])
def test_a_file_that_is_no_network_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = get_target(name)
    if target.capability().status != "available":
        pytest.skip(target.capability().reason)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for path in (broken, tmp_path / "absent.onnx"):
        with pytest.raises(MeasureError, match=f"cannot load `{path}`") as error:
            target.measure(Artifact("a", 256, path=path))
        assert error.value.kind == "load" and "\n" not in error.value.message


@pytest.mark.parametrize("name", ["cpu", "cpu@runtime=openvino"])
def test_numbers_next_to_zero_are_zero_while_the_clock_runs_and_only_then(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = get_target(name)
    if target.capability().status != "available":
        pytest.skip(target.capability().reason)
    artifact, seen = target.prepare(replace(network("mobilevitv2_0.5"), num_classes=10), 64, tmp_path), []

    def watched(run, reference, policy) -> PairedTimes:
        for _ in range(2):
            run()
            reference()
            seen.append(sys.float_info.min / 2)
        return PAIRED

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(cpu_module, "measure_alone", lambda run: AloneTimes(0.02, (0.02,), 90))
    monkeypatch.setattr(cpu_module, "measure_paired", watched)
    target.measure(artifact)
    assert seen == [0.0, 0.0]
    assert sys.float_info.min / 2 > 0


def test_the_load_of_the_machine_is_told_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load_module.os, "getloadavg", lambda: (1.234, 0, 0), raising=False)
    file = tmp_path / "loadavg"
    file.write_text("1.23 0.80 0.50 4/90 12880\n")
    monkeypatch.setattr(load_module, "Path", lambda path: file)
    assert load_conditions("before") == (("load_before", "1.23"), ("others_runnable_before", "3"))
    file.unlink()
    assert load_conditions("after") == (("load_after", "1.23"),)
    monkeypatch.delattr(load_module.os, "getloadavg")
    assert load_conditions("after") == ()
