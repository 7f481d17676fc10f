"""Library entries: one network in one folder, with its weights, its numbers and where they come from.

    config.json         what the network is and what it takes: read by `load`
    model.safetensors   every parameter and buffer
    README.md           model card in the Hugging Face Hub's format
    metrics.json        every number with kind and interval, provenance, what was checked
    timm/, model.onnx, ...   what was exported: `mvsearch.export.registry` has the list

The folder is a valid repository of the Hub. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.costs import image_size
from mvsearch.errors import ExportError, InputError
from mvsearch.export import card, exports
from mvsearch.export.compare import Verification, compare
from mvsearch.export.entry import (
    CARD,
    CONFIG,
    FORMAT,
    METRICS,
    OURS,
    SCHEMA_VERSION,
    WEIGHTS,
    load,
    read_config,
    read_metrics,
)
from mvsearch.export.exporter import WeightStatus
from mvsearch.export.exports import ExportListener, Outcome, Silence
from mvsearch.export.registry import EXPORTERS, FILES, exporter
from mvsearch.export.subject import subject_of
from mvsearch.export.weights import save_weights, sha256
from mvsearch.files import staged
from mvsearch.spec.arch import ArchSpec, to_json
from mvsearch.spec.published import name_of
from mvsearch.spec.record import Evaluation

if TYPE_CHECKING:
    from torch import nn

__all__ = ["EXPORTERS", "add_exports", "load", "read_config", "read_metrics", "save_entry", "verify_entry"]


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
    labels: Sequence[str] | None = None,
    to: Collection[str] = (),
    leave_out: bool = False,
    overwrite: bool = False,
    listener: ExportListener | None = None,
) -> tuple[Outcome, ...]:
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
        labels: names of the classes in the order of the logits.
        to: of `EXPORTERS`, what else to write.
        leave_out: go without exports that cannot be made, instead of refusing.
        overwrite: replace an entry that is there. Never anything else, nor an entry with foreign files in it.
        listener: hears of the exports.

    Returns:
        What became of each export.

    Raises:
        InputError: the folder is in use or cannot be written, or an export that is unknown or cannot be made.
        ExportError: model, evaluation and spec do not belong together, a weight is not finite, or what was
            written is not what was to be written.
    """
    folder, listener = Path(folder), listener or Silence()
    replaced = _check_place(folder, overwrite)
    if evaluation.arch_id != spec.arch_id or evaluation.resolution != resolution:
        raise ExportError(
            f"the numbers are those of `{evaluation.arch_id}` at {evaluation.resolution} pixels, "
            f"the network is `{spec.arch_id}` at {resolution}"
        )
    with staged(folder, replaced) as temporary:
        save_weights(temporary / WEIGHTS, spec, model, weights)
        _write_json(temporary / CONFIG, _config(spec, resolution, model, weights, seed, labels, temporary / WEIGHTS))
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
        subject = subject_of(read_config(temporary), read_metrics(temporary))
        plan = exports.plan(tuple(to), subject, leave_out)
        compare(temporary, model, resolution)
        made = exports.make(plan.names, subject, model, temporary, listener)
        _list_exports(temporary, made)
    return (*made, *_told(plan.left_out, listener))


def add_exports(
    folder: str | Path,
    to: Collection[str],
    *,
    leave_out: bool = False,
    overwrite: bool = False,
    listener: ExportListener | None = None,
) -> tuple[Outcome, ...]:
    """Write exports of an entry into it: made and checked beside it, then moved, all of them or none.

    Args:
        folder: of the entry.
        to: of `EXPORTERS`, what to write.
        leave_out: go without exports that cannot be made, and keep those that are there, instead of refusing.
        overwrite: replace exports that are there.
        listener: hears of the exports.

    Returns:
        What became of each.

    Raises:
        InputError: no entry; or an export that is unknown, cannot be made, or is there.
        ExportError: what was written is not the network; the entry is as it was.
    """
    folder, listener = Path(folder), listener or Silence()
    config, metrics = read_config(folder), read_metrics(folder)
    subject = subject_of(config, metrics)
    there = {name: [f for f in files if os.path.lexists(folder / f)] for name, files in FILES.items()}
    have = tuple(name for name, files in there.items() if files)
    kept = () if overwrite else tuple(name for name in to if name in have)
    if kept and not leave_out:
        named = ", ".join(f"`{folder / there[name][0]}`" for name in kept)
        raise InputError(f"{named} {'exists' if len(kept) == 1 else 'exist'}", "`--overwrite` replaces it")
    plan = exports.plan(tuple(n for n in to if n not in kept), subject, leave_out, have)
    model = load(folder)
    made = exports.add(
        folder, (CONFIG, WEIGHTS, METRICS), plan.names, subject, model, listener, lambda done: _list_exports(folder, done)
    )
    left = tuple(Outcome(n, exporter(n).title, "kept", f"`{there[n][0]}` is there", "`--overwrite` replaces it") for n in kept)
    return (*made, *_told((*left, *plan.left_out), listener))


def _told(outcomes: tuple[Outcome, ...], listener: ExportListener) -> tuple[Outcome, ...]:
    for outcome in outcomes:
        listener.ended(outcome)
    return outcomes


def verify_entry(folder: str | Path, model: nn.Module, resolution: int) -> Verification:
    """Load an entry back and compare it, and its exports, with the network that it was made from.

    Raises:
        InputError: it does not load.
        ExportError: anything differs.
    """
    folder = Path(folder)
    whole = compare(folder, model, resolution)
    metrics = read_metrics(folder)
    subject = subject_of(read_config(folder), metrics)
    checks = {n: exporter(n).check(subject, model, folder) for n in metrics["exports"] if n in EXPORTERS}
    return replace(whole, checks=checks)


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
    spec: ArchSpec,
    resolution: int,
    model: nn.Module,
    weights: WeightStatus,
    seed: int | None,
    labels: Sequence[str] | None,
    file: Path,
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
        "classes": {"count": spec.num_classes, "names": list(labels) if labels else None},
        "weights": {
            "file": WEIGHTS,
            "status": weights,
            "seed": seed,
            "dtype": "float32",
            "sha256": sha256(file),
        },
    }


def _list_exports(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Say in an entry what has been exported; nothing is written if nothing has."""
    if not outcomes:
        return
    metrics = read_metrics(folder)
    # A card that somebody has edited is left as it is.
    before = card.render(read_config(folder), metrics)
    ours = (folder / CARD).is_file() and (folder / CARD).read_text(encoding="utf-8") == before
    metrics["exports"] |= {o.name: dict(o.info or {}) for o in outcomes}
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
