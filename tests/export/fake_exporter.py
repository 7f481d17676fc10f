"""An exporter that keeps a network's weights in a file of its own; faults can be planted in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mvsearch.errors import ExportError
from mvsearch.export.exporter import Check, Refusal, Subject


class FakeExporter:
    name, title, files = "onnx", "Weights in one file", ("model.onnx", "notes")
    absent: str | None = None
    refusal: Refusal | None = None
    plant: Callable[[Path], object] = staticmethod(lambda folder: None)

    def missing(self) -> str | None:
        return self.absent

    def refuse(self, subject: Subject) -> Refusal | None:
        return self.refusal

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> dict[str, Any]:
        assert (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()
        torch.save(model.state_dict(), folder / "model.onnx")
        (folder / "notes").mkdir()
        (folder / "notes" / "a.txt").write_text(subject.name)
        self.plant(folder)
        return {"weights": len(model.state_dict())}

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        found = torch.load(folder / "model.onnx", weights_only=True)
        for name, tensor in model.state_dict().items():
            if not torch.equal(found[name], tensor):
                raise ExportError(f"`{name}` is another")
        return Check(0.0, "torch, by name and value")

    def usage(self, subject: Subject) -> str:
        return "Load it:\n\n```python\nimport torch\n\nweights = torch.load('model.onnx', weights_only=True)\n```"


EXPORTER = FakeExporter()
