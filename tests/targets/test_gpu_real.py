"""The target `gpu` on a real CUDA device; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from mvsearch.errors import MeasureError
from mvsearch.models import build
from mvsearch.spec.published import network
from mvsearch.targets import LatencyRecord
from mvsearch.targets.host.gpu.cuda import cuda_device
from mvsearch.targets.host.gpu.network import inference, prepared_network, random_images
from mvsearch.targets.host.gpu.options import GpuOptions
from mvsearch.targets.host.gpu.target import GpuTarget
from mvsearch.targets.host.machine import calibrate_here

HERE = GpuTarget().capability()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(HERE.status != "available", reason=HERE.reason)]
SPEC = network("mobilevitv3_xxs")


def measure(folder: Path, spec=SPEC, **options: str) -> LatencyRecord:
    where = GpuTarget(options)
    return where.measure(where.prepare(spec, 256, folder))


def test_a_network_is_measured_twice_alike(tmp_path: Path) -> None:
    first, second = measure(tmp_path), measure(tmp_path)
    assert second.value_ms == pytest.approx(first.value_ms, rel=0.05)
    assert 0.02 < first.value_ms < 20
    assert first.low_ms <= first.value_ms <= first.high_ms
    assert float(first.condition("memory_peak_mb")) > 1
    assert {"torch", "cuda", "cudnn"} <= dict(first.versions).keys()
    assert "MHz" in first.condition("sm_clock_after") or first.condition("readings_after")


def test_a_graph_hides_the_launches(tmp_path: Path) -> None:
    assert measure(tmp_path).value_ms < 0.8 * measure(tmp_path, launch="eager").value_ms


def test_a_batch_has_the_higher_throughput(tmp_path: Path) -> None:
    one, many = (float(measure(tmp_path, batch=n).condition("images_per_s")) for n in ("1", "100"))
    assert many > 3 * one


def test_the_preset_runs(tmp_path: Path) -> None:
    record = measure(tmp_path, preset="mobilevitv3", runs="60")
    assert record.n == 60 and record.protocol == "mobilevitv3-main-latency-60"


@pytest.mark.parametrize("name", ["mobilevit_xs@patch=8,4,2", "mobilevitv2_0.5", "mobilevitv3_xxs"])
@pytest.mark.parametrize("launch", ["graph", "eager"])
def test_the_device_computes_what_the_processor_computes(name: str, launch: str) -> None:
    spec = network(name)
    options = GpuOptions(launch=launch, precision="float32")
    device = cuda_device(0)
    images = random_images(spec, 256, options)
    with torch.no_grad():
        expected = build(spec).eval()(images)
    with device.session(options.math):
        run = inference(*device.load(prepared_network(spec, options), images), options)
        if launch == "graph":
            run = device.capture(run)
        out = run()
        device.synchronize()
        assert (out.cpu() - expected).abs().max() < 1e-3 * expected.abs().max()


def test_tf32_is_off_unless_asked_for() -> None:
    device = cuda_device(0)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1024, 1024, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    if torch.cuda.get_device_capability(0) < (8, 0):
        pytest.skip("this GPU has no TF32")
    errors = []
    for tf32 in (False, True):
        with device.session(GpuOptions(precision="float32", tf32=tf32).math):
            errors.append((((a.cuda() @ b.cuda()).cpu() - exact).abs().max() / exact.abs().max()).item())
    assert errors[0] < 1e-5 < errors[1]


def test_too_large_a_batch_is_told_and_the_next_network_runs(tmp_path: Path) -> None:
    measure(tmp_path)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.5e9 / total)
    try:
        with pytest.raises(MeasureError, match="does not fit into the memory") as error:
            measure(tmp_path, batch="256")
        assert error.value.kind == "load"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert measure(tmp_path).value_ms > 0


def test_compiled_networks_run(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    record = measure(tmp_path, compile="yes")
    assert record.condition("compiled") == "yes" and record.value_ms < 20


def test_a_calibration_predicts_within_a_quarter(tmp_path: Path) -> None:
    where = GpuTarget()
    names = ("mobilevit_xxs", "mobilevit_s", "mobilevitv2_0.5", "mobilevitv2_1.0", "mobilevitv3_xxs", "mobilevitv3_0.75")
    ready = where.calibrated(calibrate_here(where, [network(n) for n in names]))
    held = network("mobilevitv3_xs_l2")
    assert ready.predict(held, 256).value == pytest.approx(measure(tmp_path, held).value_ms, rel=0.25)
