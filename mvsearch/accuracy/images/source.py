"""What `--data` may be, opened: files that can be read, and which of them are which images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvsearch.accuracy.images.archives import TarSource, ZipSource
from mvsearch.accuracy.images.layout import ALLOWED, Labelled, arrange
from mvsearch.accuracy.images.listing import IMAGE_SUFFIXES, FolderSource, Source
from mvsearch.accuracy.images.shards import arrange_shards, expand, find, holds_shards
from mvsearch.errors import InputError

PROCEDURAL = "procedural"
"""Generated images instead of files; a folder of this name is given as `./procedural`."""
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def absolute(data: str | Path) -> str:
    """The same data named so that it can be found from any folder."""
    name = str(data)
    return name if name == PROCEDURAL else str(Path(name).expanduser().absolute())


def exists(data: str) -> bool:
    """Whether anything is left of what was given; of shards, whether one is there."""
    return data == PROCEDURAL or Path(data).exists() or any(Path(p).exists() for p in expand(data))


@contextmanager
def open_images(data: str) -> Iterator[tuple[Source, Labelled]]:
    """List the files of a folder, an archive or shards.

    Args:
        data: absolute path, or path with a brace pattern.

    Raises:
        InputError: there is nothing, something else, or images that cannot be used as they are.
    """
    source: Source = _open(data)
    try:
        if isinstance(source, TarSource) and holds_shards(source):
            labelled = arrange_shards(source)
        else:
            labelled = arrange(source.entries, source.folders, source.place)
        yield source, labelled
    finally:
        source.close()


def _open(data: str) -> Source:
    path = Path(data)
    if not path.exists() and "{" in data:
        shards = [Path(p) for p in expand(data)]
        if missing := [p for p in shards if not p.is_file()]:
            raise InputError(
                f"the shard `{missing[0]}` of `{data}` does not exist", f"the pattern stands for {len(shards)} files"
            )
        return find(shards, data)
    if path.is_dir():
        folder = FolderSource(path)
        shards = [path / e.name for e in folder.entries if e.name.lower().endswith(".tar")]
        if shards and not any(e.name.lower().endswith(IMAGE_SUFFIXES) for e in folder.entries):
            return find(shards, data, path)
        return folder
    if not path.exists():
        raise InputError(f"the images `{data}` do not exist", ALLOWED)
    if not path.is_file():
        raise InputError(f"`{data}` is neither a folder nor a file", ALLOWED)
    if path.name.lower().endswith(".zip"):
        return ZipSource(path)
    if path.name.lower().endswith(".tar"):
        return find([path], data)
    if path.name.lower().endswith(_COMPRESSED):
        raise InputError(
            f"`{data}` is compressed as a whole", "single images cannot be read from it: unpack it, or make a `.zip`"
        )
    raise InputError(f"`{data}` is a file of another kind", ALLOWED)
