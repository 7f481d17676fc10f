"""Generated images for self-tests: ten kinds of patterns that a network can learn and a linear model of pixels cannot.

They need no files and no network access. They say nothing about photographs: an order of architectures found on them
is not to be believed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.images.dataset import Split

SIDE = 64
NUM_TRAIN = 2_000
NUM_VAL = 500
SEED = 0
VERSION = 1
"""Of the generator: other pixels need another number."""
NOTE = "procedurally generated: does not rank architectures"

_Map = NDArray[np.float64]
"""Values on the pixels, about -1 to 1, or coordinates; (side, side)."""


def generate(num_train: int = NUM_TRAIN, num_val: int = NUM_VAL, side: int = SIDE, seed: int = SEED) -> tuple[Split, Split]:
    """Draw training and validation images; classes take turns.

    Colours, position, angle, scale, brightness and noise are drawn anew for every image, and dark and light change
    places in half of them: no pixel by itself tells anything about the class.

    Returns:
        (training, validation).
    """
    rng = np.random.default_rng([seed, side, num_train, num_val])
    return _draw(num_train, side, rng), _draw(num_val, side, rng)


def _draw(count: int, side: int, rng: np.random.Generator) -> Split:
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    pixels = np.empty((count, side, side, 3), np.uint8)
    y, x = np.mgrid[0:side, 0:side] * (2 / side) - 1
    for i, label in enumerate(labels):
        angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.25)
        dx, dy = x - rng.uniform(-0.25, 0.25), y - rng.uniform(-0.25, 0.25)
        u = (np.cos(angle) * dx + np.sin(angle) * dy) * scale
        v = (np.cos(angle) * dy - np.sin(angle) * dx) * scale
        pixels[i] = _coloured(_PATTERNS[int(label)](u, v, rng), x, y, rng)
    return Split(pixels, labels)


def _coloured(pattern: _Map, x: _Map, y: _Map, rng: np.random.Generator) -> NDArray[np.uint8]:
    first, second = rng.uniform(0, 1, (2, 3))
    while np.abs(first - second).max() < 0.4:
        second = rng.uniform(0, 1, 3)
    mix = (np.clip(pattern, -1, 1) + 1)[..., None] / 2
    light = 1 + 0.3 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y)[..., None]
    image = (first * mix + second * (1 - mix)) * light + rng.normal(0, rng.uniform(0.02, 0.12), (*x.shape, 3))
    coloured: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    return coloured


def _sine(phase: _Map) -> _Map:
    values: _Map = np.sin(phase)
    return values


def _polar(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    return np.hypot(u, v), np.arctan2(v, u)


def _stripes(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    return 3 * _sine(rng.uniform(8, 16) * u + rng.uniform(0, 6.3))


def _waves(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    return 3 * _sine(rng.uniform(8, 16) * u + 2.5 * _sine(rng.uniform(4, 7) * v + rng.uniform(0, 6.3)))


def _checks(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    k = rng.uniform(6, 12)
    return 9 * _sine(k * u) * _sine(k * v)


def _dots(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    k = rng.uniform(7, 13)
    return 4 * (_sine(k * u) + _sine(k * v) - 0.8)


def _rings(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    radius, _ = _polar(u, v)
    return 3 * _sine(rng.uniform(10, 18) * radius + rng.uniform(0, 6.3))


def _spiral(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    turns = rng.choice([-3, -2, 2, 3])
    radius, angle = _polar(u, v)
    return 3 * _sine(rng.uniform(6, 12) * radius + turns * angle)


def _star(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    radius, angle = _polar(u, v)
    return 12 * (rng.uniform(0.45, 0.7) * (1 + 0.45 * _sine(rng.integers(4, 7) * angle)) - radius)


def _polygon(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    corner = 2 * np.pi / rng.integers(3, 6)
    radius, angle = _polar(u, v)
    return 12 * (rng.uniform(0.35, 0.6) - radius * _sine(np.mod(angle, corner) + (np.pi - corner) / 2))


def _cells(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    points = rng.uniform(-1.5, 1.5, (24, 2))
    distances = np.partition(np.hypot(u[..., None] - points[:, 0], v[..., None] - points[:, 1]), 1, axis=-1)
    return 12 * (distances[..., 1] - distances[..., 0] - 0.12)


def _julia(u: _Map, v: _Map, rng: np.random.Generator) -> _Map:
    angle = rng.uniform(0, 2 * np.pi)
    c = 0.7885 * np.exp(1j * angle)
    z = 1.4 * (u + 1j * v)
    steps = np.zeros(u.shape)
    for _ in range(14):
        z = np.where(np.abs(z) < 4, z * z + c, z)
        steps += np.abs(z) < 4
    return 2 * _sine(steps * rng.uniform(0.8, 1.2))


_PATTERNS: tuple[Callable[[_Map, _Map, np.random.Generator], _Map], ...] = (
    _stripes, _waves, _checks, _dots, _rings, _spiral, _star, _polygon, _cells, _julia,
)  # fmt: skip
CLASSES = tuple(p.__name__.lstrip("_") for p in _PATTERNS)
"""Names, in the order of the labels."""
