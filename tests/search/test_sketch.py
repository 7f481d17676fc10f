"""The quick guess: right where it was told, near to the truth elsewhere, and sane on what is degenerate."""

import random

import numpy as np
import pytest

from mvsearch.search.encoding import Encoder, typical_distance
from mvsearch.search.sketch import Sketch
from mvsearch.spec.space_file import load_space
from tests.search.landscape import losses, reduced

SPACE = load_space("mobilevit")


@pytest.fixture(scope="module")
def judged():
    rng = random.Random(0)
    points = [SPACE.random_point(rng) for _ in range(300)]
    return Encoder(SPACE).encode(points), np.array([losses(SPACE.decode(p)) for p in points])


def test_guesses_order_what_they_were_not_told_of(judged):
    features, outputs = judged
    guess = Sketch(features[:200], outputs[:200]).guess(features[200:])
    for k in (0, 1):
        assert np.corrcoef(guess[:, k], outputs[200:, k])[0, 1] > 0.8


def test_guesses_recall_what_they_were_told(judged):
    features, outputs = judged
    error = Sketch(features[:100], outputs[:100]).guess(features[:100]) - outputs[:100]
    assert (np.abs(error) < 0.2 * outputs.std(axis=0)).all()


def test_outputs_have_scales_of_their_own(judged):
    features, outputs = judged
    units = np.array([1e6, 1e-9])
    one = Sketch(features[:50], outputs[:50]).guess(features)
    assert Sketch(features[:50], outputs[:50] * units).guess(features) == pytest.approx(one * units, rel=1e-6)


def test_an_output_that_is_always_the_same(judged):
    features, outputs = judged
    told = np.column_stack([outputs[:50], np.zeros(50)])
    assert (Sketch(features[:50], told).guess(features)[:, 2] == 0).all()


@pytest.mark.parametrize("n", [1, 2])
def test_hardly_anything_told(judged, n):
    features, outputs = judged
    assert np.isfinite(Sketch(features[:n], outputs[:n]).guess(features)).all()


def test_the_same_point_told_many_times(judged):
    features, outputs = judged
    same = np.repeat(features[:1], 20, axis=0)
    guess = Sketch(same, outputs[:20]).guess(features[:1])
    assert guess[0] == pytest.approx(outputs[:20].mean(axis=0), rel=1e-3)


def test_ends_of_a_knob_lie_as_far_apart_as_two_kinds():
    space = reduced(keep=20)
    knobs = [d for d in space.dimensions if len(d.choices) > 1]
    first = {d.name: d.choices[0] for d in space.dimensions}
    encode = Encoder(space).encode
    for d in knobs:
        a, b = encode([first, {**first, d.name: d.choices[-1]}])
        assert np.linalg.norm(a - b) == pytest.approx(1.0)


def test_a_space_without_a_free_knob():
    space = reduced(keep=0)
    features = Encoder(space).encode([{d.name: d.choices[0] for d in space.dimensions}] * 3)
    assert features.shape == (3, 0)
    assert typical_distance(features) == 1.0
    assert Sketch(features, np.ones((3, 2))).guess(features).tolist() == [[1.0, 1.0]] * 3
