"""Beliefs against what was observed: taken over where they come true, corrected where they are off, dropped where they lie."""

import math
import random

import numpy as np
import pytest

from mvsearch.search.correction import Correction
from mvsearch.search.encoding import Encoder
from mvsearch.spec.space_file import load_space
from tests.search.landscape import losses

SPACE = load_space("mobilevit")
NUM_OBSERVED = 60


@pytest.fixture(scope="module")
def landscape():
    """Features, true values, and what biases depend on: (features, truth, one knob from -1 to 1, noise of sd 1)."""
    rng = random.Random(0)
    points = [SPACE.random_point(rng) for _ in range(260)]
    truth = np.array([losses(SPACE.decode(p))[1] for p in points])
    features = Encoder(SPACE).encode(points)
    depth = np.array([2.0 * p["stage4.channels"] for p in points])
    knob = np.interp(depth, (depth.min(), depth.max()), (-1, 1))
    return features, truth, knob, np.random.default_rng(0).standard_normal(len(points))


def learned(features, believed, observed, n=NUM_OBSERVED):
    """(forecast, truth) of what was held out."""
    forecast = Correction(features[:n], believed[:n], observed[:n]).forecast(features[n:], believed[n:])
    return forecast, observed[n:]


def rms(errors):
    return math.sqrt(float((errors**2).mean()))


def test_beliefs_that_come_true_are_taken_over(landscape):
    features, truth, _, _ = landscape
    forecast, held_out = learned(features, truth, truth)
    assert (forecast.mean == held_out).all()
    assert (forecast.sd == 0).all()


def test_one_that_does_not_come_true_ends_the_trust(landscape):
    features, truth, _, _ = landscape
    observed = truth.copy()
    observed[7] *= 1.001
    forecast, _ = learned(features, truth, observed)
    assert (forecast.sd > 0).all()
    assert forecast.mean == pytest.approx(truth[NUM_OBSERVED:], rel=0.01)


BIASES = {
    "constant": lambda t, knob, noise: t + 2 * t.std(),
    "linear in a knob": lambda t, knob, noise: t + t.std() * knob,
    "bent in a knob": lambda t, knob, noise: t + t.std() * np.cos(3 * knob),
    "scale": lambda t, knob, noise: 1.6 * t,
    "sign": lambda t, knob, noise: -t,
    "offset and scale and noise": lambda t, knob, noise: 0.7 * t + 5 + 0.1 * t.std() * noise,
    "linear, with noise": lambda t, knob, noise: t + t.std() * knob + 0.2 * t.std() * noise,
}


@pytest.mark.parametrize("bias", BIASES)
def test_a_bias_is_corrected(landscape, bias):
    features, truth, knob, noise = landscape
    believed = BIASES[bias](truth, knob, noise)
    forecast, held_out = learned(features, believed, truth)
    assert rms(forecast.mean - held_out) < 0.8 * rms(believed[NUM_OBSERVED:] - held_out)
    assert_covers(forecast, held_out)


def assert_covers(forecast, held_out):
    """Two standard deviations hold 95 % of a normal law; 200 points that share their fit say it roughly."""
    inside = (np.abs(held_out - forecast.mean) <= 2 * forecast.sd + 1e-9).mean()
    assert inside >= 0.85
    # Nor is the doubt out of all proportion.
    assert np.median(forecast.sd) < 4 * rms(held_out - forecast.mean) + 0.01 * held_out.std()


def test_noise_alone_leaves_the_belief(landscape):
    """Measurements scatter around what is believed: nothing is to be learned but by how much."""
    features, truth, _, noise = landscape
    sigma = 0.3 * truth.std()
    forecast, held_out = learned(features, truth, truth + sigma * noise)
    assert rms(forecast.mean - truth[NUM_OBSERVED:]) < 0.5 * sigma
    assert np.median(forecast.sd) == pytest.approx(sigma, rel=0.5)
    assert_covers(forecast, held_out)


def test_beliefs_that_mislead_are_taken_back(landscape):
    features, truth, _, noise = landscape
    believed = truth.mean() + truth.std() * noise
    forecast, held_out = learned(features, believed, truth)
    without, _ = learned(features, np.zeros(len(truth)), truth)
    assert rms(forecast.mean - held_out) < 0.5 * rms(believed[NUM_OBSERVED:] - held_out)
    assert rms(forecast.mean - held_out) < 1.2 * rms(without.mean - held_out)
    assert_covers(forecast, held_out)


def test_without_beliefs_it_learns_from_the_knobs(landscape):
    features, truth, _, _ = landscape
    forecast, held_out = learned(features, np.zeros(len(truth)), truth)
    assert rms(forecast.mean - held_out) < 0.8 * truth.std()
    assert_covers(forecast, held_out)


def test_more_observations_correct_better(landscape):
    features, truth, knob, noise = landscape
    believed = BIASES["linear, with noise"](truth, knob, 0.2 * noise)
    errors = []
    for n in (8, 30, 120):
        forecast, held_out = learned(features, believed, truth, n)
        errors.append(rms(forecast.mean[-100:] - held_out[-100:]))
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_observations_do(landscape, n):
    features, truth, _, _ = landscape
    for believed in (np.zeros(len(truth)), truth + 1.0, truth * 1.1):
        forecast, _ = learned(features, believed, truth, n)
        assert np.isfinite(forecast.mean).all()
        assert (forecast.sd > 0).all()
        assert np.isfinite(forecast.sd).all()


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-6, 1e9])
def test_observations_that_are_all_alike(landscape, value):
    features, _, _, _ = landscape
    observed = np.full(len(features), value)
    forecast, held_out = learned(features, np.zeros(len(features)), observed)
    assert forecast.mean == pytest.approx(held_out, rel=1e-3)
    assert np.isfinite(forecast.sd).all()


def test_knobs_that_never_varied(landscape):
    _, truth, _, _ = landscape
    forecast, held_out = learned(np.zeros((len(truth), 4)), truth + 1.0, truth)
    assert forecast.mean == pytest.approx(held_out, rel=0.01)


def test_units_do_not_matter(landscape):
    """Milliseconds or hours: the same corrections."""
    features, truth, knob, noise = landscape
    believed = BIASES["linear, with noise"](truth, knob, noise)
    one, _ = learned(features, believed, truth)
    other, _ = learned(features, believed * 1e-6, truth * 1e-6)
    assert other.mean * 1e6 == pytest.approx(one.mean, rel=1e-6)
    assert other.sd * 1e6 == pytest.approx(one.sd, rel=1e-6)
