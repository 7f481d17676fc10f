"""coremltools' remote benchmarker, played with the defects that it has."""

from __future__ import annotations

import asyncio
import io
import os
import time
from types import SimpleNamespace

import pytest

from mvsearch.errors import MeasureError
from mvsearch.targets import StopPolicy
from mvsearch.targets.coreml import benchmarker as module
from mvsearch.targets.coreml.benchmarker import Tools, in_own_loop, load_tools, measure_remote
from mvsearch.targets.coreml.convert import coreml_available
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.coreml.phone import TEAM_VARIABLE, PhoneTarget
from tests.targets.simulated_phone import TEAM, SimulatedMac, SimulatedPhone, write_package
from tests.targets.test_coreml_package import OURS

np = pytest.importorskip("numpy")


class DeviceCtlError(Exception):
    """As coremltools' own: its message is bytes."""

    def __init__(self, message: bytes | None) -> None:
        super().__init__(message)
        self.message = message


class FakeRemote:
    """The remote part of coremltools.

    Args:
        udids: of the connected phones.
        load_faults: raised by the first loads.
        predict_fault: raised by predicting.
        build_fault: raised by building its app.
        alive: whether its app lives after the load.
        samples: ms of the predictions.
    """

    def __init__(
        self, udids=("00008101-0001",), load_faults=(), predict_fault=None, build_fault=None, alive=True, samples=None
    ):
        self.calls: list[str] = []
        self.inputs: dict = {}
        self.credentials = None
        self.path = ""
        faults = list(load_faults)
        fake = self
        out = io.BytesIO(b"chatter\n" * 1000)

        class Loaded:
            async def unload(self) -> None:
                fake.calls.append("unload")

        class Device:
            def __init__(self, udid: str) -> None:
                self.udid = udid
                self.session = SimpleNamespace(
                    _process=SimpleNamespace(stdout=out, stderr=None),
                    is_alive=lambda: alive,
                    stop=lambda: fake.calls.append("stop"),
                )

            @staticmethod
            def get_connected_devices(kind):
                fake.path = os.environ["PATH"]
                return [Device(u) for u in udids]

            async def prepare_for_model_debugging(self, credentials):
                fake.credentials = credentials
                if build_fault:
                    raise build_fault
                fake.calls.append("prepare")
                return self

        class Benchmarker:
            def __init__(self, model, device) -> None:
                self._loaded_model = None

            async def benchmark_load(self, iterations):
                fake.calls.append("load")
                if faults:
                    raise faults.pop(0)
                self._loaded_model = Loaded()
                return SimpleNamespace(samples=[900.0])

            async def benchmark_predict(self, inputs, iterations, warmup):
                fake.calls.append("predict")
                fake.inputs = inputs
                if predict_fault:
                    raise predict_fault
                return SimpleNamespace(samples=samples or [6.0 + 0.01 * (i % 3) for i in range(iterations)])

        self.out = out
        ct = SimpleNamespace(
            __version__="9.0",
            ComputeUnit=SimpleNamespace(ALL="ALL", CPU_ONLY="CPU_ONLY"),
            models=SimpleNamespace(MLModel=lambda path, compute_units, skip_model_load: (path, compute_units, skip_model_load)),
        )
        remote = SimpleNamespace(
            Device=Device, DeviceType=SimpleNamespace(IPHONE="iphone"), AppSigningCredentials=lambda **kw: SimpleNamespace(**kw)
        )
        self.tools = Tools(ct, remote, SimpleNamespace(MLModelBenchmarker=Benchmarker))


@pytest.fixture
def artifact(tmp_path):
    return artifact_of(write_package(tmp_path / "net.mlpackage", OURS))


def measure(fake: FakeRemote, artifact, policy: StopPolicy | None = None):
    mac = SimulatedMac(SimulatedPhone())
    spec = PhoneTarget("iphone12", {"runner": "coremltools"}, mac.control, "darwin").spec
    (known,) = mac.control.phones()
    policy = policy or StopPolicy()
    return measure_remote(known, artifact, spec, "all", TEAM, mac.control, policy, lambda: fake.tools)


def test_a_measurement_has_its_own_protocol_and_leaves_nothing_on_the_phone(artifact) -> None:
    fake = FakeRemote()
    before = os.environ["PATH"]
    record = measure(fake, artifact)
    assert fake.calls == ["prepare", "load", "predict", "unload", "stop"]
    assert (record.protocol, record.target) == ("coremltools-remote-9", "iphone12@runner=coremltools")
    assert (record.value_ms, record.n, record.load_ms) == (pytest.approx(6.01), 30, 900)
    assert record.flags == ("thermal: unknown",)
    image = fake.inputs["image"]
    assert (image.shape, image.dtype) == ((1, 3, 64, 64), np.float16)
    assert fake.credentials.development_team == TEAM and TEAM.lower() in fake.credentials.bundle_identifier
    assert fake.path.startswith("/Applications/Xcode.app/Contents/Developer/usr/bin") and os.environ["PATH"] == before
    deadline = time.monotonic() + 5
    while fake.out.tell() < 8000 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fake.out.tell() == 8000, "the console of its app is drained"


def test_a_first_load_that_takes_too_long_is_tried_again(artifact) -> None:
    fake = FakeRemote(load_faults=[DeviceCtlError(b"Failed to receive a response"), DeviceCtlError(b"again")])
    assert measure(fake, artifact).n == 30
    assert fake.calls.count("load") == 3 and fake.calls[-2:] == ["unload", "stop"]


def test_a_network_that_never_loads(artifact) -> None:
    fake = FakeRemote(load_faults=[RuntimeError("error in declaration of network main")] * 9)
    with pytest.raises(MeasureError, match="could not load the network: RuntimeError: error in declaration") as error:
        measure(fake, artifact)
    assert error.value.kind == "load" and fake.calls.count("load") == 3 and "unload" not in fake.calls


@pytest.mark.parametrize(
    ("fake", "kind"),
    [
        (FakeRemote(udids=()), "unplugged"),
        (FakeRemote(udids=("another",)), "unplugged"),
        (FakeRemote(predict_fault=DeviceCtlError(b"ERROR: The device was disconnected.")), "unplugged"),
        (FakeRemote(predict_fault=DeviceCtlError(None)), "tool"),
        (
            FakeRemote(load_faults=[DeviceCtlError(b"Unable to launch: device was not, or could not be, unlocked")] * 3),
            "locked",
        ),
        (FakeRemote(build_fault=DeviceCtlError(None)), "tool"),
        (FakeRemote(alive=False), "tool"),
        (FakeRemote(samples=[6.0] * 29), "tool"),
        (FakeRemote(samples=[6.0] * 29 + [float("nan")]), "tool"),
        (FakeRemote(samples=[5.0] * 15 + [9.0] * 15), "unsteady"),
    ],
)
def test_what_goes_wrong_is_named_and_the_app_is_ended(artifact, fake, kind) -> None:
    with pytest.raises(MeasureError) as error:
        measure(fake, artifact)
    assert error.value.kind == kind and error.value.hint
    assert ("prepare" in fake.calls) == ("stop" in fake.calls)
    if "predict" in fake.calls:
        assert "unload" in fake.calls, "also after a fault"


def test_it_works_under_a_running_loop(artifact) -> None:
    async def caller():
        return measure(FakeRemote(), artifact)

    assert asyncio.run(caller()).n == 30


def test_what_blocks_ends_with_a_timeout() -> None:
    async def blocks() -> None:
        time.sleep(2)

    with pytest.raises(MeasureError, match="did not end within 0 s") as error:
        in_own_loop(blocks, 0.1)
    assert (error.value.kind, error.value.retryable) == ("timeout", True)


def test_the_option_chooses_it(artifact, monkeypatch) -> None:
    monkeypatch.setenv(TEAM_VARIABLE, TEAM)
    mac = SimulatedMac(SimulatedPhone())
    monkeypatch.setattr(
        module.measure_remote, "__defaults__", (*module.measure_remote.__defaults__[:-1], lambda: FakeRemote().tools)
    )
    record = PhoneTarget("iphone12", {"runner": "coremltools"}, mac.control, "darwin").measure(artifact)
    assert record.protocol == "coremltools-remote-9"
    assert mac.count("-derivedDataPath") == 0, "our own app is not built"


@pytest.mark.skipif(not coreml_available()[0], reason=coreml_available()[1])
def test_coremltools_has_what_is_used_of_it() -> None:
    """Names only: on this system nothing of it runs."""
    import inspect

    tools = load_tools()
    assert {"ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"} <= set(tools.ct.ComputeUnit.__members__)
    remote, perf = tools.remote, tools.perf
    assert "development_team" in inspect.signature(remote.AppSigningCredentials).parameters
    assert {"udid", "session"} <= set(inspect.signature(remote.Device).parameters)
    assert remote.DeviceType.IPHONE
    assert list(inspect.signature(remote.Device.prepare_for_model_debugging).parameters)[1] == "credentials"
    assert {"inputs", "iterations", "warmup"} <= set(inspect.signature(perf.MLModelBenchmarker.benchmark_predict).parameters)
    assert "_loaded_model" in inspect.getsource(perf.MLModelBenchmarker)
    assert "self._process" in inspect.getsource(remote._AppSession)
    for name in ("get_compiled_model_path", "last_predict_duration_in_nano_seconds", "load_duration_in_nano_seconds"):
        assert hasattr(tools.ct.models.MLModel, name)
    plan = tools.ct.models.compute_plan.MLComputePlan
    assert {"path", "compute_units"} <= set(inspect.signature(plan.load_from_path).parameters)
    for name in ("MLNeuralEngineComputeDevice", "MLGPUComputeDevice", "MLCPUComputeDevice"):
        assert hasattr(tools.ct.models.compute_device, name)
