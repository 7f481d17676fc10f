"""Writes `transformers/`: configuration, weights and image processor; and the model's code where the library has none."""

from __future__ import annotations

import json
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
from mvsearch.export.names import to_library
from mvsearch.export.outputs import logits_of, require_same, sample_images
from mvsearch.export.shaken import shaken
from mvsearch.export.training.recipes import EVALUATION_CROP, Recipe, recipe_of
from mvsearch.export.transformers.loader import CONFIG, PROCESSOR, WEIGHTS
from mvsearch.export.transformers.native import native_config
from mvsearch.export.transformers.ship import shipped_files
from mvsearch.spec.arch import ArchSpec, to_json

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

LOADER = Path(__file__).with_name("loader.py")
_FOLDER = "transformers"
_PREFIX = "network."
_RESAMPLING = {"bilinear": 2, "bicubic": 3}
"""Numbers of `PIL.Image.Resampling`."""


class TransformersExporter:
    """See `mvsearch.export.exporter.Exporter`."""

    name = "transformers"
    title = "Hugging Face transformers: AutoModelForImageClassification"
    files = (_FOLDER,)

    def missing(self) -> str | None:
        """See `Exporter`."""
        if find_spec("transformers") is None:
            return "`transformers` is not installed: `pip install transformers`"
        return None

    def refuse(self, subject: Subject) -> Refusal | None:
        """Nothing: what the library does not have is written as a model of its own."""
        return None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter`."""
        config, why_custom = _configuration(subject)
        target = folder / _FOLDER
        target.mkdir()
        _save_weights(target, subject.spec, model.state_dict(), native=why_custom is None)
        _write_json(target / CONFIG, config)
        if subject.spec.in_channels == 3:
            _write_json(target / PROCESSOR, processor_config(subject.resolution, recipe_of(subject.spec)))
        if why_custom is not None:
            for name, text in shipped_files().items():
                (target / name).write_text(text, encoding="utf-8")
        return {
            "model_type": config["model_type"],
            "custom_code": why_custom is not None,
            "why_custom": None if why_custom is None else {"dimension": why_custom.dimension, "message": why_custom.message},
            "tensors": len(model.state_dict()),
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """See `Exporter`: in a process of its own, with these weights and with shaken ones.

        The files must say what was to be said; there the library must know every option, load every tensor as it stands in
        the file, and give the same outputs. Weights of the file are compared with the network's one by one; shaken weights
        show a tensor that took another's place.
        """
        config, why_custom = _configuration(subject)
        _require_written(folder / _FOLDER / CONFIG, config)
        if subject.spec.in_channels == 3:
            _require_written(folder / _FOLDER / PROCESSOR, processor_config(subject.resolution, recipe_of(subject.spec)))
        if why_custom is not None:
            _require_code(folder / _FOLDER)
        native = why_custom is None
        _require_weights(folder / _FOLDER, subject.spec, model.state_dict(), native)
        images = sample_images(subject.spec.in_channels, subject.resolution)
        other = shaken(model)
        with TemporaryDirectory(prefix="mvsearch-shaken-") as work:
            copy = Path(work)
            (copy / _FOLDER).mkdir()
            for file in (folder / _FOLDER).iterdir():
                if file.name != WEIGHTS:
                    (copy / _FOLDER / file.name).write_bytes(file.read_bytes())
            _save_weights(copy / _FOLDER, subject.spec, other.state_dict(), native)
            found = fresh_logits(LOADER, [folder, copy], images.numpy())
        worst = max(_difference(m, images, logits) for m, logits in zip((model, other), found, strict=True))
        notes = () if subject.spec.in_channels == 3 else ("no image processor: transformers' takes pictures of 3 channels",)
        return Check(worst, f"transformers {version('transformers')}, in a process of its own", notes)

    def usage(self, subject: Subject) -> str:
        """See `Exporter`."""
        config, why_custom = _configuration(subject)
        trust = ""
        if why_custom is None:
            what = f"transformers' own `{config['model_type']}` expresses this network, so that no code comes with it."
            if config["model_type"] == "mobilevitv2":
                what += f" At other sizes than {subject.resolution} it is right where its patches divide the maps."
        else:
            trust = ", trust_remote_code=True"
            what = f"A model with code of its own, in the folder ({why_custom.message}); `trust_remote_code=True` runs it."
        side = image_size(subject.resolution)[0]
        block = f"""\
from transformers import AutoModelForImageClassification
import torch

model = AutoModelForImageClassification.from_pretrained("./transformers"{trust})
pixels = torch.rand(1, {subject.spec.in_channels}, {side}, {side})
"""
        if subject.spec.in_channels == 3:
            block = f"""\
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification
import torch

processor = AutoImageProcessor.from_pretrained("./transformers")
model = AutoModelForImageClassification.from_pretrained("./transformers"{trust})
pixels = processor(Image.new("RGB", (640, 480)), return_tensors="pt")["pixel_values"]
"""
        return f"""\
{what} Fine-tuning on other classes: `from_pretrained("./transformers", num_labels=N, ignore_mismatched_sizes=True{trust})`.

```python
{block}with torch.inference_mode():
    logits = model(pixel_values=pixels).logits  # (1, {subject.spec.num_classes})
```"""


def _configuration(subject: Subject) -> tuple[dict[str, Any], Refusal | None]:
    """`config.json`, and why it is not of one of the library's own models; None if it is."""
    recipe = recipe_of(subject.spec)
    native = native_config(subject.spec, subject.resolution, recipe)
    if isinstance(native, Refusal):
        return {**_custom_config(subject, recipe), **_labels(subject)}, native
    return {**native, **_labels(subject)}, None


def _custom_config(subject: Subject, recipe: Recipe) -> dict[str, Any]:
    # What follows from the rest, or from the number of labels, is left out: it would go stale.
    arch = {k: v for k, v in to_json(subject.spec).items() if k not in ("arch_id", "num_classes")}
    return {
        "architectures": ["MvsearchForImageClassification"],
        "auto_map": {
            "AutoConfig": "configuration_mvsearch.MvsearchConfig",
            "AutoModelForImageClassification": "modeling_mvsearch.MvsearchForImageClassification",
        },
        "model_type": "mvsearch",
        "arch": arch,
        "image_size": image_size(subject.resolution)[0],
        "classifier_dropout_prob": recipe["dropout"],
        "hidden_dropout_prob": recipe["transformer_dropout"],
    }


def _labels(subject: Subject) -> dict[str, Any]:
    labels = subject.labels or tuple(f"LABEL_{i}" for i in range(subject.spec.num_classes))
    return {"id2label": {str(i): label for i, label in enumerate(labels)}, "label2id": {x: i for i, x in enumerate(labels)}}


def processor_config(resolution: int, recipe: Recipe) -> dict[str, Any]:
    """`preprocessor_config.json`: RGB in [0, 1], no mean and deviation, crop 256 of 288 in proportion to the resolution."""
    height, width = image_size(resolution)
    return {
        "image_processor_type": "MobileViTImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": round(min(height, width) / EVALUATION_CROP)},
        "resample": _RESAMPLING[recipe["interpolation"]],
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_flip_channel_order": False,
    }


def _theirs(spec: ArchSpec, state: Mapping[str, Tensor], native: bool) -> dict[str, Tensor]:
    named = to_library("transformers", spec, state) if native else {_PREFIX + name: t for name, t in state.items()}
    return {name: t.detach().cpu().contiguous() for name, t in named.items()}


def _save_weights(folder: Path, spec: ArchSpec, state: Mapping[str, Tensor], native: bool) -> None:
    from safetensors.torch import save_file

    save_file(_theirs(spec, state, native), folder / WEIGHTS, metadata={"format": "pt"})


def _require_weights(folder: Path, spec: ArchSpec, state: Mapping[str, Tensor], native: bool) -> None:
    import torch
    from safetensors.torch import load_file

    found, expected = load_file(folder / WEIGHTS), _theirs(spec, state, native)
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected or not torch.equal(found[name], expected[name]):
            raise ExportError(f"`{name}` in `{_FOLDER}/{WEIGHTS}` is not the network's")


def _require_written(path: Path, expected: Mapping[str, Any]) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name) or (name in found) != (name in expected):
            raise ExportError(f"`{name}` in `{_FOLDER}/{path.name}` is not what the network has")


def _require_code(folder: Path) -> None:
    for name, text in shipped_files().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise ExportError(f"`{_FOLDER}/{name}` is not the code that it should be")


def _difference(model: nn.Module, images: Tensor, found: np.ndarray) -> float:
    import torch

    return require_same(logits_of(model, images), torch.from_numpy(found), MAX_LIBRARY_DIFFERENCE, "transformers")


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


EXPORTER = TransformersExporter()
