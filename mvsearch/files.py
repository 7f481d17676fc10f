"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvsearch.errors import InputError


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
