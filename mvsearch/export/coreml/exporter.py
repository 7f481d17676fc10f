"""Core ML: three packages that an app takes as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.export.coreml.packages import FLOAT16, FLOAT32, FOLDER, INT8, LABEL_PROBABILITIES, LAYOUTS, PRECISIONS, Graph
from mvsearch.export.exporter import Check, Refusal, Subject
from mvsearch.export.runtime import version
from mvsearch.targets.catalog import get_target
from mvsearch.targets.coreml.convert import coreml_available
from mvsearch.targets.graphs import GraphChoice, choose_graph

if TYPE_CHECKING:
    from torch import nn


class CoreMLExporter:
    """An image in; its class, the probabilities of all classes and the logits out."""

    name = "coreml"
    title = "Core ML, for apps on iPhone and Mac"
    files = (FOLDER,)

    def missing(self) -> str | None:
        """Why no package can be made here; see `coreml_available`."""
        return coreml_available()[1] or None

    def refuse(self, subject: Subject) -> Refusal | None:
        """Networks for images of other than one or three channels."""
        channels = subject.spec.in_channels
        if channels in LAYOUTS:
            return None
        return Refusal(
            "in_channels", f"Core ML's images have 1 or 3 channels, not `{channels}`", "export to `onnx` or `executorch`"
        )

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter.write`."""
        from mvsearch.export.coreml.packages import write_packages
        from mvsearch.models.neural_engine import for_neural_engine

        choice = _choose(subject)
        form = model if choice.graph == "plain" else for_neural_engine(model)
        write_packages(subject, form, Graph(choice.graph, choice.why), folder / FOLDER)
        return {
            "graph": choice.graph,
            "graph_why": choice.why,
            "predicted": {graph: m.to_json() for graph, m in choice.predicted.items()},
            "packages": {name: _facts(folder / FOLDER / name, name) for name in PRECISIONS},
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """Run the packages' operations here, and on a Mac by Core ML, and compare every weight: see `verify`."""
        from mvsearch.export.coreml.verify import core_ml, verify

        found = verify(subject, model, folder / FOLDER, core_ml())
        rounding = ", ".join(f"`{name}` {value:.1g}" for name, value in found.rounding.items())
        notes = [f"weights' rounding alone moves the logits by, relative to the largest: {rounding}"]
        if found.on_mac:
            there = ", ".join(f"`{name}` {value:.1g}" for name, value in found.on_mac.items())
            notes.append(f"run by Core ML on this Mac, the logits differ by {there}")
        else:
            notes.append("not run by Core ML itself, which needs macOS or iOS: what the chip's float16 adds is not known")
        tools = f"coremltools {version('coremltools')}"
        by = f"the packages' operations, run one by one in float32, and every weight by value (packages of {tools})"
        return Check(found.difference, by, tuple(notes))

    def usage(self, subject: Subject) -> str:
        """See `Exporter.usage`."""
        side = subject.resolution
        mode = "RGB" if subject.spec.in_channels == 3 else "L"
        return f"""`{FOLDER}/{FLOAT16}` goes into an Xcode project as it is (iOS 16, macOS 13): it takes an image, scales its \
pixels itself and gives the class (`classLabel`), the probability of each (`{LABEL_PROBABILITIES}`) and the `logits`. \
`{FLOAT32}` computes in float32, which the Neural Engine does not; `{INT8}` has weights of 8 bits, for a smaller app. \
{_graph_sentence(subject)}

```python
import sys

import coremltools
from PIL import Image

on_a_mac = sys.platform == "darwin"  # Core ML runs on Apple's systems alone
model = coremltools.models.MLModel("{FOLDER}/{FLOAT16}", skip_model_load=not on_a_mac)
print(model.short_description, model.user_defined_metadata["mvsearch.graph"])
if on_a_mac:
    image = Image.new("{mode}", ({side}, {side}))  # or Image.open("photo.jpg").resize(({side}, {side}))
    print(model.predict({{"image": image}})["classLabel"])
```"""


EXPORTER = CoreMLExporter()


def _choose(subject: Subject) -> GraphChoice:
    return choose_graph(subject.spec, subject.resolution, get_target(subject.target) if subject.target else None)


def _graph_sentence(subject: Subject) -> str:
    choice = _choose(subject)
    form = (
        "as it is built" if choice.graph == "plain" else "in a form for the Neural Engine (channels first, attention by head)"
    )
    return f"The network is converted {form}: {choice.why}."


def _facts(path: Path, name: str) -> dict[str, Any]:
    from mvsearch.export.coreml.program import read_program

    program = read_program(path)
    return {
        "precision": PRECISIONS[name],
        "bytes": sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
        "operations": len(program.operations),
    }
