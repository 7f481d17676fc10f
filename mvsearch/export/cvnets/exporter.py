"""Writes `cvnets/`: a configuration with the family's recipe, and a checkpoint under CVNets' names."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ExportError
from mvsearch.export.cvnets.config import config_text, parse_config, plain_config
from mvsearch.export.cvnets.variants import Variant, covers, variant_of
from mvsearch.export.dimensions import first_difference
from mvsearch.export.exporter import MAX_LIBRARY_DIFFERENCE, Check, Refusal, Subject
from mvsearch.export.names import from_library, to_library
from mvsearch.export.outputs import logits_of, require_same, sample_images
from mvsearch.export.training.recipes import recipe_of

if TYPE_CHECKING:
    from torch import nn

CONFIG, WEIGHTS = "model.yaml", "model.pt"
_FOLDER = "cvnets"
_NOTE = (
    "CVNets is on no package index: the configuration was read back and the network rebuilt by its rules as mvsearch has them, "
    "not by its own code"
)


class CVNetsExporter:
    """See `mvsearch.export.exporter.Exporter`."""

    name = "cvnets"
    title = "Apple CVNets: configuration and checkpoint"
    files = (_FOLDER,)

    def missing(self) -> str | None:
        """Nothing: what is written and checked needs no package of CVNets."""
        return None

    def refuse(self, subject: Subject) -> Refusal | None:
        """See `Exporter`: all but the modes of v1 and v3, and the widths of v2."""
        if refusal := covers(subject.spec):
            return refusal
        found = variant_of(subject.spec, subject.resolution)
        return found if isinstance(found, Refusal) else None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter`."""
        import torch

        variant, target = _variant(subject), folder / _FOLDER
        target.mkdir()
        text = config_text(variant, recipe_of(subject.spec), subject.resolution, subject.spec.num_classes, subject.title)
        (target / CONFIG).write_text(text, encoding="utf-8")
        state = {name: t.detach().cpu().clone() for name, t in model.state_dict().items()}
        torch.save(to_library("cvnets", subject.spec, state), target / WEIGHTS)
        return {
            "model": variant.name,
            "options": variant.options,
            "activation": variant.activation,
            "commit": variant.base,
            "overlay": variant.overlay,
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """See `Exporter`: the configuration read back gives the network, the checkpoint every tensor and the same outputs.

        By name and value of every tensor, so that two of them that were swapped are found; that CVNets itself calls them so,
        a test shows that runs its code.
        """
        import torch
        import yaml

        from mvsearch.models import build

        spec, variant = subject.spec, _variant(subject)
        found = yaml.safe_load((folder / _FOLDER / CONFIG).read_text(encoding="utf-8"))
        difference = first_difference(spec, rebuilt := parse_config(found))
        if difference is not None or rebuilt.num_classes != spec.num_classes:
            name, ours, theirs = difference or ("num_classes", spec.num_classes, rebuilt.num_classes)
            raise ExportError(f"`{_FOLDER}/{CONFIG}` gives `{theirs}` for `{name}`, the network has `{ours}`")
        expected = plain_config(variant, recipe_of(spec), subject.resolution, spec.num_classes)
        if wrong := _first_unequal(expected, found):
            raise ExportError(f"`{wrong}` in `{_FOLDER}/{CONFIG}` is not what it should be")
        try:
            state = torch.load(folder / _FOLDER / WEIGHTS, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise ExportError(f"`{_FOLDER}/{WEIGHTS}` cannot be read: {str(error).splitlines()[0]}") from error
        ours = to_library("cvnets", spec, {k: t.detach().cpu() for k, t in model.state_dict().items()})
        for name in sorted(state.keys() | ours.keys()):
            if name not in state or name not in ours or not torch.equal(state[name], ours[name]):
                raise ExportError(f"`{name}` in `{_FOLDER}/{WEIGHTS}` is not the network's")
        network = build(rebuilt)
        network.load_state_dict(from_library("cvnets", rebuilt, state), strict=True)
        images = sample_images(spec.in_channels, subject.resolution)
        worst = require_same(logits_of(model, images), logits_of(network, images), MAX_LIBRARY_DIFFERENCE, "the checkpoint")
        return Check(
            worst, "mvsearch, by CVNets' rules", (_NOTE, *((f"it needs {variant.overlay}",) if variant.overlay else ()))
        )

    def usage(self, subject: Subject) -> str:
        """See `Exporter`."""
        variant = _variant(subject)
        needs = f"It needs {variant.overlay}. " if variant.overlay else f"For apple/ml-cvnets {variant.base}. "
        return f"""\
{needs}Train it with `cvnets-train --common.config-file cvnets/{CONFIG}`; begin with these weights by \
`--model.classification.pretrained cvnets/{WEIGHTS}`. CVNets is on no package index; the checkpoint is tensors alone:

```python
import torch

weights = torch.load("cvnets/{WEIGHTS}", weights_only=True)  # by CVNets' names
```"""


def _variant(subject: Subject) -> Variant:
    found = covers(subject.spec) or variant_of(subject.spec, subject.resolution)
    if isinstance(found, Refusal):
        raise ExportError(f"CVNets cannot express the network: {found.message}", found.hint)
    return found


def _first_unequal(expected: Mapping[str, Any], found: Any, path: str = "") -> str | None:
    """Path of the first key that is missing, too many, or of another value."""
    if not isinstance(found, Mapping):
        return path
    for key in (*expected, *(k for k in found if k not in expected)):
        where = f"{path}.{key}" if path else str(key)
        if key not in found or key not in expected:
            return where
        if isinstance(expected[key], Mapping):
            if wrong := _first_unequal(expected[key], found[key], where):
                return wrong
        elif found[key] != expected[key] or type(found[key]) is not type(expected[key]):
            return where
    return None


EXPORTER = CVNetsExporter()
