"""Library entries: one network in one folder, with its weights, its numbers and where they come from.

    config.json         what the network is and what it takes: read by `load`
    model.safetensors   every parameter and buffer
    README.md           model card in the Hugging Face Hub's format
    metrics.json        every number with kind and interval, provenance, what was checked
    model.onnx, model.mlpackage   if asked for

The folder is a valid repository of the Hub. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mvsearch.costs import image_size
from mvsearch.errors import ExportError, InputError
from mvsearch.export import card
from mvsearch.export.compare import Verification, compare
from mvsearch.export.entry import (
    CARD,
    CONFIG,
    COREML,
    EXPORTS,
    FORMAT,
    METRICS,
    ONNX,
    OURS,
    SCHEMA_VERSION,
    WEIGHTS,
    load,
    read_config,
    read_metrics,
    spec_of,
)
from mvsearch.export.weights import save_weights, sha256
from mvsearch.files import staged
from mvsearch.spec.arch import ArchSpec, to_json
from mvsearch.spec.published import name_of
from mvsearch.spec.record import Evaluation

if TYPE_CHECKING:
    from torch import nn

__all__ = ["EXPORTS", "add_coreml", "add_onnx", "load", "read_config", "read_metrics", "save_entry", "verify_entry"]

WeightStatus = Literal["initial", "trained"]


def save_entry(
    folder: str | Path,
    spec: ArchSpec,
    resolution: int,
    model: nn.Module,
    evaluation: Evaluation,
    *,
    provenance: Mapping[str, Any],
    weights: WeightStatus = "initial",
    seed: int | None = None,
    exports: Collection[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write an entry, check it as `verify_entry` does, then move it to its place: it is there whole or not at all.

    Args:
        folder: where the entry goes; absent, empty, or with `overwrite` an entry.
        spec: the network.
        resolution: side of the image in pixels.
        model: the built network with the weights to save.
        evaluation: its numbers.
        provenance: how it was found, as plain data: `command`, `seed`, `space`, `budgets`, ...
        weights: `initial` or `trained`; the card says which.
        seed: of the initial weights.
        exports: of `EXPORTS`, what else to write.
        overwrite: replace an entry that is there. Never anything else, nor an entry with foreign files in it.

    Returns:
        The folder.

    Raises:
        InputError: the folder is in use or cannot be written, or an unknown export.
        ExportError: model, evaluation and spec do not belong together, a weight is not finite, or what was
            written is not what was to be written.
        ConversionError: a runtime's converter does not take the network.
    """
    folder = Path(folder)
    unknown = sorted(set(exports) - set(EXPORTS))
    if unknown:
        raise InputError(f"unknown export `{', '.join(unknown)}`", f"one of {', '.join(EXPORTS)}")
    replaced = _check_place(folder, overwrite)
    if evaluation.arch_id != spec.arch_id or evaluation.resolution != resolution:
        raise ExportError(
            f"the numbers are those of `{evaluation.arch_id}` at {evaluation.resolution} pixels, "
            f"the network is `{spec.arch_id}` at {resolution}"
        )
    with staged(folder, replaced) as temporary:
        save_weights(temporary / WEIGHTS, spec, model, weights)
        _write_json(temporary / CONFIG, _config(spec, resolution, model, weights, seed, temporary / WEIGHTS))
        metrics = {
            "schema_version": SCHEMA_VERSION,
            "arch_id": spec.arch_id,
            "resolution": resolution,
            "rung": evaluation.rung,
            "measurements": {name: m.to_json() for name, m in evaluation.measurements.items()},
            "provenance": dict(provenance),
            "exports": {},
        }
        _write_json(temporary / METRICS, metrics)
        _write_card(temporary)
        if "onnx" in exports:
            add_onnx(temporary, model, resolution)
        if "coreml" in exports:
            add_coreml(temporary, model, resolution)
        verify_entry(temporary, model, resolution)
    return folder


def verify_entry(folder: str | Path, model: nn.Module, resolution: int) -> Verification:
    """Load an entry back and compare it, and its exports, with the network that it was made from.

    Raises:
        InputError: it does not load.
        ExportError: anything differs.
    """
    return compare(Path(folder), model, resolution)


def add_onnx(folder: str | Path, model: nn.Module, resolution: int) -> Path:
    """Write `model.onnx` into an entry and list it in its card. Returns the file.

    Raises:
        ConversionError: the network cannot be exported.
    """
    from mvsearch.export.onnx import save_onnx

    folder = Path(folder)
    info = save_onnx(model, resolution, folder / ONNX)
    _list_export(folder, "onnx", info)
    return folder / ONNX


def add_coreml(folder: str | Path, model: nn.Module, resolution: int) -> Path:
    """Write `model.mlpackage` into an entry and list it in its card. Returns the package.

    Raises:
        InputError: there is a package already.
        ConversionError: the network cannot be converted.
    """
    from mvsearch.targets.coreml.convert import convert

    folder = Path(folder)
    config = read_config(folder)
    spec = spec_of(folder, config)
    status = config["weights"]["status"]
    program = convert(
        model,
        resolution,
        folder / COREML,
        channels=spec.in_channels,
        description=f"{card.title(config)}. {card.weights_line(config)}",
        metadata={"arch_id": spec.arch_id, "weights": card.weights_line(config) if status == "initial" else status},
    )
    _list_export(folder, "coreml", program.to_json())
    return folder / COREML


def _check_place(folder: Path, overwrite: bool) -> bool:
    """Whether something will be replaced; raises if that may not be."""
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise InputError(f"`{folder}` is a file", "choose another folder")
    files = {f.name for f in folder.iterdir()}
    if not files:
        return False
    if not overwrite:
        raise InputError(f"`{folder}` exists and is not empty", "choose another folder; nothing is overwritten")
    try:
        read_config(folder)
    except InputError as error:
        raise InputError(f"`{folder}` is no library entry, and is not overwritten", error.message) from error
    foreign = sorted(files - OURS)
    if foreign:
        raise InputError(f"`{folder}` holds `{foreign[0]}`, which is not part of an entry", "move it elsewhere first")
    return True


def _config(
    spec: ArchSpec, resolution: int, model: nn.Module, weights: WeightStatus, seed: int | None, file: Path
) -> dict[str, Any]:
    height, width = image_size(resolution)
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "mvsearch_version": _own_version(),
        "name": name_of(spec),
        "arch": to_json(spec),
        "params": sum(p.numel() for p in model.parameters()),
        "input": {
            "shape": [spec.in_channels, height, width],
            "layout": "CHW",
            "channels": "RGB" if spec.in_channels == 3 else f"{spec.in_channels} channels",
            "range": [0.0, 1.0],
            "normalisation": None,  # The official recipes of the family divide by 255 and do nothing else.
        },
        "classes": {"count": spec.num_classes, "names": None},
        "weights": {
            "file": WEIGHTS,
            "status": weights,
            "seed": seed,
            "dtype": "float32",
            "sha256": sha256(file),
        },
    }


def _list_export(folder: Path, name: str, info: dict[str, Any]) -> None:
    metrics = read_metrics(folder)
    # A card that somebody has edited is left as it is.
    before = card.render(read_config(folder), metrics)
    ours = (folder / CARD).is_file() and (folder / CARD).read_text(encoding="utf-8") == before
    metrics["exports"][name] = info
    _write_json(folder / METRICS, metrics)
    if ours:
        _write_card(folder)


def _write_card(folder: Path) -> None:
    (folder / CARD).write_text(card.render(read_config(folder), read_metrics(folder)), encoding="utf-8")


def _write_json(path: Path, data: Any) -> None:
    """Written beside its place and moved, so that a reader sees the old file or the new one."""
    try:
        text = json.dumps(data, indent=2, allow_nan=False, default=str)
    except ValueError as error:
        raise ExportError(f"`{path.name}` would hold a number that is not finite") from error
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def _own_version() -> str:
    try:
        return version("mvsearch")
    except PackageNotFoundError:
        return "unknown"
