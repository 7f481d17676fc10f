"""Effects: found again from simulated trainings, with errors that mean what they say."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from mvsearch.accuracy.allocation.design import BASE_NAME, KNOB_NAMES, design
from mvsearch.accuracy.allocation.effects import EffectFit, Observation, fit_effects, holm
from mvsearch.errors import InputError

TRUTH = {"total depth": 2.0, "heads": 0.5, "FFN ratio": -1.0, "without residual": -1.5}
SIMULATIONS = 120


def simulate(noise: float, misfit: float, seeds: int, random: np.random.Generator) -> EffectFit:
    """The design trained with so many seeds (the base with four), with `TRUTH` as effects."""
    observations = []
    for c in design():
        mean = 60 + sum(TRUTH.get(k, 0.0) * step for k, step in c.steps.items()) + misfit * random.standard_normal()
        n = 4 if c.name == BASE_NAME else seeds
        observations.append(Observation(c.name, c.steps, tuple(mean + noise * random.standard_normal(n))))
    return fit_effects(observations, KNOB_NAMES)


@lru_cache
def simulations(noise: float, misfit: float, seeds: int) -> tuple[EffectFit, ...]:
    random = np.random.default_rng(1)
    return tuple(simulate(noise, misfit, seeds, random) for _ in range(SIMULATIONS))


def test_without_noise_the_truth() -> None:
    fit = simulate(0.0, 0.0, 1, np.random.default_rng(0))
    assert fit.intercept == pytest.approx(60)
    assert {e.knob: e.value for e in fit.effects} == pytest.approx({k: TRUTH.get(k, 0.0) for k in KNOB_NAMES}, abs=1e-9)
    assert fit.undetermined == ()


@pytest.mark.parametrize(("noise", "misfit", "seeds"), [(0.6, 0.0, 1), (0.6, 0.0, 2), (0.6, 1.0, 2), (0.6, 1.0, 1)])
def test_errors_cover(noise: float, misfit: float, seeds: int) -> None:
    inside, biases = [], []
    for fit in simulations(noise, misfit, seeds):
        half = student.ppf(0.975, fit.dof)
        inside += [abs(e.value - TRUTH.get(e.knob, 0.0)) < half * e.se for e in fit.effects]
        biases.append([e.value - TRUTH.get(e.knob, 0.0) for e in fit.effects])
    print(f"noise {noise}, misfit {misfit}, {seeds} seeds: 95 % intervals cover {np.mean(inside):.1%}")
    assert 0.925 < np.mean(inside) < 0.985
    assert np.all(np.abs(np.mean(biases, axis=0)) < 4 * np.std(biases, axis=0) / np.sqrt(SIMULATIONS))


def test_noise_and_misfit_are_told_apart() -> None:
    fits = simulations(0.6, 1.0, 2)
    assert np.median([f.noise for f in fits]) == pytest.approx(0.6, rel=0.1)  # type: ignore[type-var]
    assert np.median([f.misfit for f in fits]) == pytest.approx(1.0, rel=0.15)
    assert np.median([f.misfit for f in simulations(0.6, 0.0, 2)]) < 0.25


def test_false_alarms_are_rare_over_all_knobs_together() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(SIMULATIONS):
        observations = [
            Observation(c.name, c.steps, tuple(60 + random.standard_normal(4 if c.name == BASE_NAME else 2))) for c in design()
        ]
        alarms += any(e.significant for e in fit_effects(observations, KNOB_NAMES).effects)
    assert alarms / SIMULATIONS < 0.12


def test_large_effects_are_found() -> None:
    fits = simulations(0.6, 0.0, 2)
    found = np.mean([[f.effect(k).significant for k in ("total depth", "without residual")] for f in fits])  # type: ignore[union-attr]
    assert found > 0.9


def test_a_half_trained_design_tells_what_it_does_not_know() -> None:
    first = [Observation(c.name, c.steps, (60.0 + i % 3,)) for i, c in enumerate(design()[:20])]
    fit = fit_effects(first, KNOB_NAMES)
    assert "separable attention" in fit.undetermined
    assert fit.effect("separable attention") is None
    assert fit.effect("heads") is not None
    assert fit.noise is None


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_networks_are_refused(count: int) -> None:
    few = [Observation(c.name, c.steps, (60.0,)) for c in design()[:count]]
    with pytest.raises(InputError, match="trained networks"):
        fit_effects(few, KNOB_NAMES)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_none_and_bonferroni(p: list[float]) -> None:
    for own, corrected in zip(p, holm(p), strict=True):
        assert own <= corrected <= min(1.0, own * len(p)) + 1e-12
