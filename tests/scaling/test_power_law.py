"""Planted power laws are recovered, and intervals cover as often as they say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mvsearch.scaling.power_law import choose_law, fit_power, fit_with_prior
from mvsearch.scaling.prior import PRIOR_INPUTS, load_prior, load_series
from mvsearch.scaling.prior_fit import held_out

DRAWS = 300


def planted(rng, n, offset, sd):
    """(x, y, law) of a power law with noise of this standard deviation in ln y."""
    exponent = -rng.uniform(0.3, 0.8) if offset else -rng.uniform(0.1, 0.6)
    value = rng.uniform(10, 20)
    x = np.exp(np.linspace(0, 3, n)) * 1e6

    def law(x):
        return value * (x / 3e6) ** exponent + offset

    return x, law(x) * np.exp(sd * rng.standard_normal(n)), law, exponent


@pytest.mark.parametrize(("n", "offset", "sd"), [(4, 0, 0.02), (8, 0, 0.01), (8, 12, 0.005), (15, 12, 0.01)])
def test_nominal_coverage_of_exponent_law_and_next_network(n, offset, sd):
    rng = np.random.default_rng(n + offset)
    hits = np.zeros(3)
    for _ in range(DRAWS):
        x, y, law, exponent = planted(rng, n, offset, sd)
        fitted, _ = choose_law(x.tolist(), y.tolist())
        beyond = [float(x.max() * 2)]
        low, high, new_low, new_high = (float(b[0]) for b in fitted.bands(beyond))
        truth = float(law(beyond[0]))
        least, most = fitted.exponent_interval()
        hits += least <= exponent <= most, low <= truth <= high, new_low <= truth * math.exp(sd * rng.normal()) <= new_high
    assert (hits / DRAWS >= 0.85).all(), hits / DRAWS
    assert (hits / DRAWS <= 0.95).all(), hits / DRAWS


def test_without_noise_the_law_comes_back():
    x = np.geomspace(1e6, 2e7, 7)
    fitted, _ = choose_law(x.tolist(), (8 * (x / 4e6) ** -0.6 + 14).tolist())
    assert fitted.exponent == pytest.approx(-0.6, abs=1e-3)
    assert fitted.offset == pytest.approx(14, abs=0.05)
    assert fitted.r2 == pytest.approx(1)
    pure, _ = choose_law(x.tolist(), (8 * (x / 4e6) ** -0.6).tolist())
    assert pure.exponent == pytest.approx(-0.6, abs=1e-6)
    assert pure.offset == pytest.approx(0, abs=1e-6)


def test_a_growing_law_and_a_constant_are_fitted_too():
    x = np.geomspace(1e8, 1e9, 8)
    fitted, _ = choose_law(x.tolist(), (1.5 * (x / 3e8) ** 0.7 + 0.8).tolist())
    assert fitted.exponent == pytest.approx(0.7, abs=0.01)
    flat, _ = choose_law(x.tolist(), [3.0] * 8)
    assert flat.exponent == pytest.approx(0)


def test_two_points_without_a_prior_know_no_interval():
    law = fit_power([1e6, 2e6], [30.0, 25.0])
    assert law.sd is None
    assert law.exponent_interval() == (-math.inf, math.inf)
    assert law.bands([4e6])[1][0] == math.inf


@pytest.mark.parametrize("x", PRIOR_INPUTS)
def test_the_shipped_prior_predicts_sizes_it_has_not_seen(x):
    """The prior has seen these series; the check without them is `python -m mvsearch.scaling.prior_fit`."""
    prior = load_prior(x)
    checks = [c for sizes in load_series().values() for c in held_out(sizes, x, replace(prior, drift=0.0))]
    inside = [abs(e) <= 1.645 * math.sqrt(v + prior.drift**2 * d) for e, v, d in checks]
    assert len(inside) == 75
    assert 0.85 <= sum(inside) / len(inside) <= 0.97


def test_a_prior_gives_way_to_many_points():
    rng = np.random.default_rng(0)
    x = np.geomspace(1e6, 3e7, 400)
    y = (6 * (x / 4e6) ** -1.1 + 19) * np.exp(0.01 * rng.standard_normal(400))
    law = fit_with_prior(x.tolist(), y.tolist(), load_prior("params"))
    assert law.offset == pytest.approx(19, abs=0.5)
