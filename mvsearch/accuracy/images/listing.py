"""What a folder holds: a list of files that can be read one by one, from many threads. Archives: see `archives.py`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mvsearch.errors import InputError

MAX_BYTES = 256 * 2**20
"""Larger files are no photographs; they are not read."""
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif",
)  # fmt: skip
"""Of files that are meant as images. Inside class folders the content decides, not the name."""
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EISDIR}
"""Errors of a file that was listed and is no longer there."""


class Unreadable(Exception):
    """One file cannot be read; the message says why. Others can."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    Attributes:
        name: relative path with `/`.
        size: in bytes.
        mark: differs when the content does: time of change in ns, or checksum.
        where: what its source reads it by.
        fault: why it cannot be read at all; empty if it can.
    """

    name: str
    size: int
    mark: str
    where: Any
    fault: str = ""


@dataclass(slots=True)
class Folder:
    """A folder of a listing: its own files, and its folders by name."""

    files: list[Entry] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def every(self) -> Iterator[Entry]:
        """All files in it and below it."""
        yield from self.files
        for folder in self.folders.values():
            yield from folder.every()


class Source(Protocol):
    """Where files come from.

    Attributes:
        place: as named to the user.
        entries: files, without hidden ones and litter of operating systems.
        folders: relative paths of all folders, also of empty ones.
    """

    place: str
    entries: list[Entry]
    folders: list[str]

    def read(self, entry: Entry) -> bytes:
        """Content of a file; may be called from several threads.

        Raises:
            Unreadable: this file is damaged.
            InputError: the file is no longer what was listed.
        """

    def close(self) -> None:
        """Let go of open files."""


class FolderSource:
    """A folder on disk, with everything below it; links are followed.

    Raises:
        InputError: a folder cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        waiting: list[tuple[Path, str, tuple[str, ...]]] = [(root, "", (os.path.realpath(root),))]
        while waiting:
            folder, prefix, above = waiting.pop()
            try:
                with os.scandir(folder) as items:
                    found = sorted(items, key=lambda item: item.name)
            except OSError as error:
                raise InputError(
                    f"the folder `{shown(str(folder))}` cannot be read: {error.strerror}",
                    "it must be readable with all its files",
                ) from None
            for item in found:
                name = prefix + item.name
                if ignored(item.name):
                    continue
                if not item.is_dir():
                    self.entries.append(_file(item, name))
                elif (real := os.path.realpath(item.path)) not in above:  # A link to a folder above would never end.
                    self.folders.append(name)
                    waiting.append((Path(item.path), name + "/", (*above, real)))

    def read(self, entry: Entry) -> bytes:
        """See `Source.read`."""
        try:
            with open(entry.where, "rb") as file:  # noqa: PTH123 - a Path for each of a million files costs memory
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            if error.errno in GONE:
                raise changed(self.place, entry, "is gone") from None
            raise Unreadable(error.strerror or str(error)) from None
        if len(content) != entry.size:
            raise changed(self.place, entry, "has another size")
        return content

    def close(self) -> None:
        """Nothing is kept open."""


def as_tree(entries: Iterable[Entry], folders: Iterable[str]) -> Folder:
    """Files and folders by their paths; the result does not depend on the order of either."""
    root = Folder()

    def at(path: str) -> Folder:
        folder = root
        for part in path.split("/") if path else ():
            folder = folder.folders.setdefault(part, Folder())
        return folder

    for name in folders:
        at(shown(name))
    for entry in sorted(entries, key=lambda e: e.name):
        at(entry.name.rpartition("/")[0]).files.append(entry)
    return root


def tidy(name: str) -> str:
    """A path in an archive with `/` and no `.` in front; empty if the file is hidden or litter."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".")]
    return "" if any(ignored(p) for p in parts) else "/".join(parts)


def ignored(part: str) -> bool:
    """Whether a file or folder of this name is hidden, or what operating systems leave behind."""
    return part.startswith(".") or part.lower() in _LITTER


def shown(name: str) -> str:
    """A name that can be printed and stored: bytes that are no text are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def changed(place: str, entry: Entry, how: str) -> InputError:
    """The data are being deleted or written while they are read."""
    return InputError(
        f"`{place}` changed while it was read: `{entry.name}` {how}",
        "start again when the images are complete; nothing was kept",
    )


def _file(item: os.DirEntry[str], name: str) -> Entry:
    try:
        about = item.stat()
    except OSError:
        return Entry(shown(name), 0, "", item.path, "a link to nothing")
    fault = too_large(about.st_size) if stat.S_ISREG(about.st_mode) else "not a regular file"
    return Entry(shown(name), about.st_size, str(about.st_mtime_ns), item.path, fault)


def too_large(size: int) -> str:
    """Why a file of so many bytes is not read; empty if it is."""
    return f"larger than {MAX_BYTES // 2**20} MB" if size > MAX_BYTES else ""
