"""Writes `timm/`: a file that registers the network in timm, timm's own configuration, and a copy of the weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mvsearch.costs import image_size
from mvsearch.errors import ExportError
from mvsearch.export.exporter import MAX_LIBRARY_DIFFERENCE, Check, Refusal, Subject
from mvsearch.export.fresh import logits_of as fresh_logits
from mvsearch.export.outputs import logits_of, require_same, sample_images
from mvsearch.export.shaken import shaken
from mvsearch.export.timm.efficientformer import is_efficientformer
from mvsearch.export.timm.express import own_classes, reductions, refusal
from mvsearch.export.timm.source import CONFIG, WEIGHTS, model_name, module_name, pretrained_config, source

if TYPE_CHECKING:
    from torch import Tensor, nn

LOADER = Path(__file__).with_name("loader.py")
_FOLDER = "timm"


class TimmExporter:
    """See `mvsearch.export.exporter.Exporter`."""

    name = "timm"
    title = "timm: timm.create_model, features_only"
    files = (_FOLDER,)

    def missing(self) -> str | None:
        """See `Exporter`."""
        if find_spec("timm") is None:
            return "`timm` is not installed: `pip install timm`"
        return None

    def refuse(self, subject: Subject) -> Refusal | None:
        """See `Exporter`: widths that timm rounds, what its EfficientFormers have no argument for, parts of two families."""
        return refusal(subject.spec, subject.resolution)

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter`. The weights are copied, so that the folder works wherever it is put."""
        target = folder / _FOLDER
        target.mkdir()
        for name, text in _texts(subject).items():
            (target / name).write_text(text, encoding="utf-8")
        _save_weights(target, model)
        return {
            "model": model_name(subject),
            "file": f"{_FOLDER}/{module_name(subject)}.py",
            "own_blocks": own_classes(subject.spec),
            "reductions": list(reductions(subject.spec)),
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """See `Exporter`: in a process of its own, with these weights and with shaken ones.

        The files must be what is written for this network, to the letter: only then is the Python file run. Weights of the
        file are compared with the network's one by one; shaken weights show a tensor that took another's place.
        """
        written = folder / _FOLDER
        _require_texts(written, _texts(subject))
        _require_weights(written / WEIGHTS, model.state_dict())
        images = sample_images(subject.spec.in_channels, image_size(subject.resolution)[0])
        other = shaken(model)
        with TemporaryDirectory(prefix="mvsearch-shaken-") as work:
            copy = Path(work)
            shutil.copytree(written, copy / _FOLDER, ignore=shutil.ignore_patterns(WEIGHTS))
            _save_weights(copy / _FOLDER, other)
            found = fresh_logits(LOADER, [folder, copy], images.numpy())
        worst = max(_difference(m, images, logits) for m, logits in zip((model, other), found, strict=True))
        return Check(worst, f"timm {version('timm')}, in a process of its own")

    def usage(self, subject: Subject) -> str:
        """See `Exporter`."""
        height, width = image_size(subject.resolution)
        name, module = model_name(subject), module_name(subject)
        channels = "RGB" if subject.spec.in_channels == 3 else f"{subject.spec.in_channels} channels"
        bound = f" It takes images of {height} x {width} pixels alone." if is_efficientformer(subject.spec) else ""
        return f"""\
The folder `timm` works on its own: copy it where you like. Importing its Python file registers the network, with timm's own
options (`num_classes`, `in_chans`, `features_only`); after that, `timm.create_model("local-dir:timm", pretrained=True)`
makes it too.{bound}

```python
import sys

sys.path.append("timm")  # the folder in this entry
import {module}  # registers `{name}`
import timm
import torch

images = torch.rand(1, {subject.spec.in_channels}, {height}, {width})  # {channels} in [0, 1], no mean and no deviation
model = timm.create_model("{name}", pretrained=True).eval()
with torch.inference_mode():
    logits = model(images)  # (1, {subject.spec.num_classes})

fine_tuned = timm.create_model("{name}", pretrained=True, num_classes=10)
backbone = timm.create_model("{name}", pretrained=True, features_only=True)
print(backbone.feature_info.reduction())  # {list(reductions(subject.spec))}
```"""


def _texts(subject: Subject) -> dict[str, str]:
    """Every file but the weights."""
    config: dict[str, Any] = {"architecture": model_name(subject), "num_classes": subject.spec.num_classes}
    if subject.labels:
        config["label_names"] = list(subject.labels)
    config["pretrained_cfg"] = pretrained_config(subject)
    return {f"{module_name(subject)}.py": source(subject), CONFIG: json.dumps(config, indent=2) + "\n"}


def _save_weights(folder: Path, model: nn.Module) -> None:
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _require_texts(folder: Path, texts: Mapping[str, str]) -> None:
    code = {file.name for file in folder.glob("*.py")}
    if code - texts.keys():
        raise ExportError(f"`{_FOLDER}/{min(code - texts.keys())}` is not part of the export")
    for name, text in texts.items():
        try:
            found = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError(f"`{_FOLDER}/{name}` cannot be read: {error}") from None
        if found != text:
            raise ExportError(f"`{_FOLDER}/{name}` is not what is written for this network", "export it anew")


def _require_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        written = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"`{_FOLDER}/{path.name}` cannot be read: {error}") from None
    for name in sorted(written.keys() | state.keys()):
        if name not in written or name not in state or not torch.equal(written[name], state[name].cpu()):
            raise ExportError(f"`{name}` in `{_FOLDER}/{path.name}` is not the network's")


def _difference(model: nn.Module, images: Tensor, found: Any) -> float:
    import torch

    return require_same(logits_of(model, images), torch.from_numpy(found), MAX_LIBRARY_DIFFERENCE, "timm's network")
