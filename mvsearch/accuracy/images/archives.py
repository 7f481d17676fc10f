"""What zip archives and tar files hold, read in place: nothing is unpacked to disk."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path

from mvsearch.accuracy.images.listing import GONE, Entry, Unreadable, changed, shown, tidy, too_large
from mvsearch.errors import InputError


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
            fault = "encrypted" if info.flag_bits & 1 else too_large(info.file_size)
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
                        fault = too_large(member.size) if member.isreg() else "not a regular file"
                        mark = f"{member.mtime}/{about.st_size}/{about.st_mtime_ns}"  # Tar files have no checksums of content.
                        where = (str(path), member.offset_data)
                        self.entries.append(Entry(shown(prefix + name), member.size, mark, where, fault))
                    _check_end(path, tar.offset)
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
            if error.errno in GONE:
                raise changed(self.place, entry, "is gone") from None
            raise Unreadable(error.strerror or str(error)) from None
        if len(content) != entry.size:
            raise Unreadable("the tar file ends before it")
        return content

    def close(self) -> None:
        """Nothing is kept open."""


def _check_end(path: Path, offset: int) -> None:
    """The standard library takes a file that was cut off, or damaged behind its first member, for one that ends there."""
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it is damaged or cut off at byte {offset:,}")
