"""What is read from a user's files: an architecture by name, file or library entry; the space of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import InputError
from mvsearch.files import kind_of, parse_json, read_bytes
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.run import RunSettings

if TYPE_CHECKING:
    from mvsearch.spec.space import SearchSpace


def read_network(source: str | Path) -> ArchSpec:
    """The architecture of a published name, a JSON file or a library entry's folder.

    Raises:
        InputError: none of these.
    """
    from mvsearch.spec.arch import from_json
    from mvsearch.spec.published import network

    path = Path(source)
    if kind_of(path) == "folder":
        path = path / "config.json"
    if not kind_of(path) and path.suffix != ".json":
        return network(str(source))
    hint = "an architecture as `describe NAME --json` prints it"
    try:
        data = parse_json(read_bytes(path))
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`", hint) from None
    except ValueError as error:
        raise InputError(f"cannot read `{path}` as JSON: {error}", hint) from None
    inner = data.get("arch") if isinstance(data, dict) and "arch" in data else data
    return from_json(inner)


def space_of(settings: RunSettings) -> SearchSpace:
    """The space that a run searched.

    Raises:
        InputError: it is gone, or is another one by now.
    """
    from mvsearch.spec.space_file import load_space

    space = load_space(settings.space)
    if space.content_hash != settings.space_hash:
        raise InputError(
            f"the space `{settings.space}` has changed since the run was begun", "put back the file that it was run with"
        )
    return space
