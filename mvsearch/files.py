"""Files as mvsearch reads and writes them: folders appear whole or not at all, and what is read is trusted with nothing."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Never

from mvsearch.errors import InputError

MAX_JSON_BYTES = 16 * 2**20
"""Of a JSON file; ours have some kB."""


def kind_of(path: Path) -> Literal["file", "folder", "other", ""]:
    """What lies at a path; empty if nothing does, also where no path can be of such a text."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of a plain file.

    Args:
        path: of the file.
        limit: the largest size that is read, in bytes.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is no plain file (a device or a pipe may never end), too large, or cannot be read.
    """
    try:
        if kind_of(path) in ("folder", "other"):
            raise InputError(f"`{path}` is not a plain file", "give a file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # A name with a NUL is a ValueError.
        raise InputError(
            f"cannot read `{path}`: {getattr(error, 'strerror', None) or error}", "give a file that can be read"
        ) from None
    if len(content) > limit:
        raise InputError(
            f"`{path}` is larger than {limit // 2**10:,} kB, too large for what it should hold", "give another file"
        )
    return content


def parse_json(text: object) -> Any:
    """Plain data from JSON, in which every number is finite.

    Raises:
        ValueError: not JSON, too deep, or a number that is infinite, NaN or too long.
    """
    if not isinstance(text, str | bytes):
        raise ValueError("not a text")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"`{name}` is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"`{text[:20]}` is too large")
    return value


@contextmanager
def staged(folder: Path, replace: bool = False) -> Iterator[Path]:
    """A new, empty folder beside `folder`, moved to its place if the block ends well, deleted if not.

    Args:
        folder: final place; must be absent or empty unless `replace`.
        replace: take the place of what is there, which is put back if the move fails.

    Raises:
        InputError: the place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, thus on the same disk, where a move is one step.
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"`{folder}` cannot be written: {error.strerror}", "choose a folder that you may write to") from error
    try:
        yield temporary
        share(temporary)
        _move(temporary, folder, replace)
    except OSError as error:
        raise InputError(f"`{folder}` could not be written: {error.strerror or error}", "nothing was changed there") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(temporary: Path, folder: Path, replace: bool) -> None:
    if not folder.exists():
        temporary.rename(folder)
    elif not replace:
        folder.rmdir()  # Fails, and so nothing is lost, if somebody has put something there meanwhile.
        temporary.rename(folder)
    else:
        before = temporary.with_name(temporary.name + "-before")
        folder.rename(before)
        try:
            temporary.rename(folder)
        except BaseException:
            before.rename(folder)
            raise
        shutil.rmtree(before, ignore_errors=True)


def share(path: Path) -> None:
    """Give a path and all below it the rights that new files and folders get; some writers make them private."""
    mask = os.umask(0)
    os.umask(mask)
    for item in (path, *path.rglob("*")):
        item.chmod((0o777 if item.is_dir() else 0o666) & ~mask)
