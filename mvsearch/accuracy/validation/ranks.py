"""Rank correlations and shares of ordered pairs, with bootstrap intervals over networks.

A bootstrap sample is a vector of how often each network was drawn. Every statistic here takes a matrix of such
vectors and works on all samples at once: copies of one network are tied with each other, as they would be in a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
LEVEL = 0.9
RESAMPLES = 2000
_SINGULAR = 1e-6
"""Share of variance below which ranks count as determined by others."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number with its bootstrap interval.

    Attributes:
        value: on the networks themselves; None where it is not defined (one network, all tied).
        low, high: ends of the central 90 % interval; None where too few samples define the statistic.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def _signs(x: Vector) -> Vector:
    return np.sign(x[:, None] - x[None, :])


def _form(weights: Vector, matrix: Vector) -> Vector:
    """The form w' M w for every row w of `weights`."""
    return np.asarray(((weights @ matrix) * weights).sum(axis=1))


def _ratio(above: Vector, below: Vector) -> Vector:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, nan)


def tau_b(x: Vector, y: Vector, weights: Vector) -> Vector:
    """Kendall's tau-b per sample.

    Args:
        x: (n,).
        y: (n,).
        weights: (samples, n), how often each was drawn.

    Returns:
        (samples,); NaN where all of `x` or all of `y` are tied.
    """
    a, b = _signs(x), _signs(y)
    return _ratio(_form(weights, a * b), np.sqrt(_form(weights, np.abs(a)) * _form(weights, np.abs(b))))


def _ranks(x: Vector, weights: Vector) -> Vector:
    """(samples, n): mean rank of each network within its sample."""
    below = (x[None, :] < x[:, None]) + 0.5 * (x[None, :] == x[:, None])
    return np.asarray(weights @ below.T.astype(np.float64))


def _correlations(columns: list[Vector], weights: Vector) -> Vector:
    """(samples, k, k): correlation matrices of k columns, each (samples, n); NaN where a column is constant."""
    total = weights.sum(axis=1, keepdims=True)
    centred = [c - (weights * c).sum(axis=1, keepdims=True) / total for c in columns]
    k = len(columns)
    covariance = np.empty((len(weights), k, k))
    for i in range(k):
        for j in range(k):
            covariance[:, i, j] = (weights * centred[i] * centred[j]).sum(axis=1)
    spread = np.sqrt(np.einsum("sii->si", covariance))
    return _ratio(covariance, spread[:, :, None] * spread[:, None, :])


def spearman(x: Vector, y: Vector, weights: Vector) -> Vector:
    """Spearman's rho per sample, ties at their mean rank; arguments and result as `tau_b`."""
    return np.asarray(_correlations([_ranks(x, weights), _ranks(y, weights)], weights)[:, 0, 1])


def partial_spearman(x: Vector, y: Vector, given: list[Vector], weights: Vector) -> Vector:
    """Spearman's rho of `x` and `y` that is left when the ranks of `given` are known (linearly) in both.

    NaN where the ranks of `given` determine those of `x` or `y`: with `x` among them, or in samples of few networks.
    """
    matrix = _correlations([_ranks(v, weights) for v in (x, y, *given)], weights)
    usable = np.flatnonzero(np.isfinite(matrix).all(axis=(1, 2)))
    usable = usable[np.linalg.det(matrix[usable, 2:, 2:]) > _SINGULAR]
    both, known = matrix[usable, :2, 2:], matrix[usable, 2:, 2:]
    left = matrix[usable, :2, :2] - both @ np.linalg.solve(known, np.swapaxes(both, 1, 2))
    variances = left[:, 0, 0] * left[:, 1, 1]
    result = np.full(len(weights), nan)
    result[usable] = _ratio(left[:, 0, 1], np.sqrt(np.where(variances > _SINGULAR**2, variances, 0.0)))
    return result


def pairs_right(x: Vector, y: Vector, pairs: Vector, weights: Vector) -> Vector:
    """Share of the chosen pairs that `x` puts in the order of `y` per sample; a tie in `x` counts as half.

    Args:
        x: (n,), what orders.
        y: (n,), the truth.
        pairs: (n, n), symmetric, 1 for the pairs that count. Pairs tied in `y` do not.
        weights: as in `tau_b`.
    """
    a, b = _signs(x), _signs(y)
    counted = pairs * np.abs(b)
    return _ratio(_form(weights, counted * (1 + a * b) / 2), _form(weights, counted))


def draws(n: int, seed: int, resamples: int = RESAMPLES) -> Vector:
    """(resamples, n): how often each of `n` networks is drawn, with replacement, in each bootstrap sample."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def bootstrap(statistic: Callable[[Vector], Vector], n: int, seed: int) -> Statistic:
    """A statistic of n networks with its percentile interval.

    Args:
        statistic: (samples, n) weights -> (samples,).
        n: number of networks.
        seed: of the samples; the same for all statistics, so that they can be compared.
    """
    if n < 2:
        return Statistic(None)
    value = float(statistic(np.ones((1, n)))[0])
    sampled = statistic(draws(n, seed))
    sampled = sampled[np.isfinite(sampled)]
    if not np.isfinite(value):
        return Statistic(None)
    if len(sampled) < RESAMPLES / 2:
        return Statistic(value)
    low, high = np.quantile(sampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Statistic(value, float(low), float(high))


def vector(values: Any) -> Vector:
    """As an array of floats."""
    return np.asarray(list(values), dtype=np.float64)
