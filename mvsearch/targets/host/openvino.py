"""OpenVINO on one CPU thread. It is optional, and loads on use."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from typing import Any

TITLE = "OpenVINO"
PROTOCOL = "openvino-1thread-paired"
NEEDED = ("torch", "onnx", "openvino")


def missing_packages() -> tuple[str, ...]:
    """Packages without which nothing can be measured with OpenVINO."""
    return tuple(name for name in NEEDED if find_spec(name) is None)


def versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of what a measurement depends on."""
    return tuple((name, metadata.version(name)) for name in ("openvino", "torch"))


def compiled(model_bytes: bytes) -> Any:
    """An `openvino.CompiledModel` of an ONNX file on one CPU thread, one stream, float32."""
    import openvino

    core = openvino.Core()
    return core.compile_model(
        core.read_model(io.BytesIO(model_bytes)),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            # It computes in bfloat16 on processors that have it, unless told otherwise.
            "INFERENCE_PRECISION_HINT": "f32",
            # It would bind the calling thread, and with it the reference network, to a core that others may want.
            "ENABLE_CPU_PINNING": False,
        },
    )


def runner(model_bytes: bytes) -> Callable[[], object]:
    """One inference of an ONNX file on a fixed random image, in the calling thread, as a function of nothing."""
    import numpy as np

    network = compiled(model_bytes)
    image = np.random.default_rng(0).standard_normal(tuple(network.input(0).shape), dtype=np.float32)
    request = network.create_infer_request()
    return lambda: request.infer([image], share_inputs=True, share_outputs=True)
