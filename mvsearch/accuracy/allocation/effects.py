"""Effects of knobs from trained networks: a weighted linear model on signed steps, with errors from replicates.

A network's result is the base's, plus each knob's effect times its step, plus what the line misses of this
network (variance `misfit`), plus the noise of a seed. The noise is taken from networks trained with several
seeds; the misfit from what the line leaves over beyond that (method of moments, Paule and Mandel 1982). Where it
leaves nothing over, both are pooled. Tests of many knobs are corrected by Holm's step-down rule (1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvsearch.errors import InputError

Array = NDArray[np.floating[Any]]
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Observation:
    """One network and what its trainings gave.

    Attributes:
        name: of the network.
        steps: knob -> signed step away from the base.
        values: one result per seed, already corrected for what is not the knobs'.
    """

    name: str
    steps: Mapping[str, float]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What one step of a knob does.

    Attributes:
        knob: its name.
        value: change of the result per step (per doubling, for knobs that are ratios).
        se: its standard error, seeds and misfit of the line included.
        t: their ratio.
        p: two-sided, of this knob alone.
        p_holm: corrected for the number of knobs.
        networks: how many differ in this knob.
        trainings: of these.
    """

    knob: str
    value: float
    se: float
    t: float
    p: float
    p_holm: float
    networks: int
    trainings: int

    @property
    def significant(self) -> bool:
        """At 5 % over all knobs together."""
        return self.p_holm < LEVEL


@dataclass(frozen=True, slots=True)
class EffectFit:
    """All effects on one result.

    Attributes:
        effects: of the knobs that the networks determine, in the order asked for.
        undetermined: knobs that they do not.
        intercept: the base's result by the line.
        noise: standard deviation of one training over seeds; None without replicates.
        noise_dof: degrees of freedom of that.
        misfit: standard deviation of what the line misses of a network beyond noise.
        dof: degrees of freedom of the tests.
        networks, trainings: how many went in.
    """

    effects: tuple[Effect, ...]
    undetermined: tuple[str, ...]
    intercept: float
    noise: float | None
    noise_dof: int
    misfit: float
    dof: int
    networks: int
    trainings: int

    def effect(self, knob: str) -> Effect | None:
        """Of one knob, if it is determined."""
        return next((e for e in self.effects if e.knob == knob), None)


def fit_effects(observations: Sequence[Observation], knobs: Sequence[str]) -> EffectFit:
    """Fit the line.

    Args:
        observations: networks, the base among them.
        knobs: whose effects are wanted; all that any network differs in.

    Raises:
        InputError: too few networks for any effect and its error.
    """
    means = np.array([np.mean(o.values) for o in observations])
    counts = np.array([len(o.values) for o in observations], dtype=float)
    within = float(sum(np.sum((np.array(o.values) - np.mean(o.values)) ** 2) for o in observations))
    noise_dof = int(counts.sum()) - len(observations)
    steps = np.array([[o.steps.get(k, 0.0) for k in knobs] for o in observations])
    design = np.column_stack([np.ones(len(observations)), steps])
    known = _determined(design)
    rank = int(np.linalg.matrix_rank(design))
    spare = len(observations) - rank
    if spare < 1 or not known[0]:
        raise InputError(
            f"`{len(observations)}` trained networks", f"more than {rank}, the base among them: train more of them"
        )
    noise = within / noise_dof if noise_dof else None
    coefficients, covariance, misfit, dof = _weighted(design, means, counts, noise, within, noise_dof, spare)
    keep = [i for i, ok in enumerate(known[1:], 1) if ok]
    errors = np.sqrt(np.diag(covariance))
    p = [_two_sided(coefficients[i] / errors[i], dof) for i in keep]
    effects = []
    for i, own, corrected in zip(keep, p, holm(p), strict=True):
        moved = steps[:, i - 1] != 0
        effects.append(
            Effect(
                knob=knobs[i - 1],
                value=float(coefficients[i]),
                se=float(errors[i]),
                t=float(coefficients[i] / errors[i]),
                p=own,
                p_holm=corrected,
                networks=int(moved.sum()),
                trainings=int(counts[moved].sum()),
            )
        )
    return EffectFit(
        effects=tuple(effects),
        undetermined=tuple(k for k, ok in zip(knobs, known[1:], strict=True) if not ok),
        intercept=float(coefficients[0]),
        noise=None if noise is None else sqrt(noise),
        noise_dof=noise_dof,
        misfit=sqrt(misfit),
        dof=dof,
        networks=len(observations),
        trainings=int(counts.sum()),
    )


def _determined(design: Array) -> list[bool]:
    """Which coefficients the rows determine: those whose axis lies in the space that the rows span."""
    _, singular, vt = np.linalg.svd(design, full_matrices=False)
    rows = vt[singular > singular[0] * 1e-9]
    return [bool(abs(1 - np.sum(rows[:, i] ** 2)) < 1e-9) for i in range(design.shape[1])]


def _weighted(
    design: Array, means: Array, counts: Array, noise: float | None, within: float, noise_dof: int, spare: int
) -> tuple[Array, Array, float, int]:
    """(coefficients, covariance, misfit variance, degrees of freedom of the tests)."""

    def solve(variances: Array) -> tuple[Array, Array, float]:
        information: Array = np.linalg.pinv(design.T @ (design / variances[:, None]), rcond=1e-10, hermitian=True)
        coefficients: Array = information @ (design.T @ (means / variances))
        return coefficients, information, float(np.sum((means - design @ coefficients) ** 2 / variances))

    if noise is None or noise == 0.0:
        # One training each: what the line leaves over is all the error there is.
        coefficients, information, left = solve(1 / counts)
        scale = left / spare
        return coefficients, scale * information, 0.0 if noise is None else scale, spare
    coefficients, information, left = solve(noise / counts)
    if left <= spare:
        dof = noise_dof + spare
        pooled = (within + left * noise) / dof
        return coefficients, information * (pooled / noise), 0.0, dof
    low, high = 0.0, noise
    while solve(high + noise / counts)[2] > spare:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if solve(middle + noise / counts)[2] > spare else (low, middle)
    coefficients, information, _ = solve(high + noise / counts)
    return coefficients, information, high, spare


def _two_sided(t: float, dof: int) -> float:
    from scipy.stats import t as student

    return float(2 * student.sf(abs(t), dof))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the share of false alarms over all tests stays below the level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = highest
    return corrected
