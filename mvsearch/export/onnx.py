"""ONNX: `model.onnx`, one float32 file with an open batch that ONNX Runtime, OpenVINO and others run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ConversionError, ExportError, first_line
from mvsearch.export import runtime
from mvsearch.export.exporter import Check, Refusal, Subject

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

FILE = "model.onnx"


class OnnxExporter:
    """Images (N, C, H, W) named `image` -> logits (N, classes) named `logits`; batch norm folded."""

    name = "onnx"
    title = "ONNX, for ONNX Runtime and others"
    files = (FILE,)

    def missing(self) -> str | None:
        """Packages that are needed and not installed."""
        missing = runtime.missing_packages("onnx", "onnxruntime")
        return f"{' and '.join(missing)} not installed: `pip install {' '.join(missing)}`" if missing else None

    def refuse(self, subject: Subject) -> Refusal | None:
        """Nothing: every network can be expressed."""
        return None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter.write`."""
        properties = dict(runtime.facts(subject))
        if subject.labels is not None:
            properties["labels"] = json.dumps(list(subject.labels), ensure_ascii=False)
        return save_onnx(model, subject.resolution, folder / FILE, properties)

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """Check the file by ONNX's own checker, what it says of itself, and its outputs at batch 1, 2 and 5."""
        runtime.require_file(folder / FILE)
        _check_file(folder / FILE, subject)
        difference = runtime.largest_difference(subject, model, folder, FILE, "onnx_loader.py")
        return Check(difference, f"ONNX Runtime {runtime.version('onnxruntime')}, in a process of its own, at batch 1, 2 and 5")

    def usage(self, subject: Subject) -> str:
        """See `Exporter.usage`."""
        size = f"{subject.spec.in_channels}, {subject.resolution}, {subject.resolution}"
        return f"""`{FILE}` takes any number of images at once. What it is, and the class labels if they are known, stand in \
its properties.

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{FILE}", providers=["CPUExecutionProvider"])
images = np.random.rand(2, {size}).astype(np.float32)  # values in [0, 1]
logits = session.run(["logits"], {{"image": images}})[0]  # (2, {subject.spec.num_classes})
print(session.get_modelmeta().custom_metadata_map["weights"])
```"""


EXPORTER = OnnxExporter()


def save_onnx(model: nn.Module, resolution: int, path: Path, properties: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Write the network as ONNX, float32, for any number of images of this resolution.

    Args:
        model: the network.
        resolution: side of the images in pixels.
        path: of the file; it is there whole or not at all.
        properties: texts by name that the file is to carry (ONNX's `metadata_props`).

    Returns:
        Plain data: the file's size in bytes, and more.

    Raises:
        ConversionError: the exporter does not take the network.
    """
    import onnx

    from mvsearch.targets.host.onnx_runtime import OPSET, export_onnx

    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        try:
            export_onnx(model, resolution, temporary, open_batch=True)
            graph = onnx.load(temporary)
            onnx.helper.set_model_props(graph, dict(properties or {}))
            onnx.checker.check_model(graph)
            onnx.save(graph, temporary)
        except OSError:
            raise
        except Exception as error:
            raise ConversionError(f"the network does not convert to ONNX: {first_line(error)}") from error
        temporary.replace(path)
    return {
        "bytes": path.stat().st_size,
        "precision": "float32",
        "resolution": resolution,
        "batch": "any",
        "opset": OPSET,
        "nodes": len(graph.graph.node),
    }


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Logits (B, classes) of images (B, C, H, W), one image at a time, by ONNX Runtime on one CPU thread.

    Raises:
        ExportError: ONNX Runtime cannot load the file.
    """
    import numpy as np

    from mvsearch.targets.host.onnx_runtime import INPUT, session

    try:
        loaded = session(path.read_bytes())
    except Exception as error:
        raise ExportError(f"`{path.name}` cannot be loaded by ONNX Runtime: {first_line(error)}") from error
    return np.concatenate([loaded.run(None, {INPUT: image[None]})[0] for image in images])


def _check_file(path: Path, subject: Subject) -> None:
    import onnx

    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:
        raise ExportError(f"`{path.name}` is not a valid ONNX file: {first_line(error)}") from error
    said = {p.key: p.value for p in graph.metadata_props}
    for name, value in runtime.facts(subject).items():
        if said.get(name) != value:
            raise ExportError(f"`{path.name}` says `{name}` is `{said.get(name)}`, not `{value}`")
