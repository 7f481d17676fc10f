"""What every target promises, whatever can be done with it here; and the catalogue."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.published import network, published_networks
from mvsearch.targets import (
    Artifact,
    LatencyRecord,
    MeasurementCache,
    StopPolicy,
    Target,
    get_target,
    take,
    target_names,
)
from mvsearch.targets.host.machine import Calibration, MachineTarget, calibrate_here, fit_machine
from mvsearch.targets.predictor.phones import PHONES
from mvsearch.targets.predictor.shipped import phone_names

NETWORKS = tuple(published_networks().values())
NAMES = (*target_names(), "cpu@runtime=openvino")
"""Every target, and those of their variants that are worth a run of the suite."""


def ready(name: str) -> Target:
    """The target with a predictor; one that is measured on the machine at hand gets invented latencies to fit."""
    target = get_target(name)
    if not isinstance(target, MachineTarget):
        return target
    phone = get_target("iphone12")
    latencies = [10 * phone.predict(s, 256).value for s in NETWORKS[:12]]
    model = fit_machine(NETWORKS[:12], 256, latencies, target.expected_rates(), target.spec.protocol)
    return target.calibrated(Calibration(model, target.spec.key, target.machine(), (("runtime", "1"),), 12.0))


@pytest.fixture(params=NAMES, scope="module")
def target(request: pytest.FixtureRequest) -> Target:
    """Every target, ready to predict."""
    return ready(request.param)


@pytest.fixture(params=[n for n in NAMES if isinstance(get_target(n), MachineTarget)])
def machine_target(request: pytest.FixtureRequest) -> MachineTarget:
    """Targets that are measured on the machine at hand, as the catalogue gives them."""
    found = get_target(request.param)
    assert isinstance(found, MachineTarget)
    return found


@pytest.fixture(params=[n for n in NAMES if n not in PHONES or n in phone_names()], scope="module")
def predictor(request: pytest.FixtureRequest) -> Target:
    """Every target that predicts."""
    return ready(request.param)


def require_available(target: Target) -> None:
    capability = target.capability()
    if capability.status != "available":
        pytest.skip(f"{target.name}: {capability.reason}")


def test_capability_says_why_and_what_to_do(target: Target) -> None:
    capability = target.capability()
    assert capability.status in ("available", "predict only", "unavailable")
    assert capability.reason
    if capability.status != "available":
        assert capability.fix
    assert "\n" not in target.describe()
    assert re.fullmatch(r"[a-z0-9_-]+", target.resource)


def test_a_name_leads_to_one_identity(target: Target) -> None:
    again = get_target(target.name)
    assert target.name == target.spec.name == again.name
    assert again.spec == target.spec and again.spec.key == target.spec.key and hash(again.spec) == hash(target.spec)


def test_workers_get_a_copy_that_predicts_the_same(predictor: Target) -> None:
    copy = pickle.loads(pickle.dumps(predictor))
    assert copy.spec == predictor.spec
    assert copy.predict(NETWORKS[0], 256) == predictor.predict(NETWORKS[0], 256)


def test_no_two_targets_share_an_identity() -> None:
    assert len({get_target(n).spec.key for n in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(TargetError, match="`colour`") as error:
        get_target(f"{name}{',' if '@' in name else '@'}colour=red")
    assert error.value.hint


@pytest.mark.parametrize("spec", NETWORKS, ids=list(published_networks()))
def test_predictions_are_labelled_and_bracketed(predictor: Target, spec) -> None:
    m = predictor.predict(spec, 256)
    assert (m.metric, m.unit, m.kind, m.scale, m.level) == ("latency", "ms", "predicted", "log", 0.9)
    assert m.low is not None and m.high is not None and 0 < m.low < m.value < m.high
    assert m.target == predictor.name and m.basis and m.protocol and m.n > 0
    assert m == predictor.predict(spec, 256)


def test_a_larger_image_takes_longer(predictor: Target) -> None:
    spec = network("mobilevit_xs")
    small, usual, large = (predictor.predict(spec, side).value for side in (192, 256, 384))
    assert small < usual < large


@pytest.mark.parametrize("name", sorted(set(PHONES) - set(phone_names())))
def test_a_phone_without_evidence_does_not_predict(name: str) -> None:
    with pytest.raises(TargetError, match="do not suffice") as error:
        get_target(name).predict(NETWORKS[0], 256)
    assert "`iphone12`" in error.value.hint


def test_what_cannot_be_measured_here_is_refused_with_what_to_do(target: Target) -> None:
    if target.capability().status == "available":
        pytest.skip(f"{target.name} can be measured here")
    with pytest.raises(TargetError) as error:
        target.measure(Artifact("a", 256))
    assert error.value.message and error.value.hint and error.value.exit_code == 2


def test_something_that_it_cannot_load_is_refused(target: Target) -> None:
    require_available(target)
    with pytest.raises(MeasureError) as error:
        target.measure(Artifact("a", 256))
    assert error.value.kind == "load" and not error.value.retryable


def test_a_measurement_holds_what_is_needed_to_distrust_it(target: Target, tmp_path: Path) -> None:
    require_available(target)
    cache = MeasurementCache(tmp_path)
    policy = StopPolicy(warm_up_s=0.05, max_s=0.3, min_rounds=4, max_drift=10)
    spec = replace(network("mobilevitv2_0.5"), num_classes=10)
    artifact = target.prepare(spec, 64, tmp_path)
    assert artifact.key.startswith(f"{spec.arch_id}@64/") and artifact.spec == spec
    record = take(target, artifact, policy, cache)
    assert (record.artifact, record.arch_id, record.resolution) == (artifact.key, spec.arch_id, 64)
    s = target.spec
    assert (record.target, record.target_key, record.protocol, record.batch) == (s.name, s.key, s.protocol, s.batch)
    assert 0 < record.low_ms <= record.value_ms <= record.high_ms and 0 < record.level < 1
    assert record.n >= 4 and min(record.samples_ms) > 0 and record.rounds >= 1
    assert record.warm_up_n > 0 and record.warm_up_s > 0
    assert record.condition("device") and record.versions and record.host and record.statistic
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.taken_at)
    assert LatencyRecord.from_json(record.to_json()) == record
    m = record.measurement()
    assert (m.kind, m.unit, m.target, m.protocol, m.n) == ("measured", "ms", s.name, s.protocol, record.n)
    assert take(target, artifact, policy, cache) == record


# Targets that are measured on the machine at hand.


def test_a_machine_does_not_predict_before_it_was_measured(machine_target: MachineTarget) -> None:
    with pytest.raises(TargetError, match="no predictor") as error:
        machine_target.predict(network("mobilevit_xxs"), 256)
    assert error.value.hint


def test_a_calibration_holds_for_one_machine_and_survives_json(machine_target: MachineTarget) -> None:
    calibration = ready(machine_target.name).calibration  # type: ignore[attr-defined]
    again = Calibration.from_json(calibration.to_json())
    spec = network("mobilevitv2_0.75")
    before, after = (machine_target.calibrated(c).predict(spec, 256).value for c in (calibration, again))
    assert after == pytest.approx(before, rel=1e-4)
    with pytest.raises(TargetError, match="made on `another machine`"):
        machine_target.calibrated(replace(calibration, machine="another machine"))
    with pytest.raises(TargetError, match="not one of"):
        machine_target.calibrated(replace(calibration, target_key="another"))


def test_too_few_networks_are_refused(machine_target: MachineTarget) -> None:
    with pytest.raises(TargetError, match="too few"):
        fit_machine(NETWORKS[:3], 256, [1.0, 2.0, 3.0], machine_target.expected_rates(), "p")


def test_a_machine_that_was_calibrated_predicts_what_it_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Latencies are twice what the target's own expectation says, on a simulated machine without any noise.
    target = get_target("cpu")
    truth = {s.arch_id: 2 * ready("cpu").predict(s, 256).value for s in NETWORKS}

    def measure(artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        ms = truth[artifact.spec.arch_id]  # type: ignore[union-attr]
        return LatencyRecord(artifact.key, "", 256, target.name, target.spec.key, "p", ms, ms, ms, 0.9, "median", (ms,))

    monkeypatch.setattr(target, "prepare", lambda spec, resolution, folder, seed=0: Artifact(spec.arch_id, resolution, spec))
    monkeypatch.setattr(target, "measure", measure)
    monkeypatch.setattr(target, "reference_ms", lambda: 12.0)
    monkeypatch.setattr(target, "require_available", lambda: None)
    monkeypatch.setattr(target, "versions", lambda: (("runtime", "1"),))
    heard, cache = [], MeasurementCache(tmp_path)
    calibration = calibrate_here(target, NETWORKS, on_measured=lambda *args: heard.append(args), cache=cache)
    assert [h[:2] for h in heard] == [(i + 1, len(NETWORKS)) for i in range(len(NETWORKS))]
    assert (calibration.reference_ms, calibration.versions) == (12.0, (("runtime", "1"),))
    for spec in NETWORKS:
        assert target.calibrated(calibration).predict(spec, 256).value == pytest.approx(truth[spec.arch_id], rel=0.15)
    monkeypatch.setattr(target, "measure", lambda *args: pytest.fail("measured again"))
    assert calibrate_here(target, NETWORKS, cache=cache).model == calibration.model


# The catalogue.


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(TargetError, match="unknown target `iphone99`") as error:
        get_target("iphone99")
    assert "`iphone12`" in error.value.hint and "`cpu`" in error.value.hint
    assert error.value.exit_code == 2
    assert get_target("iPhone-12").name == "iphone12"


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mvsearch.targets import get_target; from mvsearch.spec.published import network;"
        "t = get_target('iphone12'); t.predict(network('mobilevit_xs'), 256); t.capability(); get_target('cpu').describe();"
        "get_target('cpu@runtime=openvino').capability();"
        "print(sorted({'numpy', 'scipy', 'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
