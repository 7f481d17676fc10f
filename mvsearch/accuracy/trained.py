"""What a short training brought: plain records, and the recipe that every candidate is trained by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from mvsearch.spec.plain import read_plain
from mvsearch.spec.record import Failure

MULTI_SCALE_SIDES = (160, 192, 256, 288, 320)
"""Sides in pixels of MobileViT's multi-scale sampler at a base of 256 (arXiv 2110.02178, section 3.2)."""
SIDE_STEP = 32
"""The networks reduce an image 32 times; a side that is no multiple would be padded unevenly."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every candidate is trained; the same steps, images, order and views for all of them.

    AdamW with decoupled decay (none on norms, biases and other vectors), warm-up and cosine, label smoothing, gradients
    clipped, weights averaged over the last steps. Each training has its own whole schedule: scores at the end of one
    are comparable, scores half-way through one are not.

    Attributes:
        steps: optimiser steps.
        batch_size: images per step at `resolution`.
        resolution: side of the square image in pixels, in training and validation.
        learning_rate: at its peak.
        warmup: share of the steps over which the rate rises from 0.
        final_rate: rate at the end, as a share of the peak.
        weight_decay: of matrices and kernels.
        label_smoothing: of the training loss; the validation loss has none.
        average: weights are averaged exponentially with this share of the steps as time constant.
        clip: largest norm of the gradient.
        crop: smallest share of the image's area that a random crop keeps.
        flip: whether half of the images are mirrored.
        multi_scale: sides drawn per step from MobileViT's sampler, with as many images as keep the pixels constant.
        evaluations: points of the learning curve, evenly spaced, the last one at the end.
        val_images: at most so many validation images, evenly spread over them, the same for every network.
        bn_images: training images from which batch norm's statistics of the averaged weights are taken.
        precision: of the matrix products: `float32`, `bfloat16`, `float16`; or `auto`, bfloat16 on a GPU (float16 where it
            has no bfloat16) and float32 on a CPU.
    """

    steps: int
    batch_size: int = 128
    resolution: int = 128
    learning_rate: float = 2e-3
    warmup: float = 0.1
    final_rate: float = 0.01
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    average: float = 0.04
    clip: float = 5.0
    crop: float = 0.5
    flip: bool = True
    multi_scale: bool = False
    evaluations: int = 5
    val_images: int = 10_000
    bn_images: int = 2048
    precision: str = "auto"

    @property
    def key(self) -> str:
        """Hash of all of it: trainings of one key are comparable."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the training images in pixels, ascending; one unless multi-scale."""
        if not self.multi_scale:
            return (self.resolution,)
        scaled = {max(1, round(s * self.resolution / 256 / SIDE_STEP)) * SIDE_STEP for s in MULTI_SCALE_SIDES}
        return tuple(sorted(scaled))

    def batch_at(self, side: int) -> int:
        """Images of a step at this side: as many pixels as at the base resolution."""
        return max(2, round(self.batch_size * (self.resolution / side) ** 2))

    def describe(self) -> str:
        """One line for people."""
        scale = "multi-scale, " if self.multi_scale else ""
        return (
            f"{self.steps} steps of {self.batch_size} images at {self.resolution} px, {scale}AdamW {self.learning_rate:g}, "
            "warm-up and cosine, averaged weights"
        )


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a learning curve.

    Attributes:
        step: optimiser steps so far.
        train_loss: mean since the point before, with label smoothing, of the weights as they went.
        val_loss: cross-entropy in nats on the validation images, of the averaged weights.
        top1: on the same images, in %.
    """

    step: int
    train_loss: float
    val_loss: float
    top1: float


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One training of one network.

    Attributes:
        arch_id: of the network, whatever its number of classes.
        images: key of the images.
        recipe: key of the recipe.
        steps: of the recipe.
        resolution: of the recipe, in pixels.
        seed: of the initial weights and of the order and views of the images.
        val_loss: cross-entropy in nats of the averaged weights on the validation images; None if it failed. The score.
        val_loss_se: its standard error over the validation images.
        top1: in % on the same images; None if it failed.
        num_val: validation images.
        curve: the learning curve.
        images_per_second: of the training steps alone.
        seconds: of all of it.
        device: what it ran on.
        precision: of the matrix products.
        versions: (package, version) pairs that matter.
        taken_at: UTC, ISO 8601.
        failure: why there is no score.
    """

    arch_id: str
    images: str
    recipe: str
    steps: int
    resolution: int
    seed: int
    val_loss: float | None
    val_loss_se: float | None
    top1: float | None
    num_val: int
    curve: tuple[CurvePoint, ...]
    images_per_second: float
    seconds: float
    device: str
    precision: str
    versions: tuple[tuple[str, str], ...]
    taken_at: str
    failure: Failure | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What was trained, on what, how, with which seed; such a training is not done twice."""
        return self.arch_id, self.images, self.recipe, self.seed

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> TrainingRecord:
        """Read what `to_json` wrote.

        Raises:
            ValueError: something else, or numbers that no training gives.
        """
        record = read_plain(cls, data, "record")
        ended = record.val_loss is not None and record.val_loss_se is not None and record.top1 is not None
        if not ended and record.failure is None:
            raise ValueError("training record without a score or a failure")
        counts = (record.steps, record.resolution, record.num_val, record.seconds, record.images_per_second)
        if min((*counts, record.val_loss_se or 0.0)) < 0 or not 0 <= (record.top1 or 0.0) <= 100:
            raise ValueError("training record with a number below zero, or top-1 above 100 %")
        return record
