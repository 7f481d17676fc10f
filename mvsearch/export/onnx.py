"""The ONNX file of a library entry, and its outputs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ConversionError, ExportError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def save_onnx(model: nn.Module, resolution: int, path: Path) -> dict[str, Any]:
    """Write the network as ONNX, float32, images of this resolution; returns the file's size in bytes.

    Raises:
        ConversionError: the exporter does not take the network.
    """
    from mvsearch.targets.host.onnx_runtime import export_onnx

    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        try:
            export_onnx(model, resolution, temporary)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversionError(f"the network does not convert to ONNX: {reason}") from error
        temporary.replace(path)
    return {"bytes": path.stat().st_size, "precision": "float32", "resolution": resolution}


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Logits (B, classes) of images (B, C, H, W), one image at a time, by ONNX Runtime on one CPU thread.

    Raises:
        ExportError: ONNX Runtime cannot load the file.
    """
    import numpy as np

    from mvsearch.targets.host.onnx_runtime import INPUT, session

    try:
        runtime = session(path.read_bytes())
    except Exception as error:
        raise ExportError(f"`{path.name}` cannot be loaded by ONNX Runtime: {str(error).splitlines()[0]}") from error
    return np.concatenate([runtime.run(None, {INPUT: image[None]})[0] for image in images])
