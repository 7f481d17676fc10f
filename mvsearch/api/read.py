"""An architecture from what a user gives: a published name, a file, a library entry."""

from __future__ import annotations

import json
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.spec.arch import ArchSpec


def read_network(source: str | Path) -> ArchSpec:
    """The architecture of a published name, a JSON file or a library entry's folder.

    Raises:
        InputError: none of these.
    """
    from mvsearch.spec.arch import from_json
    from mvsearch.spec.published import network

    path = Path(source)
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file() and path.suffix != ".json":
        return network(str(source))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read `{path}` as JSON: {error}", "an architecture as `describe NAME --json` prints it"
        ) from None
    inner = data.get("arch") if isinstance(data, dict) and "arch" in data else data
    return from_json(inner)
