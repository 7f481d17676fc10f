"""This Mac's measurement with a Core ML that is played: what coremltools' documentation promises, and its failures."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mvsearch.errors import InputError, MeasureError, TargetError
from mvsearch.spec.published import network
from mvsearch.targets import LatencyRecord, StopPolicy
from mvsearch.targets.coreml import convert, mac
from mvsearch.targets.coreml.mac import MacTarget, time_model
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.coreml.plan import ComputePlan
from mvsearch.targets.coreml.shell import Done
from tests.targets.simulated_phone import write_package
from tests.targets.test_coreml_package import OURS, SPEC

np = pytest.importorskip("numpy")
SHORT = StopPolicy(warm_up_s=0.0, max_s=60.0, min_rounds=4, max_drift=0.15)


class Engine:
    """The Neural Engine."""


class Cpu:
    """The CPU."""


class Gpu:
    """The GPU."""


class FakeCoreML:
    """coremltools as far as it is used.

    Args:
        latency_ms: of the n-th prediction.
        operations: (kind, unit, cost) of the network; None if the plan cannot be had.
        refuses: what loading raises.
        fails: what predicting raises.
        timed: whether Core ML says how long a prediction took.
    """

    def __init__(self, latency_ms=lambda n: 2.0, operations=(), refuses=None, fails=None, timed=True) -> None:
        fake = self
        self.runs = 0
        self.loaded: list[tuple[str, str]] = []
        self.inputs: list[dict] = []

        class MLModel:
            __proxy__ = object()
            load_duration_in_nano_seconds = 3_000_000

            def __init__(self, path, compute_units) -> None:
                if refuses:
                    raise refuses
                fake.loaded.append((path, compute_units))

            def predict(self, data) -> None:
                if fails:
                    raise fails
                fake.runs += 1
                fake.inputs.append(data)

            @property
            def last_predict_duration_in_nano_seconds(self):
                return int(1e6 * latency_ms(fake.runs)) if timed else None

            def get_compiled_model_path(self) -> str:
                return "/tmp/x.mlmodelc"

        class Plan:
            @classmethod
            def load_from_path(cls, path, compute_units):
                if operations is None:
                    raise ValueError("MLComputePlan is not supported.\nmore")
                return cls()

            @property
            def model_structure(self):
                ops = [SimpleNamespace(operator_name=f"ios16.{kind}", unit=unit, cost=cost) for kind, unit, cost in operations]
                function = SimpleNamespace(block=SimpleNamespace(operations=ops))
                return SimpleNamespace(program=SimpleNamespace(functions={"main": function}))

            def get_compute_device_usage_for_mlprogram_operation(self, op):
                return op.unit and SimpleNamespace(preferred_compute_device=op.unit())

            def get_estimated_cost_for_mlprogram_operation(self, op):
                return None if op.cost is None else SimpleNamespace(weight=op.cost)

        self.__version__ = "9.0"
        self.ComputeUnit = SimpleNamespace(ALL="ALL", CPU_AND_NE="CPU_AND_NE", CPU_AND_GPU="CPU_AND_GPU", CPU_ONLY="CPU_ONLY")
        self.models = SimpleNamespace(
            MLModel=MLModel,
            compute_plan=SimpleNamespace(MLComputePlan=Plan),
            compute_device=SimpleNamespace(MLNeuralEngineComputeDevice=Engine, MLGPUComputeDevice=Gpu, MLCPUComputeDevice=Cpu),
        )


def shell(answers: dict[str, str]):
    """A Mac's small tools."""
    known = {
        "sysctl": "Apple M2\nMac14,2\n",
        "sw_vers": "ProductName:\t\tmacOS\nProductVersion:\t\t14.6.1\nBuildVersion:\t\t23G93\n",
        "pmset -g": "System-wide power settings:\nCurrently in use:\n lowpowermode         0\n sleep 1\n",
        "pmset -g therm": "Note: No thermal warning level has been recorded\n",
        **answers,
    }

    def run(command, timeout_s, folder=None) -> Done:
        text = " ".join(command)
        return Done(0, known[max((k for k in known if text.startswith(k)), key=len)])

    return run


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Measure with a fake Core ML."""

    def run(ct: FakeCoreML, policy: StopPolicy = SHORT, shape=(1, 3, 64, 64), units="all", **answers: str) -> LatencyRecord:
        @contextmanager
        def fake():
            yield ct, None

        monkeypatch.setattr(convert, "quiet_coremltools", fake)
        monkeypatch.setattr(convert, "coreml_available", lambda: (True, ""))
        monkeypatch.setattr(mac, "WARM_UP_S", 0.0)
        path = tmp_path / f"net{len(list(tmp_path.iterdir()))}.mlpackage"
        artifact = artifact_of(write_package(path, OURS, shape))
        return MacTarget({"units": units}, None, "darwin", shell(answers)).measure(artifact, policy)

    return run


OPERATIONS = [("const", None, None), *[("conv", Engine, 0.02)] * 40, *[("resize_bilinear", Cpu, 0.1)] * 2]


def test_a_measurement(measure) -> None:
    ct = FakeCoreML(lambda n: 2.0 + 0.01 * (n % 5), OPERATIONS)
    record = measure(ct)
    assert record.value_ms == pytest.approx(2.02)
    assert (record.n, record.rounds, record.load_ms) == (200, 4, 3.0)
    assert record.warm_up_n == 20
    assert (record.protocol, record.target, record.arch_id) == ("coremltools-mac-1", "mac", SPEC.arch_id)
    assert record.condition("device") == "Apple M2 (Mac14,2)"
    assert record.condition("os") == "macOS 14.6.1 (23G93)"
    assert record.condition("ane_operations") == "40 of 42"
    assert record.condition("ane_cost_share") == "0.800"
    assert record.condition("off_ane") == "resize_bilinear on cpu (2)"
    assert record.flags == ("ane-fallback: 2 of 42 operations",)
    assert ct.loaded[0][1] == "ALL"
    image = ct.inputs[0]["image"]
    assert (image.shape, image.dtype) == ((1, 3, 64, 64), np.float16)
    assert image.min() >= 0.5 and image.max() <= 1
    assert (ct.inputs[-1]["image"] == image).all()
    assert LatencyRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("units", ["cpu_and_ne", "cpu_and_gpu", "cpu_only"])
def test_units_are_passed_on(measure, units) -> None:
    ct = FakeCoreML(operations=[("conv", Cpu, 1.0)])
    record = measure(ct, units=units)
    assert ct.loaded[0][1] == units.upper()
    assert record.target == f"mac@units={units}"
    assert bool(record.flags) == (units == "cpu_and_ne"), "a fallback only where the Neural Engine was asked for"


def test_a_plan_that_cannot_be_had_is_said_so(measure) -> None:
    record = measure(FakeCoreML(operations=None))
    assert record.condition("compute_plan") == "not known: ValueError: MLComputePlan is not supported."
    assert record.flags == ()


@pytest.mark.parametrize(
    ("ct", "kind", "message"),
    [
        (
            FakeCoreML(refuses=RuntimeError("Error compiling model\nmore")),
            "load",
            "does not load `net.*RuntimeError: Error comp",
        ),
        (FakeCoreML(fails=RuntimeError("no plan")), "load", "does not run the network: RuntimeError: no plan"),
        (FakeCoreML(timed=False), "tool", "does not say how long"),
        (FakeCoreML(lambda n: 2.0 + n / 100), "unsteady", "this Mac is too unsteady"),
    ],
)
def test_what_goes_wrong_is_named(measure, ct, kind, message) -> None:
    with pytest.raises(MeasureError, match=message) as error:
        measure(ct, replace(SHORT, max_s=0.0))
    assert error.value.kind == kind and error.value.hint


def test_an_image_input_is_not_filled(measure) -> None:
    with pytest.raises(InputError, match="takes images, as apps do"):
        measure(FakeCoreML(), shape=())


def test_a_mac_that_saves_energy_or_is_throttled_is_refused(measure) -> None:
    with pytest.raises(MeasureError, match="low power mode") as error:
        measure(FakeCoreML(), **{"pmset -g": " lowpowermode         1\n"})
    assert error.value.kind == "low-power"
    with pytest.raises(MeasureError, match="throttled to 71 %") as error:
        measure(FakeCoreML(), **{"pmset -g therm": "CPU_Speed_Limit \t= 71\n"})
    assert (error.value.kind, error.value.retryable) == ("hot", True)
    record = measure(FakeCoreML(), **{"pmset -g therm": "CPU_Speed_Limit \t= 100\n"})
    assert record.condition("thermal_after") == "CPU_Speed_Limit 100"


class Clock:
    """Pushed forward by predictions of so many ms."""

    def __init__(self, *ms: float) -> None:
        self.now, self.runs, self.ms = 0.0, 0, ms

    def predict(self) -> float:
        ms = self.ms[self.runs % len(self.ms)]
        self.runs += 1
        self.now += ms / 1e3
        return ms

    def time(self, **policy):
        return time_model(self.predict, StopPolicy(**{"max_s": 100.0, "min_rounds": 20, **policy}), lambda: self.now)


def test_the_warm_up_is_by_time_and_by_count() -> None:
    assert Clock(1.0).time()[0] == pytest.approx(500, abs=1)
    warm, seconds, _ = Clock(100.0).time()
    assert warm == 20 and seconds == pytest.approx(2.0)


def test_rounds_end_when_the_median_is_known_or_the_time_is_up() -> None:
    assert Clock(1.0).time()[2].rounds == 20
    assert Clock(1000.0).time(max_s=1.0)[2].rounds == 3, "three rounds always run"
    noisy = Clock(*([1.0] * 50 + [1.4] * 50)).time(max_s=20.0, precision=0.001)[2]
    assert noisy.rounds > 20 and noisy.settled > 0.001


def test_a_summary_s_interval_is_of_rounds_and_holds_the_median() -> None:
    summary = Clock(*([1.0] * 50 + [1.1] * 50)).time(max_s=2.0)[2]
    assert summary.low == 1.0 and summary.high == 1.1
    assert summary.low <= summary.value <= summary.high
    spiky = Clock(*([2.0] * 45 + [40.0] * 5)).time()[2]
    assert spiky.value == spiky.trimmed_mean == 2.0, "ModelBench's mean drops the spikes, too"


def test_shares_of_a_plan() -> None:
    half = ComputePlan({("conv", "ane"): 1, ("conv", "gpu"): 1}, {"ane": 0.5, "gpu": 0.5})
    assert (half.cost_share, half.flags("all")) == (0.5, ("ane-fallback: 1 of 2 operations",))
    assert half.flags("cpu_and_gpu") == ()
    no_cost = ComputePlan({("conv", "ane"): 95, ("cast", "cpu"): 5}, {})
    assert (no_cost.cost_share, no_cost.flags("all")) == (None, ())
    assert dict(no_cost.conditions())["ane_cost_share"] == "unknown"


def test_off_a_mac_it_says_so() -> None:
    target = MacTarget({}, None, "linux")
    capability = target.capability()
    assert (capability.status, target.name, target.resource) == ("unavailable", "mac", "mac")
    assert "Apple" in capability.reason and "Mac" in capability.fix
    with pytest.raises(TargetError, match="cannot be measured here"):
        target.measure(artifact_of)  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="no predictor"):
        target.predict(network("mobilevit_xxs"), 256)


def test_an_old_macos_and_a_missing_coremltools_are_reasons(monkeypatch) -> None:
    monkeypatch.setattr(convert, "coreml_available", lambda: (True, ""))
    old = shell({"sw_vers": "ProductVersion:\t\t12.7\nBuildVersion:\t\t21G816\n"})
    capability = MacTarget({}, None, "darwin", old).capability()
    assert capability.status == "unavailable" and "macOS 12.7 (21G816)" in capability.reason
    assert MacTarget({}, None, "darwin", shell({})).capability().status == "available"
    monkeypatch.setattr(convert, "coreml_available", lambda: (False, "`pip install coremltools`"))
    assert MacTarget({}, None, "darwin", shell({})).capability().fix == "`pip install coremltools`"


@pytest.mark.parametrize("options", [{"units": "gpu"}, {"runner": "swift"}])
def test_unknown_options(options) -> None:
    with pytest.raises(TargetError, match="`mac`"):
        MacTarget(options, None, "linux")


def test_two_macs_are_two_targets() -> None:
    m2 = MacTarget({}, None, "darwin", shell({}))
    m1 = MacTarget({}, None, "darwin", shell({"sysctl": "Apple M1\nMacBookAir10,1\n"}))
    assert m1.spec.key != m2.spec.key and m2.machine() == "Apple M2 (Mac14,2)"
