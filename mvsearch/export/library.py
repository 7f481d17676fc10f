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
from mvsearch.errors import InputError, SpecError
from mvsearch.export import card
from mvsearch.export.errors import ExportError
from mvsearch.export.staging import staged
from mvsearch.export.weights import check_tensors, read_weights, save_weights, sha256
from mvsearch.spec.arch import ArchSpec, from_json, to_json
from mvsearch.spec.published import name_of
from mvsearch.spec.record import Evaluation

if TYPE_CHECKING:
    from torch import nn

    from mvsearch.export.compare import Verification

FORMAT = "mvsearch-entry"
SCHEMA_VERSION = 1
CONFIG, WEIGHTS, CARD, METRICS = "config.json", "model.safetensors", "README.md", "metrics.json"
ONNX, COREML = "model.onnx", "model.mlpackage"
EXPORTS = ("onnx", "coreml")
OURS = frozenset({CONFIG, WEIGHTS, CARD, METRICS, ONNX, COREML})

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


def load(folder: str | Path) -> nn.Module:
    """The network of an entry with its weights, in eval mode.

    Raises:
        InputError: no folder, no entry, an entry of a later version, or files that do not fit together; the
            message names the first thing that is wrong.
    """
    from mvsearch.models import build

    folder = Path(folder)
    config = read_config(folder)
    spec = _spec(folder, config)
    model = build(spec)
    tensors = read_weights(folder / WEIGHTS, spec.arch_id, config.get("weights", {}).get("sha256"))
    check_tensors(folder / WEIGHTS, model.state_dict(), tensors)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def verify_entry(folder: str | Path, model: nn.Module, resolution: int) -> Verification:
    """Load an entry back and compare it, and its exports, with the network that it was made from.

    Raises:
        InputError: it does not load.
        ExportError: anything differs.
    """
    from mvsearch.export.compare import compare

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
    from mvsearch.export.coreml import convert

    folder = Path(folder)
    config = read_config(folder)
    spec = _spec(folder, config)
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


def read_config(folder: str | Path) -> dict[str, Any]:
    """An entry's `config.json`, checked as far as its schema.

    Raises:
        InputError: no folder, no entry, or an entry of a later version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder `{folder}`", "the folder of a library entry, e.g. `reports/NAME/winner`")
    config = _read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"`{folder}` is no library entry of mvsearch", f"its `{CONFIG}` has no `format` `{FORMAT}`")
    schema = config.get("schema_version")
    if schema != SCHEMA_VERSION:
        newer = isinstance(schema, int) and schema > SCHEMA_VERSION
        raise InputError(
            f"`{folder}` is an entry of schema `{schema}`",
            f"this version reads schema {SCHEMA_VERSION}" + (": update mvsearch" if newer else ""),
        )
    _require_sections(folder / CONFIG, config, ("input", "classes", "weights"))
    return config


def read_metrics(folder: str | Path) -> dict[str, Any]:
    """An entry's `metrics.json`.

    Raises:
        InputError: it is missing or holds no metrics.
    """
    path = Path(folder) / METRICS
    metrics = _read_json(path)
    if not isinstance(metrics, dict):
        raise InputError(f"`{path}` holds no metrics", "a JSON object is expected; write the entry anew")
    _require_sections(path, metrics, ("measurements", "provenance", "exports"))
    return metrics


def _require_sections(path: Path, data: dict[str, Any], sections: tuple[str, ...]) -> None:
    for section in sections:
        if not isinstance(data.get(section), dict):
            raise InputError(f"`{path}` has no `{section}`", "the file was edited; copy the entry anew, or write it anew")


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


def _spec(folder: Path, config: dict[str, Any]) -> ArchSpec:
    try:
        return from_json(config.get("arch"))
    except SpecError as error:
        raise InputError(f"`{folder / CONFIG}`: {error.message}", error.hint) from error


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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"`{path}` is missing", "the folder of a library entry, e.g. `reports/NAME/winner`") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"`{path}` cannot be read as JSON: {error}", "copy the entry anew, or write it anew") from error


def _own_version() -> str:
    try:
        return version("mvsearch")
    except PackageNotFoundError:
        return "unknown"
