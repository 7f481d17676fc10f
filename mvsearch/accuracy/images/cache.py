"""The cache of decoded images: made once for one listing of files and one side, then read by every worker."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mvsearch.accuracy.images import procedural
from mvsearch.accuracy.images.build import Progress, check_room, stored_side, write_images
from mvsearch.accuracy.images.dataset import ImageCache, ImageSet, Split
from mvsearch.accuracy.images.layout import Labelled, listing_key
from mvsearch.accuracy.images.source import PROCEDURAL, absolute, exists, open_images
from mvsearch.errors import InputError
from mvsearch.files import staged
from mvsearch.targets.cache import CACHE_VARIABLE, cache_folder

VERSION = 1
"""Of the format, and of how files become pixels."""
ABOUT = "about.json"
MAX_RESOLUTION = 4_096


@dataclass(frozen=True, slots=True)
class _About:
    """What a cache says of itself."""

    classes: tuple[str, ...]
    num_train: int
    num_val: int
    side: int
    skipped: tuple[tuple[str, str], ...] = ()

    def write(self, folder: Path) -> None:
        data = {"version": VERSION, "classes": self.classes, "num_train": self.num_train, "num_val": self.num_val}
        (folder / ABOUT).write_text(json.dumps({**data, "side": self.side, "skipped": self.skipped}), encoding="utf-8")


def prepare_images(
    data: str | Path, resolution: int, *, known: ImageCache | None = None, progress: Progress | None = None
) -> ImageCache:
    """Find the cache of the user's images, or make it: decode every file once.

    Args:
        data: a folder with a folder per class; a folder with `train/` and `val/` (or `valid`, `validation`, `test`) of
            such; a `.zip` of either; WebDataset shards (a `.tar`, a folder of them, or `imgs-{0000..0007}.tar`); or
            `procedural`.
        resolution: side in pixels that networks will see.
        known: the cache of a run that is resumed. It is found even if the data are gone; if the data have changed since,
            that is refused.
        progress: called with (files done, files in all) while files are decoded; never if the cache is there.

    Raises:
        InputError: the data cannot be used as they are, too many files are unusable, the disk is too small, or the data
            change while they are read; nothing is left behind.
    """
    if not 1 <= resolution <= MAX_RESOLUTION:
        raise InputError(f"resolution `{resolution}` is not possible", f"give 1 to {MAX_RESOLUTION:,} pixels")
    name = absolute(data)
    if not str(data):
        raise InputError("the images `` do not exist", "give a folder, a `.zip`, shards, or `procedural`")
    if known is not None and known.resolution == resolution and not exists(name):
        if (place := _find(known)) is None:
            raise _gone(known, name)
        return replace(known, path=place)
    found = _generated(resolution) if name == PROCEDURAL else _decoded(name, resolution, known, progress)
    if known is not None and found.key != known.key:
        raise _changed(name)
    return found


def load_images(cache: ImageCache) -> ImageSet:
    """Open a cache, memory-mapped: what a worker does.

    On a machine that does not have the cache, it is made there from the data.

    Raises:
        InputError: neither the cache nor the data are here, or the data are not those that the cache was made of.
    """
    place = _find(cache)
    if place is None:
        if not exists(cache.data):
            raise _gone(cache, cache.data)
        made = prepare_images(cache.data, cache.resolution)
        if made.key != cache.key:
            raise _changed(cache.data)
        place = made.path
    opened = _open(place)
    if opened is None:
        raise InputError(f"the decoded images `{place}` were deleted or changed just now", "start again")
    about, train, val = opened
    return ImageSet(about.classes, train, val, cache.key, cache.note)


def _decoded(data: str, resolution: int, known: ImageCache | None, progress: Progress | None) -> ImageCache:
    with open_images(data) as (source, labelled):
        side = stored_side(source, labelled, resolution)
        key = listing_key(labelled, side, VERSION)
        if known is not None and key != known.key:
            raise _changed(data)

        def make(folder: Path) -> _About:
            check_room(folder.parent, len(labelled.train) + len(labelled.val), side)
            train, val, skipped = write_images(folder, source, labelled, side, progress)
            return _About(labelled.classes, train, val, side, skipped)

        path, about = _find_or_make(key, make)
    skipped = (*labelled.unlabelled, *labelled.strays, *about.skipped)
    note = _note(about, len(skipped), labelled)
    return ImageCache(data, resolution, key, path, about.classes, about.num_train, about.num_val, side, skipped, note)


def _generated(resolution: int) -> ImageCache:
    side = min(procedural.SIDE, -(-resolution * 8 // 7))
    key = hashlib.sha256(f"{VERSION} procedural {procedural.VERSION} {side}".encode()).hexdigest()[:16]

    def make(folder: Path) -> _About:
        check_room(folder.parent, procedural.NUM_TRAIN + procedural.NUM_VAL, side)
        train, val = procedural.generate(side=side)
        for use, split in (("train", train), ("val", val)):
            np.save(folder / f"{use}_pixels.npy", split.pixels)
            np.save(folder / f"{use}_labels.npy", split.labels)
        return _About(procedural.CLASSES, len(train), len(val), side)

    path, about = _find_or_make(key, make)
    note = f"{_note(about, 0)}; {procedural.NOTE}"
    return ImageCache(PROCEDURAL, resolution, key, path, about.classes, about.num_train, about.num_val, side, (), note)


def _find_or_make(key: str, make: Callable[[Path], _About]) -> tuple[Path, _About]:
    """The folder of a cache; processes that want the same one wait for the first."""
    folder = _folder() / key
    if opened := _open(folder):
        return folder, opened[0]
    with _alone(folder):
        if opened := _open(folder):
            return folder, opened[0]
        for left in folder.parent.glob(f".{key}-*"):  # Of a process that was killed; nobody else works here now.
            shutil.rmtree(left, ignore_errors=True)
        with staged(folder, replace=folder.exists()) as temporary:
            about = make(temporary)
            about.write(temporary)
    return folder, about


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = folder.with_name(folder.name + ".lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        held.acquire()
    except OSError as error:
        raise InputError(
            f"`{folder.parent}` cannot be written: {error.strerror or error}",
            f"name a folder that you may write to in the environment variable `{CACHE_VARIABLE}`",
        ) from None
    try:
        yield
    finally:
        held.release()


def _open(folder: Path) -> tuple[_About, Split, Split] | None:
    """A cache, or nothing where there is none or a damaged one."""
    try:
        data = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if data.pop("version") != VERSION:
            return None
        skipped = tuple((str(name), str(why)) for name, why in data.pop("skipped"))
        about = _About(**{**data, "classes": tuple(data["classes"]), "skipped": skipped})
        train, val = (
            _open_split(folder, use, n, about.side) for use, n in (("train", about.num_train), ("val", about.num_val))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return about, train, val


def _open_split(folder: Path, use: str, count: int, side: int) -> Split:
    pixels = np.load(folder / f"{use}_pixels.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / f"{use}_labels.npy", allow_pickle=False)
    if pixels.shape != (count, side, side, 3) or pixels.dtype != np.uint8 or labels.shape != (count,):
        raise ValueError("not what was written")
    return Split(pixels, labels)


def _find(cache: ImageCache) -> Path | None:
    places = (cache.path, _folder() / cache.key)
    return next((place for place in places if place.name == cache.key and _open(place)), None)


def _folder() -> Path:
    return cache_folder() / "images"


def _gone(cache: ImageCache, data: str) -> InputError:
    return InputError(
        f"neither the decoded images `{cache.path}` nor `{data}`, from which they come, are here",
        "put one of them back; one must be on every machine that trains, or on a shared disk",
    )


def _changed(data: str) -> InputError:
    return InputError(
        f"the images `{data}` are not those that the run began with",
        "names, sizes, times of change or the stored side differ: put them back as they were (copy with times, `cp -a`), "
        "or start a new run",
    )


def _note(about: _About, num_skipped: int, labelled: Labelled | None = None) -> str:
    files = "1 file" if num_skipped == 1 else f"{num_skipped:,} files"
    parts = [
        f"{about.num_train:,} training and {about.num_val:,} validation images of {len(about.classes):,} classes",
        f"{files} skipped" if num_skipped else "",
        f"stored at {about.side} px",
        *(labelled.remarks if labelled else ()),
    ]
    return "; ".join(p for p in parts if p)
