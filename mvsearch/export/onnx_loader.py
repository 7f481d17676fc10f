"""Loads `model.onnx` by ONNX Runtime alone; run in a process of its own by `mvsearch.export.fresh`."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def load(folder: str) -> Callable[[Any], Any]:
    """Images (B, C, H, W) -> logits (B, classes), for arrays."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"image": images})[0]
