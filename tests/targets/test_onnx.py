"""ONNX: what is exported computes the same, in both runtimes, on one thread."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import torch
from torch import nn

from mvsearch.models import build
from mvsearch.spec.published import network
from mvsearch.targets.host import onnx_runtime, openvino
from mvsearch.targets.host.onnx_runtime import INPUT, export_onnx, session


def needs_openvino() -> None:
    pytest.importorskip("openvino", reason="openvino is optional, and not installed")


@pytest.fixture(params=["onnxruntime", "openvino"])
def runner(request: pytest.FixtureRequest) -> Callable[[bytes], Callable[[], object]]:
    if request.param == "openvino":
        needs_openvino()
        return openvino.runner
    return onnx_runtime.runner


@pytest.fixture(scope="module")
def exported() -> tuple[nn.Module, bytes]:
    """MobileViTv2-0.5, and the same as ONNX at 128 pixels."""
    model, buffer = build(network("mobilevitv2_0.5")).eval(), io.BytesIO()
    export_onnx(model, 128, buffer)
    return model, buffer.getvalue()


def test_exported_network_computes_the_same(tmp_path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    model.train()
    image = torch.randn(1, 3, 64, 64)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(model, 64, buffer)
        export_onnx(model, 64, tmp_path / "model.onnx")
    assert model.training
    assert (tmp_path / "model.onnx").stat().st_size > 0
    (logits,) = session(buffer.getvalue()).run(None, {INPUT: image.numpy()})
    with torch.no_grad():
        expected = model.eval()(image)
    assert torch.allclose(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-5)


def test_openvino_computes_what_onnx_runtime_and_torch_compute(exported: tuple[nn.Module, bytes]) -> None:
    needs_openvino()
    model, onnx = exported
    image = np.random.default_rng(1).standard_normal((1, 3, 128, 128), dtype=np.float32)
    (ours,) = session(onnx).run(None, {INPUT: image})
    theirs = openvino.compiled(onnx)(image)[0]
    with torch.no_grad():
        expected = model(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(theirs, expected, rtol=1e-3, atol=1e-5)


def test_openvino_keeps_float32_and_one_thread(exported: tuple[nn.Module, bytes]) -> None:
    needs_openvino()
    compiled = openvino.compiled(exported[1])
    asked = {name: compiled.get_property(name) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "PERFORMANCE_HINT")}
    assert {k: str(v) for k, v in asked.items()} == {
        "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1", "PERFORMANCE_HINT": str(asked["PERFORMANCE_HINT"])
    }  # fmt: skip
    assert "LATENCY" in str(asked["PERFORMANCE_HINT"])
    assert "float32" in str(compiled.get_property("INFERENCE_PRECISION_HINT"))


def test_all_the_work_is_done_by_the_calling_thread(
    runner: Callable[[bytes], Callable[[], object]], exported: tuple[nn.Module, bytes]
) -> None:
    # Otherwise the thread's CPU time would be less than the network takes. The thread itself stays as it was.
    run = runner(exported[1])
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    for _ in range(3):
        run()
    threads, process = time.thread_time(), time.process_time()
    for _ in range(20):
        run()
    threads, process = time.thread_time() - threads, time.process_time() - process
    assert threads > 0.01
    assert threads == pytest.approx(process, rel=0.1)
    assert sys.float_info.min / 2 > 0
    if cores:
        assert os.sched_getaffinity(0) == cores
