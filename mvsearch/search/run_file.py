"""`run.json`: what a run was asked, how it was called, and how it ended."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError
from mvsearch.files import parse_json, read_bytes
from mvsearch.spec.budget import Budget, parse_budgets
from mvsearch.spec.plain import read_value, shown
from mvsearch.spec.run import RUN_SCHEMA_VERSION, RunSettings

_ENTRIES: dict[str, tuple[Any, Any]] = {
    "command": (str, ""),
    "target_note": (str, ""),
    "versions": (tuple[tuple[str, str], ...], ()),
    "machine": (str, ""),
    "seconds": (float, 0.0),
    "winner": (str | None, None),
    "finished": (bool, False),
    "notes": (tuple[str, ...], ()),
}
"""Entry beside `settings` -> its type, and what it is before the run says anything else."""
_HINT = "put back a copy of it, or start a new run with another `--out`"


def read_run_file(path: Path) -> dict[str, Any]:
    """The content of `run.json`, each known entry of its type.

    Schema 1 had fewer settings, which are at their defaults then; the next `write_run_file` makes it one of this schema.

    Raises:
        InputError: not there, damaged, or of a schema that this version does not read.
    """
    try:
        data = parse_json(read_bytes(path))
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
    except FileNotFoundError:
        raise InputError(f"`{path.parent}` is not a run folder", f"a run folder holds a readable `{path.name}`") from None
    except ValueError as error:
        raise InputError(f"`{path}` is damaged: {error}", _HINT) from None
    schema = data.get("schema_version")
    if type(schema) is not int or not 1 <= schema <= RUN_SCHEMA_VERSION:
        newer = type(schema) is int and schema > RUN_SCHEMA_VERSION
        raise InputError(
            f"`{path}` is of run schema `{shown(schema)}`",
            f"this version reads schemas 1 to {RUN_SCHEMA_VERSION}; "
            + ("update mvsearch" if newer else "start a new run with another `--out`"),
        )
    try:
        for name, (hint, default) in _ENTRIES.items():
            data[name] = read_value(hint, data[name], name) if name in data else default
        if data["winner"] is not None and not re.fullmatch("[0-9a-f]{12}", data["winner"]):
            raise ValueError(f"`winner` is `{shown(data['winner'])}`")
        settings = RunSettings.from_json(data.get("settings"))
        if not _as_written(settings.budgets):
            raise ValueError("`settings.budgets` are not what their texts say")
    except ValueError as error:
        raise InputError(f"`{path}` is damaged: {error}", _HINT) from None
    return data


def _as_written(budgets: tuple[Budget, ...]) -> bool:
    """Whether budgets are those that their texts ask for."""
    try:
        return parse_budgets(b.text for b in budgets) == budgets
    except InputError:
        return False


def write_run_file(path: Path, data: dict[str, Any]) -> None:
    """Replace `run.json` in one step.

    Raises:
        InputError: it cannot be written; the one before is kept.
    """
    text = json.dumps({**data, "schema_version": RUN_SCHEMA_VERSION}, indent=2, allow_nan=False) + "\n"
    temporary = path.with_suffix(".json.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"`{path}` cannot be written: {error.strerror}", "make room, then go on with `--resume`: what was finished is kept"
        ) from None
