"""Random and plain views of stored images, made on the device that trains: bytes in, normalised floats out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's channels, as most published weights expect them."""
STD = (0.229, 0.224, 0.225)
RATIO = (3 / 4, 4 / 3)
"""Range of a random crop's width over height, as in the Inception recipe that MobileViT uses."""


@dataclass(frozen=True, slots=True)
class Views:
    """A crop per image: half extents and centre in the stored image's coordinates from -1 to 1; negative width mirrors.

    Attributes:
        half_width, half_height, x, y: shape (B,).
    """

    half_width: Tensor
    half_height: Tensor
    x: Tensor
    y: Tensor


def random_views(count: int, crop: float, flip: bool, generator: torch.Generator) -> Views:
    """Random crops of at least `crop` of the area, of random aspect, half of them mirrored.

    Drawn on the CPU, so that every device sees the same.

    Args:
        count: images.
        crop: smallest share of the area.
        flip: whether to mirror.
        generator: of the random numbers; always as many are drawn.
    """
    area, aspect, x, y, mirror = torch.rand(5, count, generator=generator)
    area = crop + (1 - crop) * area
    root = torch.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * aspect).sqrt()
    half_width, half_height = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if flip else torch.ones(count)
    return Views(half_width * sign, half_height, (2 * x - 1) * (1 - half_width), (2 * y - 1) * (1 - half_height))


def plain_views(count: int, stored: int, resolution: int) -> Views:
    """The centre at one pixel per pixel or, of an image stored smaller than that, all of it."""
    half = torch.full((count,), min(1.0, resolution / stored))
    zero = torch.zeros(count)
    return Views(half, half, zero, zero)


def render(pixels: Tensor, views: Views, resolution: int) -> Tensor:
    """Cut out the views, bilinear, and normalise.

    Args:
        pixels: uint8 (B, S, S, 3) on the device.
        views: of the B images.
        resolution: side of the result in pixels.

    Returns:
        float32 (B, 3, resolution, resolution), channels last in memory.
    """
    images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    stored = pixels.shape[1]
    if stored != resolution or not bool((views.half_width == 1).all() and (views.half_height == 1).all()):
        # Border values beyond the border: a sample half a pixel outside is no black line.
        images = functional.grid_sample(
            images, _grid(views, resolution, pixels.device), padding_mode="border", align_corners=False
        )
    # By channel, while each of them is contiguous: with the channels innermost this takes several times as long.
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        images[:, channel].sub_(255 * mean).mul_(1 / (255 * std))
    return images.contiguous(memory_format=torch.channels_last)


def _grid(views: Views, resolution: int, device: torch.device) -> Tensor:
    """Where each pixel of the views comes from, (B, resolution, resolution, 2), in coordinates from -1 to 1."""
    centres = (torch.arange(resolution) + 0.5) * (2 / resolution) - 1
    x = (views.half_width[:, None] * centres + views.x[:, None]).to(device, non_blocking=True)
    y = (views.half_height[:, None] * centres + views.y[:, None]).to(device, non_blocking=True)
    grid = torch.empty(len(x), resolution, resolution, 2, device=device)
    grid[..., 0], grid[..., 1] = x[:, None, :], y[:, :, None]
    return grid
