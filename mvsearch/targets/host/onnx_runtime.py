"""ONNX: export of a torch network, and an ONNX Runtime session on one thread. torch and onnxruntime load on use."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mvsearch.costs import Resolution, image_size

if TYPE_CHECKING:
    from torch import nn

TITLE = "ONNX Runtime"
PROTOCOL = "onnxruntime-1thread-paired"
OPSET = 17
INPUT, OUTPUT, BATCH = "image", "logits", "batch"
NEEDED = ("torch", "onnx", "onnxruntime")


def missing_packages() -> tuple[str, ...]:
    """Packages without which nothing can be measured with ONNX Runtime."""
    return tuple(name for name in NEEDED if find_spec(name) is None)


def versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of what a measurement depends on."""
    return tuple((name, metadata.version(name)) for name in ("onnxruntime", "torch"))


def export_onnx(
    model: nn.Module, resolution: Resolution, destination: str | Path | BinaryIO, *, open_batch: bool = False
) -> None:
    """Write a network as ONNX at batch 1 and a fixed size, batch norm folded.

    Args:
        model: `(1, C, H, W)` -> logits; it is put into eval mode for the export and back after it.
        resolution: side of a square image, or (height, width), in pixels.
        destination: a path or an open binary file.
        open_batch: let the file take any number of images at once, instead of one.
    """
    import torch

    from mvsearch.models.folding import folded_ahead

    height, width = image_size(resolution)
    first = next(model.parameters())
    channels = first.shape[1] if first.ndim == 4 else 3
    image = torch.zeros(1, channels, height, width)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The tracer warns of every shape computed in Python, and that it is the older of two exporters;
            # it is the one that needs no further package, takes a fifth of the time, and folds batch norm.
            warnings.simplefilter("ignore")
            logger = logging.getLogger("torch.onnx")
            level = logger.level
            logger.setLevel(logging.ERROR)
            try:
                torch.onnx.export(
                    folded_ahead(model),
                    (image,),
                    destination if isinstance(destination, str) or hasattr(destination, "write") else str(destination),  # type: ignore[arg-type]
                    dynamo=False,
                    opset_version=OPSET,
                    input_names=[INPUT],
                    output_names=[OUTPUT],
                    do_constant_folding=True,
                    dynamic_axes={INPUT: {0: BATCH}, OUTPUT: {0: BATCH}} if open_batch else None,
                )
            finally:
                logger.setLevel(level)
    finally:
        model.train(training)


def session(model_bytes: bytes) -> Any:
    """An `onnxruntime.InferenceSession` on one CPU thread, the calling one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])


def runner(model_bytes: bytes) -> Callable[[], object]:
    """One inference of an ONNX file on a fixed random image, in the calling thread, as a function of nothing."""
    import numpy as np

    run = session(model_bytes)
    shape = run.get_inputs()[0].shape
    feed = {INPUT: np.random.default_rng(0).standard_normal(shape, dtype=np.float32)}
    return lambda: run.run(None, feed)
