"""What every target promises, and the catalogue."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mvsearch.errors import TargetError
from mvsearch.spec.published import network, published_networks
from mvsearch.targets import Artifact, Target, get_target, target_names
from mvsearch.targets.host.cpu import CpuTarget
from mvsearch.targets.host.machine import Calibration, fit_machine

NETWORKS = tuple(published_networks().values())


def _calibrated_cpu() -> CpuTarget:
    phone = get_target("iphone12")
    cpu = CpuTarget()
    latencies = [10 * phone.predict(s, 256).value for s in NETWORKS[:12]]
    model = fit_machine(NETWORKS[:12], 256, latencies, cpu.expected_rates(), cpu.spec.protocol)
    return cpu.calibrated(Calibration(model, cpu.spec.key, cpu.machine(), (("onnxruntime", "1"),), 12.0))


@pytest.fixture(params=target_names(), scope="module")
def target(request: pytest.FixtureRequest) -> Target:
    """Every target, ready to predict."""
    return _calibrated_cpu() if request.param == "cpu" else get_target(request.param)


def test_capability_says_why_and_what_to_do(target: Target) -> None:
    capability = target.capability()
    assert capability.status in ("available", "predict only", "unavailable")
    assert capability.reason
    if capability.status != "available":
        assert capability.fix
    assert "\n" not in target.describe()
    assert target.name == target.spec.name
    hash(target.spec)


@pytest.mark.parametrize("spec", NETWORKS, ids=list(published_networks()))
def test_predictions_are_labelled_and_bracketed(target: Target, spec) -> None:
    m = target.predict(spec, 256)
    assert (m.metric, m.unit, m.kind, m.scale, m.level) == ("latency", "ms", "predicted", "log", 0.9)
    assert m.low is not None and m.high is not None and 0 < m.low < m.value < m.high
    assert m.target == target.name and m.basis and m.protocol and m.n > 0
    assert m == target.predict(spec, 256)


def test_a_larger_image_takes_longer(target: Target) -> None:
    spec = network("mobilevit_xs")
    assert target.predict(spec, 192).value < target.predict(spec, 256).value < target.predict(spec, 384).value


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(TargetError, match="unknown target `iphone99`") as error:
        get_target("iphone99")
    assert "`iphone12`" in error.value.hint and "`cpu`" in error.value.hint
    assert error.value.exit_code == 2
    assert get_target("iPhone-12").name == "iphone12"


def test_the_phone_is_not_measured_without_a_phone() -> None:
    phone = get_target("iphone12")
    assert phone.capability().status == "predict only"
    with pytest.raises(TargetError, match="no phone can be driven"):
        phone.measure(Artifact("a", 256))


def test_the_cpu_does_not_predict_before_it_was_measured() -> None:
    with pytest.raises(TargetError, match="no predictor"):
        CpuTarget().predict(network("mobilevit_xxs"), 256)


def test_a_calibration_holds_for_one_machine_and_survives_json() -> None:
    calibration = _calibrated_cpu().calibration
    assert calibration is not None
    again = Calibration.from_json(calibration.to_json())
    spec = network("mobilevitv2_0.75")
    before, after = (CpuTarget().calibrated(c).predict(spec, 256).value for c in (calibration, again))
    assert after == pytest.approx(before, rel=1e-4)
    other = Calibration(calibration.model, calibration.target_key, "another machine", ())
    with pytest.raises(TargetError, match="made on `another machine`"):
        CpuTarget().calibrated(other)


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(TargetError, match="too few"):
        fit_machine(NETWORKS[:3], 256, [1.0, 2.0, 3.0], CpuTarget().expected_rates(), "p")


def test_missing_onnxruntime_is_a_reason_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import mvsearch.targets.host.onnx_runtime as onnx_runtime

    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None if name == "onnxruntime" else object())
    capability = CpuTarget().capability()
    assert (capability.status, capability.fix) == ("unavailable", "`python -m pip install onnxruntime`")
    with pytest.raises(TargetError, match="not installed: onnxruntime"):
        CpuTarget().measure(Artifact("a", 256))


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mvsearch.targets import get_target; from mvsearch.spec.published import network;"
        "t = get_target('iphone12'); t.predict(network('mobilevit_xs'), 256); t.capability(); get_target('cpu').describe();"
        "print(sorted({'numpy', 'scipy', 'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
