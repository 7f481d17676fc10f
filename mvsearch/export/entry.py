"""A library entry on disk: what its files are called, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError, SpecError
from mvsearch.export.registry import FILES
from mvsearch.export.weights import check_size, check_tensors, read_weights
from mvsearch.files import parse_json, read_bytes
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from torch import nn

FORMAT = "mvsearch-entry"
SCHEMA_VERSION = 1
CONFIG, WEIGHTS, CARD, METRICS = "config.json", "model.safetensors", "README.md", "metrics.json"
OLD_COREML = "model.mlpackage"
"""Where entries of the first versions had their Core ML package."""
OURS = frozenset({CONFIG, WEIGHTS, CARD, METRICS, OLD_COREML, *(name for files in FILES.values() for name in files)})


def load(folder: str | Path) -> nn.Module:
    """The network of an entry with its weights, in eval mode.

    Raises:
        InputError: no folder, no entry, an entry of a later version, or files that do not fit together; the
            message names the first thing that is wrong.
    """
    from mvsearch.models import build

    folder = Path(folder)
    config = read_config(folder)
    spec = spec_of(folder, config)
    tensors = read_weights(folder / WEIGHTS, spec.arch_id, config["weights"].get("sha256"))
    # Before anything as large as the network claims to be is made.
    check_size(folder / WEIGHTS, spec, tensors)
    model = build(spec)
    check_tensors(folder / WEIGHTS, model.state_dict(), tensors)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def read_config(folder: str | Path) -> dict[str, Any]:
    """An entry's `config.json`, checked as far as its schema.

    Raises:
        InputError: no folder, no entry, or an entry of a later version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder `{folder}`", "the folder of a library entry, e.g. `reports/NAME/winner`")
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"`{folder}` is no library entry of mvsearch", f"its `{CONFIG}` has no `format` `{FORMAT}`")
    schema = config.get("schema_version")
    if schema != SCHEMA_VERSION:
        newer = isinstance(schema, int) and schema > SCHEMA_VERSION
        raise InputError(
            f"`{folder}` is an entry of schema `{shown(schema)}`",
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
    metrics = read_json(path)
    if not isinstance(metrics, dict):
        raise InputError(f"`{path}` holds no metrics", "a JSON object is expected; write the entry anew")
    _require_sections(path, metrics, ("measurements", "provenance", "exports"))
    return metrics


def _require_sections(path: Path, data: dict[str, Any], sections: tuple[str, ...]) -> None:
    for section in sections:
        if not isinstance(data.get(section), dict):
            raise InputError(f"`{path}` has no `{section}`", "the file was edited; copy the entry anew, or write it anew")


def spec_of(folder: Path, config: dict[str, Any]) -> ArchSpec:
    """The architecture in an entry's configuration."""
    try:
        return from_json(config.get("arch"))
    except SpecError as error:
        raise InputError(f"`{folder / CONFIG}`: {error.message}", error.hint) from error


def read_json(path: Path) -> Any:
    """A JSON file of an entry, or `InputError` with what is wrong with it."""
    try:
        return parse_json(read_bytes(path))
    except FileNotFoundError as error:
        raise InputError(f"`{path}` is missing", "the folder of a library entry, e.g. `reports/NAME/winner`") from error
    except ValueError as error:
        raise InputError(f"`{path}` cannot be read as JSON: {error}", "copy the entry anew, or write it anew") from error
