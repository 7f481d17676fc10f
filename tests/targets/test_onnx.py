"""ONNX export and the measured target, on networks small enough for a test."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import torch
from torch import nn

from mvsearch.spec.published import network
from mvsearch.targets import StopPolicy, get_target
from mvsearch.targets.host.onnx_runtime import INPUT, export_onnx, session


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


def test_a_network_is_measured_here(tmp_path: Path) -> None:
    policy = StopPolicy(warm_up_s=0.05, max_s=0.3, min_rounds=3, max_drift=10)
    cpu = get_target("cpu")
    artifact = cpu.prepare(replace(network("mobilevitv2_0.5"), num_classes=10), 64, tmp_path)
    m = cpu.measure(artifact, policy).measurement()
    assert (m.kind, m.unit, m.target, m.level) == ("measured", "ms", "cpu", 0.95)
    assert m.low is not None and m.high is not None and 0 < m.low <= m.value <= m.high
    assert m.n >= 3 and dict(m.versions).keys() == {"onnxruntime", "torch"}
