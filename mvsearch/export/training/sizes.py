"""Sizes of training images, and how many updates an epoch has."""

from __future__ import annotations

from mvsearch.export.training.recipes import IMAGENET_IMAGES, Recipe
from mvsearch.spec.arch import make_divisible

SCALES = 5
SIZE_STEP = 32
_SMALLEST, _LARGEST = 160 / 256, 320 / 256
"""Of the variable-batch sampler, to the resolution (apple/ml-cvnets, mobilevit.yaml: 160 to 320 around 256)."""


def size_range(resolution: int) -> tuple[int, int]:
    """Smallest and largest side of images in training."""
    return make_divisible(_SMALLEST * resolution, SIZE_STEP), make_divisible(_LARGEST * resolution, SIZE_STEP)


def variable_batches(resolution: int, batch: int) -> dict[int, int]:
    """Sides of the variable-batch sampler and the batch of each on a device, with as many pixels as the base batch.

    Source: arXiv 2110.02178, section 3.2, and apple/ml-cvnets `variable_batch_sampler.py`: `SCALES` sides in equal steps,
    and the resolution itself, each a multiple of `SIZE_STEP`.
    """
    low, high = size_range(resolution)
    steps = [low + (high - low) * i / (SCALES - 1) for i in range(SCALES)]
    sides = sorted({make_divisible(side, SIZE_STEP) for side in (*steps, resolution)})
    return {side: max(1, int(round(resolution**2 * batch / side**2, 2))) for side in sides}


def updates_per_epoch(recipe: Recipe, resolution: int) -> float:
    """Updates of the weights in an epoch of ImageNet-1k with the recipe's whole batch."""
    batch: float = recipe["batch"]
    if recipe["sampler"] == "variable":
        batches = variable_batches(resolution, recipe["batch_per_device"])
        batch *= sum(batches.values()) / len(batches) / recipe["batch_per_device"]
    return IMAGENET_IMAGES / batch


def warmup_epochs(recipe: Recipe, resolution: int) -> float:
    """Epochs of warm-up, whether the recipe counts in epochs or in updates."""
    if "warmup_epochs" in recipe.settings:
        return float(recipe["warmup_epochs"])
    return float(recipe["warmup_iterations"] / updates_per_epoch(recipe, resolution))
