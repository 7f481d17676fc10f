"""One network trained by the recipe, from its initial weights to its score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from mvsearch.accuracy.images import ImageSet
from mvsearch.accuracy.trained import CurvePoint, Recipe, TrainingRecord
from mvsearch.accuracy.training.feed import Images, plain_batches, training_batches
from mvsearch.errors import InputError
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Failure

Progress = Callable[[int, int], None]
CHECK_EVERY = 20
"""Steps between looks at the loss: each look makes the processor wait for a GPU."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
EVAL_FACTOR = 2
"""Validation batches are so much larger: they keep no activations for a backward pass."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of the validation images: cross-entropy in nats with its standard error, top-1 in %."""

    loss: float
    se: float
    top1: float


class _NotFiniteError(Exception):
    """The loss has left the numbers."""


def choose_device() -> torch.device:
    """The first GPU that is here, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    spec: ArchSpec,
    images: ImageSet,
    recipe: Recipe,
    seed: int = 0,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> TrainingRecord:
    """Train a network from its initial weights and score it.

    The same seed gives every network the same images in the same order and the same views of them, and every network is
    scored on the same validation images. A loss that is not finite and a device without enough memory are recorded.

    Args:
        spec: the network; its classifier is made for the images' classes.
        images: training and validation images.
        recipe: how.
        seed: of the weights, the order and the views.
        device: where; `choose_device` by default.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: a network that does not take images of three channels, or a recipe's precision that does not exist.
    """
    if spec.in_channels != 3:
        raise InputError(f"a network with `{spec.in_channels}` input channels", "images have 3 channels")
    device = device or choose_device()
    start = time.perf_counter()
    training = _Training(spec, images, recipe, seed, device)
    score, failure = None, None
    try:
        score = training.run(progress)
    except _NotFiniteError:
        failure = Failure("nan", f"the training loss was not finite by step {training.step} of {recipe.steps}")
    except torch.OutOfMemoryError as error:
        failure = Failure("oom", str(error).splitlines()[0])
    finally:
        del training.model, training.averaged
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return TrainingRecord(
        arch_id=spec.arch_id,
        images=images.key,
        recipe=recipe.key,
        steps=recipe.steps,
        resolution=recipe.resolution,
        seed=seed,
        val_loss=score.loss if score else None,
        val_loss_se=score.se if score else None,
        top1=score.top1 if score else None,
        num_val=min(recipe.val_images, len(images.val)),
        curve=tuple(training.curve),
        images_per_second=training.images_seen / max(training.step_seconds, 1e-9),
        seconds=time.perf_counter() - start,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision=str(training.precision).removeprefix("torch."),
        versions=(("torch", str(torch.__version__)),),
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        failure=failure,
    )


class _Training:
    """One training while it runs."""

    def __init__(self, spec: ArchSpec, images: ImageSet, recipe: Recipe, seed: int, device: torch.device) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.precision = _precision(recipe.precision, device)
        self.train_images, self.val_images = Images(images.train, device), Images(images.val, device)
        network = build(spec.with_classes(len(images.classes)), seed=seed)
        self.model = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decay = math.exp(-1 / max(1.0, recipe.average * recipe.steps))
        # The statistics of batch norm are not averaged but taken anew for the averaged weights, which never had any.
        self.averaged = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
        self.curve: list[CurvePoint] = []
        self.step = self.images_seen = 0
        self.step_seconds = 0.0

    def run(self, progress: Progress | None) -> Score:
        recipe = self.recipe
        optimiser = optimiser_of(self.model, recipe, self.device)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, recipe))
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == torch.float16)
        loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        marks = {round(recipe.steps * k / recipe.evaluations) for k in range(1, recipe.evaluations + 1)}
        total, since = torch.zeros((), device=self.device), 0
        score = None
        # A generator seeded by the step's number alone: dropout sees the same whatever was trained before.
        torch.manual_seed(self.seed)
        self.model.train()
        start = time.perf_counter()
        for images, labels in training_batches(self.train_images, recipe, self.seed):
            with self._autocast():
                loss = loss_of(self.model(images).float(), labels)
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
            scaler.step(optimiser)
            scaler.update()
            schedule.step()
            self.averaged.update_parameters(self.model)
            total += loss.detach()
            since += 1
            self.step += 1
            self.images_seen += len(labels)
            if self.step % CHECK_EVERY == 0 or self.step in marks:
                if not torch.isfinite(total):
                    raise _NotFiniteError
                if progress:
                    progress(self.step, recipe.steps)
            if self.step in marks:
                self.step_seconds += time.perf_counter() - start
                score = self._score()
                self.curve.append(CurvePoint(self.step, float(total) / since, score.loss, score.top1))
                total, since = torch.zeros((), device=self.device), 0
                self.model.train()
                start = time.perf_counter()
        assert score is not None, "the last step is marked"
        if not math.isfinite(score.loss):
            raise _NotFiniteError
        return score

    def _score(self) -> Score:
        """Score the averaged weights, with batch norm's statistics from training images in plain view."""
        recipe = self.recipe
        size = EVAL_FACTOR * recipe.batch_size
        with torch.no_grad(), self._autocast():
            seen = plain_batches(self.train_images, recipe.resolution, size, recipe.bn_images)
            update_bn((images for images, _ in seen), self.averaged)
            self.averaged.eval()
            return score_of(self.averaged, plain_batches(self.val_images, recipe.resolution, size, recipe.val_images))

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)


def score_of(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> Score:
    """Score a network in evaluation mode on labelled images."""
    losses, right = [], []
    for images, labels in batches:
        logits = model(images).float()
        losses.append(nn.functional.cross_entropy(logits, labels, reduction="none"))
        right.append(logits.argmax(1) == labels)
    loss, correct = torch.cat(losses).double(), torch.cat(right)
    se = float(loss.std()) / math.sqrt(len(loss)) if len(loss) > 1 else math.nan
    return Score(float(loss.mean()), se, 100 * float(correct.double().mean()))


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step (from 0) over its peak: linear warm-up, then half a cosine down to `final_rate`."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    if step < warm:
        return (step + 1) / warm
    along = min(1.0, (step - warm) / max(1, recipe.steps - warm))
    return recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * along)) / 2


def optimiser_of(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """AdamW; vectors (biases, norms) do not decay."""
    decaying = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=device.type in ("cpu", "cuda"))


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name in PRECISIONS:
        return PRECISIONS[name]
    if name != "auto":
        raise InputError(f"precision `{name}`", f"`auto`, {', '.join(f'`{p}`' for p in PRECISIONS)}")
    if device.type == "cpu":
        return torch.float32  # Few CPUs multiply in half precision.
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
