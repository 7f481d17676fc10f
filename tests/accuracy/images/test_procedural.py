"""Generated images: the same every time, learnable, and not by a linear model of pixels."""

import numpy as np
import pytest

from mvsearch.accuracy.images import load_images, prepare_images
from mvsearch.accuracy.images.procedural import CLASSES, generate


@pytest.fixture(scope="module")
def images():
    return generate()


def test_the_same_seed_gives_the_same_images():
    one, other, third = generate(20, 10, 24), generate(20, 10, 24), generate(20, 10, 24, seed=1)
    assert np.array_equal(one[0].pixels, other[0].pixels) and np.array_equal(one[1].pixels, other[1].pixels)
    assert not np.array_equal(one[0].pixels, third[0].pixels)
    assert not np.array_equal(one[0].pixels[:10], one[1].pixels)


def test_equally_many_of_each_class(images):
    for split, each in zip(images, (200, 50), strict=True):
        assert np.bincount(split.labels).tolist() == [each] * len(CLASSES)
        assert split.pixels.shape == (each * len(CLASSES), 64, 64, 3) and split.pixels.dtype == np.uint8


def correct(features, images):
    """Part of the validation images that ridge regression on features gets right, at its best regularisation."""
    (x, mean_val), (train, val) = [features(s.pixels) for s in images], images
    mean, scale = x.mean(0), x.std(0) + 1e-6
    x, x_val = (x - mean) / scale, (mean_val - mean) / scale
    found = []
    for penalty in (1, 100, 10_000):
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ np.eye(len(CLASSES))[train.labels])
        found.append(float(((x_val @ weights).argmax(1) == val.labels).mean()))
    return max(found)


def pixels(batch):
    return batch.reshape(len(batch), 16, 4, 16, 4, 3).mean((2, 4)).reshape(len(batch), -1)


def textures(batch):
    """Histogram of grey values, and the strongest frequencies by wavelength."""
    grey = batch.mean(-1)
    grey = (grey - grey.mean((1, 2), keepdims=True)) / (grey.std((1, 2), keepdims=True) + 1e-6)
    shades = [((grey > low) & (grey <= low + 0.3)).mean((1, 2)) for low in np.arange(-3, 3, 0.3)]
    spectrum = np.abs(np.fft.fft2(grey))
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64) * 64] * 2)).astype(int)
    waves = [np.log(1e-3 + np.sort(spectrum[:, radius == r], 1)[:, [-1, -3, -5]]) for r in range(1, 20)]
    return np.concatenate([np.stack(shades, 1), *waves], 1)


def test_hard_for_a_linear_model_of_pixels_but_not_for_one_of_textures(images):
    by_pixels, by_textures = correct(pixels, images), correct(textures, images)
    assert by_pixels < 0.3, by_pixels  # Chance is 0.1.
    assert by_textures > 0.5, by_textures


def test_as_the_data_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path))
    cache = prepare_images("procedural", 32)
    assert cache == prepare_images("procedural", 32) and cache.side == 37
    assert cache.note.endswith("procedurally generated: does not rank architectures")
    images = load_images(cache)
    assert (len(images.train), len(images.val), images.classes) == (2000, 500, CLASSES)
    assert images.train.pixels.shape[1:] == (37, 37, 3)
