"""Is an entry what it was made from? Loaded back, run, and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import ExportError
from mvsearch.export import entry
from mvsearch.export.exporter import MAX_LIBRARY_DIFFERENCE, Check
from mvsearch.export.outputs import differences, logits_of, require_same, sample_images

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and how far apart it is.

    Attributes:
        params: learnable numbers of the reloaded network, equal to the original's.
        max_abs_difference: largest difference of a logit between the original and the reloaded network; 0 expected.
        checks: of each export that the entry lists, by name.
    """

    params: int
    max_abs_difference: float
    checks: dict[str, Check] = field(default_factory=dict)


def compare(folder: Path, model: nn.Module, resolution: int) -> Verification:
    """See `mvsearch.export.library.verify_entry`; exports are not looked at."""
    config = entry.read_config(folder)
    shape = config["input"]["shape"]
    if shape[1:] != [resolution, resolution]:
        raise ExportError(f"`{folder}` is for {shape[1]} x {shape[2]} pixels, not for `{resolution}`")
    reloaded = entry.load(folder)
    params = _same_weights(model, reloaded, config["params"])
    images = sample_images(shape[0], resolution)
    expected, found = logits_of(model, images), logits_of(reloaded, images)
    require_same(expected, found, MAX_LIBRARY_DIFFERENCE, "the reloaded network")
    return Verification(params, differences(expected, found)[0])


def _same_weights(model: nn.Module, reloaded: nn.Module, recorded: int) -> int:
    import torch

    original, loaded = model.state_dict(), reloaded.state_dict()
    for name in sorted(original.keys() | loaded.keys()):
        if name not in original or name not in loaded or not torch.equal(original[name].cpu(), loaded[name]):
            raise ExportError(f"`{name}` of the reloaded network is not the original's")
    params = sum(p.numel() for p in reloaded.parameters())
    if params != recorded:
        raise ExportError(f"the reloaded network has {params:,} parameters, its configuration says {recorded:,}")
    return params
