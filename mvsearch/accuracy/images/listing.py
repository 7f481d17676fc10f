"""What a folder, a zip archive or a tar file holds: one list of files that can be read one by one, from many threads."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
import zipfile
import zlib
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
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EISDIR}


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
            if error.errno in _GONE:
                raise changed(self.place, entry, "is gone") from None
            raise Unreadable(error.strerror or str(error)) from None
        if len(content) != entry.size:
            raise changed(self.place, entry, "has another size")
        return content

    def close(self) -> None:
        """Nothing is kept open."""


class ZipSource:
    """A zip archive, read in place.

    Raises:
        InputError: no zip archive, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"`{path}` cannot be read as a zip archive: {error}", "give a complete, readable `.zip`") from None
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        for info in self._archive.infolist():
            name = tidy(info.filename)
            if not name:
                continue
            if info.is_dir():
                self.folders.append(name)
                continue
            fault = "encrypted" if info.flag_bits & 1 else _too_large(info.file_size)
            self.entries.append(Entry(shown(name), info.file_size, f"{info.CRC:08x}", info, fault))

    def read(self, entry: Entry) -> bytes:
        """See `Source.read`; checksums are checked."""
        try:
            return self._archive.read(entry.where)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise Unreadable(f"damaged in the archive: {error}") from None

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


class TarSource:
    """Tar files, read in place; a file's name begins with the tar file's name when there are several.

    Raises:
        InputError: a tar file is damaged, compressed or cannot be read.
    """

    def __init__(self, paths: list[Path], place: str, names: list[str]) -> None:
        self.place = place
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        for path, shard in zip(paths, names, strict=True):
            prefix = f"{shard}/" if shard else ""
            try:
                about = path.stat()
                with tarfile.open(path, "r:") as tar:
                    for member in tar:
                        name = tidy(member.name)
                        if not name:
                            continue
                        if member.isdir():
                            self.folders.append(prefix + name)
                            continue
                        fault = _too_large(member.size) if member.isreg() else "not a regular file"
                        mark = f"{member.mtime}/{about.st_size}/{about.st_mtime_ns}"  # Tar files have no checksums of content.
                        where = (str(path), member.offset_data)
                        self.entries.append(Entry(shown(prefix + name), member.size, mark, where, fault))
            except (tarfile.TarError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                raise InputError(
                    f"`{path}` cannot be read as a tar file: {reason}", "give complete `.tar` files without compression"
                ) from None

    def read(self, entry: Entry) -> bytes:
        """See `Source.read`."""
        path, offset = entry.where
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - see FolderSource
                file.seek(offset)
                content = file.read(entry.size)
        except OSError as error:
            if error.errno in _GONE:
                raise changed(self.place, entry, "is gone") from None
            raise Unreadable(error.strerror or str(error)) from None
        if len(content) != entry.size:
            raise Unreadable("the tar file ends before it")
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
    fault = _too_large(about.st_size) if stat.S_ISREG(about.st_mode) else "not a regular file"
    return Entry(shown(name), about.st_size, str(about.st_mtime_ns), item.path, fault)


def _too_large(size: int) -> str:
    return f"larger than {MAX_BYTES // 2**20} MB" if size > MAX_BYTES else ""
