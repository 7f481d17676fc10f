"""Core ML packages of a run's front: kept in its folder for whoever measures them, and sent elsewhere as zip files."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

from mvsearch.errors import InputError
from mvsearch.files import staged

MAX_BYTES = 512 * 2**20
MAX_FILES = 1000
"""A package that comes over the network is refused beyond these: ours have 3 files and some 4 MB."""


class Packages:
    """The packages of a run by `arch_id`.

    Args:
        folder: that holds `ARCH_ID.mlpackage`; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, arch_id: str) -> Path:
        """Where the package of a network lies, or would."""
        return self.folder / f"{arch_id}.mlpackage"

    def has(self, arch_id: str) -> bool:
        """Whether it is there."""
        return (self.path(arch_id) / "Manifest.json").is_file()

    def write(self, arch_id: str, data: bytes) -> None:
        """Keep what `pack` gave: there whole or not at all.

        Raises:
            InputError: it cannot be written, or is no such file.
        """
        with staged(self.path(arch_id), replace=True) as folder:
            unpack(data, folder)

    def num_bytes(self) -> int:
        """Of all packages on disk."""
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file()) if self.folder.is_dir() else 0


def pack(package: Path) -> bytes:
    """A package, which is a folder, as a zip file: the same bytes for the same content. Weights do not compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(f for f in package.rglob("*") if f.is_file()):
            archive.writestr(zipfile.ZipInfo(file.relative_to(package).as_posix()), file.read_bytes())
    return buffer.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of a zip file below a folder; trusts nothing that it says.

    Raises:
        InputError: it is no zip file, too large, or names a place outside the folder; nothing is written then.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir()]
            _check(entries)
            for entry in entries:
                path = folder / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("wb") as out:
                    # Not more than it said, whatever it unpacks to: `_check` went by what it said.
                    out.write(source.read(entry.file_size))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"a package that was sent cannot be unpacked: {error}", "send it again") from None


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES or sum(e.file_size for e in entries) > MAX_BYTES:
        raise ValueError(f"more than {MAX_FILES} files or {MAX_BYTES / 2**20:.0f} MB")
    names = [e.filename for e in entries]
    if len(set(names)) != len(names):
        raise ValueError("two files of one name")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
        if outside or not path.parts or stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"it names `{entry.filename}`")
