"""`model.pt2`: the network as a `torch.export` program with an open batch, which runs without this package.

`torch.export.load` unpickles what a file asks it to, and runs compiled code that is in it. Ours hold neither: weights are
plain bytes, the graph is JSON, and the sample images that torch would keep (pickled, and as large as the images) are left
out. A file with anything else in it is not ours, and `check` refuses it unopened. That does not make a stranger's file
safe: torch evaluates expressions that stand in the graph.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ConversionError, ExportError, first_line
from mvsearch.export import runtime
from mvsearch.export.exporter import Check, Refusal, Subject
from mvsearch.export.outputs import sample_images
from mvsearch.targets.host.timing import without_collector

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pt2"
OLDEST = (2, 9)
"""Torch that writes weights as plain bytes."""
_SAMPLES = "data/sample_inputs/model.pt"
_PLAIN = re.compile(
    r"data/(weights|constants)/[^/]+(?<!\.pt)|models/model\.json|archive_(format|version)|byteorder|version|\.data/[^/]+|extra/[^/]+\.txt"
)
"""Members of an archive that are bytes of tensors, JSON or text; all of them below one folder, named after the file."""


class TorchProgramExporter:
    """Images (N, C, H, W) -> logits (N, classes); batch norm folded, for inference only."""

    name = "torch"
    title = "torch.export program"
    files = (FILE,)

    def missing(self) -> str | None:
        """Whether torch is too old."""
        found = runtime.version("torch") or "0.0"
        numbers = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
        return f"torch {found} is too old: `pip install 'torch>={OLDEST[0]}.{OLDEST[1]}'`" if numbers < OLDEST else None

    def refuse(self, subject: Subject) -> Refusal | None:
        """Nothing: every network can be expressed."""
        return None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter.write`."""
        import torch

        from mvsearch.export.weights import sha256
        from mvsearch.models.folding import folded

        # A batch of one would be taken for a constant.
        images = sample_images(subject.spec.in_channels, subject.resolution, 2)
        batch = torch.export.Dim("batch", min=1)
        with tempfile.TemporaryDirectory(prefix=".torch-", dir=folder) as work, without_collector():
            temporary = Path(work) / FILE
            try:
                with torch.no_grad():
                    network = folded(model).cpu().requires_grad_(False)
                    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},), strict=False)
                program.example_inputs = None
                texts = {f"{name}.txt": text for name, text in runtime.facts(subject).items()}
                torch.export.save(program, temporary, extra_files=texts)
            except OSError:
                raise
            except Exception as error:
                raise ConversionError(f"the network does not become a torch program: {first_line(error)}") from error
            temporary.replace(folder / FILE)
        return {
            "bytes": (folder / FILE).stat().st_size,
            "sha256": sha256(folder / FILE),
            "precision": "float32",
            "resolution": subject.resolution,
            "batch": "any",
            "nodes": sum(node.op == "call_function" for node in program.graph.nodes),
            "torch": torch.__version__,
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """See that nothing in the file could run code when it is loaded, then compare its outputs at batch 1, 2 and 5."""
        runtime.require_file(folder / FILE)
        refuse_foreign(folder / FILE)
        difference = runtime.largest_difference(subject, model, folder, FILE, "torch_loader.py")
        return Check(difference, f"torch {runtime.version('torch')}, in a process of its own, at batch 1, 2 and 5")

    def usage(self, subject: Subject) -> str:
        """See `Exporter.usage`."""
        size = f"{subject.spec.in_channels}, {subject.resolution}, {subject.resolution}"
        return f"""`{FILE}` runs with torch alone ({OLDEST[0]}.{OLDEST[1]} or later; torch promises no more than its own \
version), for any number of images, for inference only. **`torch.export.load` can run code from a file that was tampered \
with.** This one was written with nothing in it that does; load it only if you trust where you have it from, or compare its \
SHA-256 with the one in `metrics.json`. `model.safetensors` can hold no code.

```python
import torch

network = torch.export.load("{FILE}").module()
with torch.inference_mode():
    logits = network(torch.rand(2, {size}))  # values in [0, 1]; (2, {subject.spec.num_classes})
```"""


EXPORTER = TorchProgramExporter()


def refuse_foreign(path: Path) -> None:
    """See that a program holds what ours hold and nothing that torch would unpickle or run as it is, without loading it.

    Raises:
        ExportError: it holds something else, or is no program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("archive_format") and archive.read(name) == b"pt2" for name in archive.namelist()):
                raise ExportError(f"`{path.name}` is no torch program", "write the export anew")
            found = next(_foreign(archive), None)
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ExportError(f"`{path.name}` cannot be read: {first_line(error)}", "write the export anew") from error
    if found:
        raise ExportError(f"`{path.name}` holds `{found}`, which may run code; it was not loaded", "write the export anew")


def _foreign(archive: zipfile.ZipFile) -> Iterator[str]:
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if not (_PLAIN.fullmatch(name) or (name == _SAMPLES and not entry.file_size)):
            yield name
        elif name.endswith("_config.json"):
            for weight, payload in json.loads(archive.read(entry))["config"].items():
                # What has no type and shape is no tensor, and is unpickled too.
                if payload["use_pickle"] is not False or not payload.get("tensor_meta"):
                    yield weight
