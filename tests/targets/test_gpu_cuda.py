"""`CudaDevice` as far as it can be followed without a GPU."""

from __future__ import annotations

import contextlib
import gc
import warnings
import weakref
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch

from mvsearch.errors import MeasureError
from mvsearch.targets.host.gpu import cuda
from mvsearch.targets.host.gpu.cuda import CudaDevice, cuda_device, torch_build
from mvsearch.targets.host.gpu.device import Gpu, MathSettings

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")


@needs_no_gpu
def test_a_session_without_a_gpu_is_refused_and_changes_nothing() -> None:
    before = _settings()
    with (
        pytest.raises(MeasureError, match="CUDA does not start in this process: ") as error,
        CudaDevice().session(MathSettings()),
    ):
        pass
    assert (error.value.kind, error.value.retryable) == ("unavailable", False)
    assert "\n" not in error.value.message and _settings() == before


def _settings() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As much of `torch.cuda` as a session needs; says what was called."""
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "init", lambda: calls.append("init"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty_cache"))
    monkeypatch.setattr(torch.cuda, "device", lambda index: contextlib.nullcontext(calls.append(f"device {index}")))
    return calls


@pytest.mark.parametrize("settings", [MathSettings(), MathSettings(tf32=True), MathSettings(deterministic=True, autotune=True)])
def test_settings_hold_for_the_session_only(settings: MathSettings, pretended: list[str]) -> None:
    before = _settings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError), CudaDevice(1).session(settings):
            assert _settings() == (settings.tf32, settings.tf32, settings.autotune, settings.deterministic)
            raise ZeroDivisionError
    assert _settings() == before
    assert pretended == ["init", "device 1", "empty_cache"]


def test_a_device_that_is_not_there_is_refused(pretended: list[str]) -> None:
    with pytest.raises(MeasureError, match="no device 2: CUDA sees 2"), CudaDevice(2).session(MathSettings()):
        pass


def test_a_graph_is_captured_after_a_warm_up_and_keeps_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA graphs replay addresses: a network that is freed while its graph lives would be read after that."""
    calls: list[str] = []

    class Stream:
        def wait_stream(self, other: object) -> None:
            calls.append("wait")

    @contextlib.contextmanager
    def scope(name: str):
        calls.append(name)
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *index: calls.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: scope("stream"))
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: scope("capture"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: calls.append("replay")))
    network = torch.nn.Linear(2, 2)
    alive = weakref.ref(network)

    def run(network=network):
        calls.append("run")
        return network.weight

    replay = CudaDevice().capture(run)
    assert calls == ["wait", "stream", *["run"] * cuda.CAPTURE_WARM_UP, "wait", "synchronize", "capture", "run"]
    del run, network
    gc.collect()
    assert alive() is not None
    calls.clear()
    assert replay() is alive().weight and calls == ["replay"]
    del replay
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("known", "driver", "uuid"),
    [
        ((Gpu("L4", "580", "GPU-b"), Gpu("H200", "580", "GPU-a")), "580", "GPU-a"),
        ((Gpu("H200", "580", "GPU-virtual"),), "580", "GPU-virtual"),
        ((), "unknown", "GPU-a"),
        ((Gpu("L4", "580", "GPU-b"), Gpu("H200", "580", "GPU-c")), "unknown", "GPU-a"),
    ],
)
def test_cuda_and_the_drivers_tool_mean_the_same_card(
    known: tuple[Gpu, ...], driver: str, uuid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(name="H200", uuid="a"))
    monkeypatch.setattr(cuda, "visible_gpus", lambda: known)
    assert CudaDevice().gpu() == Gpu("H200", driver, uuid)


def test_the_build_of_torch_is_read_without_importing_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_build()["torch"] == torch.__version__
    assert torch_build().get("cuda") == torch.version.cuda
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "version.py").write_text(
        "from typing import Optional\n__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n"
    )
    monkeypatch.setattr(cuda, "find_spec", lambda name: SimpleNamespace(origin=str(folder / "__init__.py")))
    torch_build.cache_clear()
    try:
        assert torch_build() == {"torch": "2.11.0+cu130", "cuda": "13.0"}
        monkeypatch.setattr(cuda, "find_spec", lambda name: None)
        torch_build.cache_clear()
        assert torch_build() == {}
    finally:
        torch_build.cache_clear()


def test_one_device_object_per_process() -> None:
    assert cuda_device(0) is cuda_device(0) is not cuda_device(1)
