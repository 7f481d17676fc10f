"""Batches for training and validation, from images that are kept on the device where they fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mvsearch.accuracy.images import Split
from mvsearch.accuracy.trained import Recipe
from mvsearch.accuracy.training.views import plain_views, random_views, render

DEVICE_SHARE = 0.4
"""Share of a GPU's free memory that the stored images may take; else they travel batch by batch."""


class Images:
    """One split of the images, ready to be cut into batches.

    Args:
        split: uint8 pixels (n, S, S, 3) and labels (n,).
        device: that trains.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.device = device
        self.labels = torch.from_numpy(np.array(split.labels, dtype=np.int64)).to(device)
        self._host = split.pixels
        self._resident: Tensor | None = None
        if device.type == "cuda" and split.pixels.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._resident = torch.from_numpy(np.array(split.pixels)).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def stored(self) -> int:
        """Side of the stored images, in pixels."""
        return int(self._host.shape[1])

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """(uint8 pixels (B, S, S, 3), labels (B,)) on the device; `index` on the CPU."""
        if self._resident is not None:
            where = index.to(self.device, non_blocking=True)
            return self._resident[where], self.labels[where]
        pixels = torch.from_numpy(self._host[index.numpy()])
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels, self.labels[index.to(self.device)]


def training_batches(images: Images, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch per step: every image once per epoch, in an order and views that depend on the seed alone.

    Yields:
        (float32 (B, 3, side, side), labels (B,)).
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(recipe.steps):
        side = recipe.sides[int(torch.randint(len(recipe.sides), (1,), generator=generator))]
        count = recipe.batch_at(side)
        while len(order) < count:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        # In the order of the file: a memory-mapped file is read forwards, and within a batch order means nothing.
        index, order = order[:count].sort().values, order[count:]
        views = random_views(count, recipe.crop, recipe.flip, generator)
        pixels, labels = images.take(index)
        yield render(pixels, views, side), labels


def plain_batches(images: Images, resolution: int, batch_size: int, limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images as they are, in order; at most `limit` of them, evenly spread.

    Yields:
        (float32 (B, 3, resolution, resolution), labels (B,)).
    """
    count = min(limit, len(images))
    chosen = torch.linspace(0, len(images) - 1, count).round().to(torch.int64)
    batches = torch.split(chosen, batch_size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        # Batch norm has no statistics of one image whose map is a single pixel.
        batches = torch.tensor_split(chosen, len(batches))
    for index in batches:
        pixels, labels = images.take(index)
        yield render(pixels, plain_views(len(index), images.stored, resolution), resolution), labels
