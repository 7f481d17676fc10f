"""All images of a listing, decoded into the files of a cache."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mvsearch.accuracy.images.decode import Undecodable, decode, quiet, short_side
from mvsearch.accuracy.images.layout import Labelled, Sample, listed
from mvsearch.accuracy.images.listing import Source, Unreadable
from mvsearch.errors import InputError

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""
MAX_BAD_PART = 0.1
"""Of the files of a class, or of all: with more of them unusable, something is wrong with the data."""
SIDE_SAMPLE = 100
"""Images whose sizes are looked at."""
SHOWN = 5
"""Files named in a message."""
_ELSEWHERE = "name another folder in the environment variable `MVSEARCH_CACHE`"
_BLOCK = 256
_Decoded = Generator[tuple[Sample, NDArray[np.uint8] | str], None, None]
_MAX_THREADS = 32


def stored_side(source: Source, labelled: Labelled, resolution: int) -> int:
    """Side at which to store: 8/7 of the resolution, so that random crops have room, but not more than the images have.

    The classical relation of 256 stored to 224 seen. What the images have is the median short side of a sample; those
    that are smaller still are enlarged.
    """
    wanted = -(-resolution * 8 // 7)
    found: list[int] = []
    with quiet():
        for sample in labelled.train[:SIDE_SAMPLE]:
            try:
                found.append(short_side(_content(source, sample)))
            except (Unreadable, Undecodable):
                continue  # Recorded when its turn to be decoded comes.
    return min(wanted, max(1, int(median(found)))) if found else wanted


def check_room(folder: Path, num_images: int, side: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        InputError: too little room, or a folder that cannot be made.
    """
    needed = num_images * (side * side * 3 + 8)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"`{folder}` cannot be written: {error.strerror}", _ELSEWHERE) from None
    if needed > free:
        raise InputError(
            f"the decoded images need {needed / 1e9:,.1f} GB in `{folder}`, and {free / 1e9:,.1f} GB are free",
            f"make room, take fewer images or a lower resolution, or {_ELSEWHERE}",
        )


def write_images(
    folder: Path, source: Source, labelled: Labelled, side: int, progress: Progress | None
) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    """Decode everything into `train_*.npy` and `val_*.npy`.

    Returns:
        (training images, validation images, (file, reason) of what could not be used).

    Raises:
        InputError: too many unusable files, a class without training or validation images, data that change meanwhile.
        OSError: the folder cannot be written.
    """
    tally = _Tally(labelled, source.place, progress)
    with _threads() as pool, quiet():
        train, val = (
            _write_split(folder, use, _decode_all(pool, source, samples, side), len(samples), side, tally)
            for use, samples in (("train", labelled.train), ("val", labelled.val))
        )
    tally.check_classes(train, val)
    return len(train), len(val), tuple(tally.bad)


class _Tally:
    """Counts what is done and what is bad; stops as soon as too much is."""

    def __init__(self, labelled: Labelled, place: str, progress: Progress | None) -> None:
        self.bad: list[tuple[str, str]] = []
        self._labelled, self._place, self._progress = labelled, place, progress
        self._unlabelled = list(labelled.unlabelled)
        self._files = Counter(s.label for samples in (labelled.train, labelled.val) for s in samples)
        self._num_files = self._files.total()
        self._bad_of: dict[int, list[tuple[str, str]]] = {}
        self._done = 0
        self._check_all()

    def take(self, sample: Sample, fault: str) -> None:
        """Note one file; `fault` is empty if it could be used."""
        self._done += 1
        if fault:
            self.bad.append((sample.entry.name, fault))
            of_class = self._bad_of.setdefault(sample.label, [])
            of_class.append(self.bad[-1])
            if _too_many(len(of_class), self._files[sample.label]):
                what = f"files of class `{self._labelled.classes[sample.label]}` in `{self._place}`"
                raise _refusal(of_class, self._files[sample.label], what)
            self._check_all()
        if self._progress:
            self._progress(self._done, self._num_files)

    def check_classes(self, train: Iterable[int], val: Iterable[int]) -> None:
        """Every class needs an image to learn from and one to be tested on."""
        for use, labels in (("training", set(train)), ("validation", set(val))):
            if missing := [name for label, name in enumerate(self._labelled.classes) if label not in labels]:
                files = ", ".join(f"`{name}` ({why})" for name, why in self.bad[:SHOWN])
                raise InputError(
                    f"no usable {use} image of {listed(missing)} in `{self._place}`"
                    + (f"; skipped were {files}" if files else ""),
                    "repair these files, or add images",
                )

    def _check_all(self) -> None:
        if _too_many(len(self.bad) + len(self._unlabelled), total := self._num_files + len(self._unlabelled)):
            raise _refusal(self.bad + self._unlabelled, total, f"files in `{self._place}`")


class _ArrayFile:
    """A `.npy` file that grows: written plainly, since a full disk kills a process that writes to mapped memory."""

    def __init__(self, path: Path, most: int, side: int) -> None:
        self._side, self.count = side, 0
        self._file = path.open("wb")
        self._header(most)
        self._start = self._file.tell()

    def append(self, pixels: NDArray[np.uint8]) -> None:
        self._file.write(np.ascontiguousarray(pixels).data)
        self.count += 1

    def close(self) -> None:
        self._file.seek(0)
        self._header(self.count)  # numpy leaves room in the header for a first axis that grows.
        if self._file.tell() != self._start:
            raise AssertionError("the header has another length")
        self._file.close()

    def __enter__(self) -> _ArrayFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _header(self, count: int) -> None:
        header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": (count, self._side, self._side, 3)}
        np.lib.format.write_array_header_1_0(self._file, header)  # type: ignore[no-untyped-call]


def _write_split(folder: Path, use: str, decoded: _Decoded, most: int, side: int, tally: _Tally) -> list[int]:
    labels: list[int] = []
    with closing(decoded), _ArrayFile(folder / f"{use}_pixels.npy", most, side) as pixels:
        for sample, result in decoded:
            if isinstance(result, str):
                tally.take(sample, result)
            else:
                pixels.append(result)
                labels.append(sample.label)
                tally.take(sample, "")
    np.save(folder / f"{use}_labels.npy", np.asarray(labels, np.int64))
    return labels


def _decode_all(pool: ThreadPoolExecutor, source: Source, samples: tuple[Sample, ...], side: int) -> _Decoded:
    """Pixels, or why there are none, of each file in turn. Blocks keep the memory small that waits to be written."""

    def one(sample: Sample) -> NDArray[np.uint8] | str:
        try:
            return decode(_content(source, sample), side)
        except (Unreadable, Undecodable) as error:
            return str(error)

    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        yield from zip(block, pool.map(one, block), strict=True)


def _content(source: Source, sample: Sample) -> bytes:
    if sample.entry.fault:
        raise Unreadable(sample.entry.fault)
    return source.read(sample.entry)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    Image.init()  # Loads its decoders once, before threads ask for them.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(cores, _MAX_THREADS), thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _too_many(bad: int, files: int) -> bool:
    # One bad file of a small class is no sign that something is wrong with all of them.
    return bad > 1 and bad > MAX_BAD_PART * files


def _refusal(bad: list[tuple[str, str]], files: int, what: str) -> InputError:
    lines = "\n".join(f"  {name}: {why}" for name, why in bad[:SHOWN])
    return InputError(
        f"{len(bad):,} or more of the {files:,} {what} cannot be used, e.g.\n{lines}",
        f"up to {MAX_BAD_PART:.0%} of a class are skipped; repair these files, or move what is no image elsewhere",
    )
