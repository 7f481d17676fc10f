"""Labelled images as plain data: what is trained on, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images that are used for one purpose, in an order that mixes the classes and is always the same.

    Attributes:
        pixels: (n, side, side, 3), RGB, 0 to 255; usually memory-mapped and then read-only.
        labels: (n,), index into the classes.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Training and validation images of the same classes.

    Attributes:
        classes: names; a label is an index into them.
        train: what weights are fitted to.
        val: what networks are compared on; no image of `train` is in it.
        key: of the cache that they come from; equal keys mean equal pixels, labels and order.
        note: a sentence on what they are.
    """

    classes: tuple[str, ...]
    train: Split
    val: Split
    key: str
    note: str

    @property
    def side(self) -> int:
        """Height and width of the images in pixels."""
        return int(self.train.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class ImageCache:
    """A folder with decoded images, and what is in it. Small and picklable: this is what goes to a worker.

    Attributes:
        data: where the images come from, as an absolute path, or `procedural`.
        resolution: side in pixels that networks will see.
        key: hash of the listing of the files, the stored side and the format of the cache.
        path: the folder.
        classes: their names.
        num_train: training images.
        num_val: validation images.
        side: of the stored images in pixels; larger than `resolution`, for random crops, if the images allow it.
        skipped: (file, reason) of what could not be used.
        note: a sentence on what was taken.
    """

    data: str
    resolution: int
    key: str
    path: Path
    classes: tuple[str, ...]
    num_train: int
    num_val: int
    side: int
    skipped: tuple[tuple[str, str], ...]
    note: str
