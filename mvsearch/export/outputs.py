"""Outputs of two networks, side by side: what every check of an export rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvsearch.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor, nn

_IMAGES, _SEED = 2, 20211005


def sample_images(channels: int, resolution: int, batch: int = _IMAGES) -> Tensor:
    """Random images (batch, channels, resolution, resolution) in [0, 1] that networks are compared on, always the same ones."""
    import torch

    return torch.rand(batch, channels, resolution, resolution, generator=torch.Generator().manual_seed(_SEED))


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (B, classes) on the CPU, by the network in eval mode; its mode is put back."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            logits: Tensor = model(images.to(next(model.parameters()).device)).cpu()
            return logits
    finally:
        model.train(was_training)


def differences(expected: Tensor, found: Tensor) -> tuple[float, float]:
    """Largest difference, as it is and relative to the largest expected value."""
    if expected.shape != found.shape:
        raise ExportError(f"outputs of shape `{tuple(found.shape)}` instead of `{tuple(expected.shape)}`")
    largest = (expected - found).abs().max().item()
    scale = expected.abs().max().item()
    return largest, largest / scale if scale else largest


def require_same(expected: Tensor, found: Tensor, most: float, what: str) -> float:
    """The largest difference relative to the largest expected value.

    Args:
        expected: logits (B, classes).
        found: logits of the same images.
        most: the largest relative difference that is allowed.
        what: gave `found`, for the message.

    Raises:
        ExportError: they differ by more, in shape, or are not numbers.
    """
    relative = differences(expected, found)[1]
    # "Not at most" instead of "more than", so that NaN does not pass.
    if not relative <= most:
        raise ExportError(
            f"{what} gives outputs that differ by {relative:.2g} of the largest logit; at most {most:g} is allowed"
        )
    return relative
