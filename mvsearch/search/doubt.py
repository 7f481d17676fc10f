"""How sure the front is: who is on it, whether the runner-up is the better choice, and whom to measure again.

Everything is counted over draws from a law of what is not known (`search.law` says which errors are shared). A network
is on the true front if it keeps the latency budget and no other evaluated one is as accurate and as fast. Draws have a
fixed seed: the same run gives the same probabilities, to within 0.022 (two standard errors) at the most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mvsearch.accuracy.calibration import TIE_THRESHOLD
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.search.law import APART, PER_DEPARTURE, PER_POINT, SHARED, SHARED_GAP, Array, Figures, law_of, sigma

DRAWS = 2000
SEED = 20261121
MAX_RIVALS = 1000
"""Candidates off the front that may displace a member: those that most likely do so in a comparison of two.

What is left out makes members look surer: of 3,000 trials within 2 M parameters, the probabilities of 41 members summed
to 1.0 with 1,000 rivals and to 0.74 with all 2,958.
"""
LEAST_RIVAL = 1e-3
"""Probability to beat a member in both below which a candidate is no rival of it."""
CLEAR = 0.05
"""A network is clear of doubt where its place is sure to this probability, on one side or the other."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Doubt:
    """How sure a front is.

    Attributes:
        on_front: probability of every member to be on the true front.
        runner_up_better: probability that the runner-up is the better choice; None without one.
    """

    on_front: tuple[float, ...]
    runner_up_better: float | None = None


def front_doubt(
    members: Sequence[Figures],
    others: Sequence[Figures],
    limit_ms: float = math.inf,
    winner: int | None = None,
    runner_up: int | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Doubt:
    """How sure a front is.

    Args:
        members: of the front.
        others: every other evaluated network within the budgets; of these, `MAX_RIVALS` are drawn with the members.
        limit_ms: the latency budget.
        winner: its place among the members.
        runner_up: its place; it is better where the rule of choice takes it of the two, see `prefers`.
        draws: how many.
        seed: of the draws.
    """
    if not members:
        return Doubt(())
    known = [*members, *(others[i] for i in rivals(members, others))]
    top1, log_ms = law_of(known).draw(draws, seed)
    limit = math.log(limit_ms)
    on = membership(top1, log_ms, range(len(members)), limit).mean(axis=0)
    better = None
    if winner is not None and runner_up is not None:
        better = float(prefers(top1, log_ms, runner_up, winner, limit).mean())
    return Doubt(tuple(map(float, on)), better)


def rivals(members: Sequence[Figures], others: Sequence[Figures], count: int = MAX_RIVALS) -> list[int]:
    """Which of the others may displace a member, most likely ones first: by the law of two that share no departure."""
    if not others:
        return []
    values, own = _arrays(members, others, lambda k: (k.top1.value, sigma(k.top1)))
    log_ms, noise = _arrays(members, others, lambda k: (math.log(k.latency.value), sigma(k.latency)))
    m = len(members)
    departed = np.maximum(own**2 - load_estimator().sigma ** 2, 0.0)
    gap, ahead = values[m:] - values[:m, None], log_ms[:m, None] - log_ms[m:]
    apart = PER_POINT * np.abs(gap) + PER_DEPARTURE * (departed[:m, None] + departed[m:]) + APART
    shared = SHARED * np.exp(-np.abs(ahead) / SHARED_GAP) * noise[:m, None] * noise[m:]
    spread = noise[:m, None] ** 2 + noise[m:] ** 2 - 2 * shared
    beats = (_below(gap / np.sqrt(apart)) * _below(ahead / np.sqrt(np.maximum(spread, 1e-12)))).max(axis=0)
    order = np.argsort(-beats, kind="stable")[:count]
    return [int(i) for i in order if beats[i] >= LEAST_RIVAL]


def _arrays(members: Sequence[Figures], others: Sequence[Figures], numbers: Callable[[Figures], tuple[float, float]]) -> Array:
    return np.array([numbers(k) for k in (*members, *others)]).T


def membership(top1: Array, log_ms: Array, members: Sequence[int], log_limit: float = math.inf) -> Mask:
    """Who is on the front of every draw.

    Args:
        top1: (draws, n), to maximise.
        log_ms: (draws, n), to minimise.
        members: m columns that are asked for.
        log_limit: of the latency budget; what keeps it is beaten by nothing that does not.

    Returns:
        (draws, m).
    """
    result = np.empty((len(log_ms), len(members)), dtype=bool)
    for k, i in enumerate(members):
        a, t = top1[:, i : i + 1], log_ms[:, i : i + 1]
        beaten = (top1 >= a) & (log_ms <= t) & ((top1 > a) | (log_ms < t))
        result[:, k] = ~beaten.any(axis=1) & (t[:, 0] <= log_limit)
    return result


def prefers(top1: Array, log_ms: Array, a: int, b: int, log_limit: float = math.inf) -> Mask:
    """Whether the rule of choice takes `a` and not `b`, (draws,).

    That is if `a` keeps the budget and `b` does not, or else is more accurate by `TIE_THRESHOLD`, or less than that
    apart and faster.
    """
    gap = top1[:, a] - top1[:, b]
    better = (gap >= TIE_THRESHOLD) | ((np.abs(gap) < TIE_THRESHOLD) & (log_ms[:, a] < log_ms[:, b]))
    return np.asarray((log_ms[:, a] <= log_limit) & (better | (log_ms[:, b] > log_limit)))


def to_repeat(
    gains: Sequence[float],
    log_ms: Sequence[float],
    sigmas: Sequence[float],
    log_limit: float = math.inf,
    tie: Sequence[int] = (),
    draws: int = DRAWS,
    seed: int = SEED,
) -> list[int]:
    """Measured networks whose place is in doubt for the measurements' noise alone, so that repeats can settle it.

    Gains and predictions are taken as they are: no repeat tells more about them. In doubt is who is on the front, or
    the fastest of the tie, with a probability strictly between `CLEAR` and 1 - `CLEAR`. A place on the front has to be in
    doubt among the measured networks alone as well: what a prediction leaves open, no repeat settles.

    Args:
        gains: what the front maximises, of every network within the counted budgets.
        log_ms: logs of their latencies as they are compared.
        sigmas: of the measured ones' errors, independent of each other; 0 for a prediction.
        log_limit: of the latency budget.
        tie: networks of which the fastest wins.
        draws: how many.
        seed: of the draws.
    """
    noise, x, gain = np.array(sigmas), np.array(log_ms), np.array(gains)
    measured = [i for i, s in enumerate(sigmas) if s > 0]
    if not measured:
        return []
    # A prediction beaten beyond noise by another network can beat nobody: it need not be drawn.
    kept = sorted({*measured, *_undominated(gain, x, noise)})
    place = {i: k for k, i in enumerate(kept)}
    errors = np.random.default_rng(seed).standard_normal((draws, len(measured)))
    drawn = np.tile(x[kept], (draws, 1))
    columns = [place[i] for i in measured]
    drawn[:, columns] += errors * noise[measured]
    on = membership(np.tile(gain[kept], (draws, 1)), drawn, columns, log_limit).mean(axis=0)
    alone = membership(np.tile(gain[measured], (draws, 1)), drawn[:, columns], range(len(measured)), log_limit).mean(axis=0)
    doubtful = {i for i, p, q in zip(measured, on, alone, strict=True) if all(CLEAR < x < 1 - CLEAR for x in (p, q))}
    tied = [i for i in tie if noise[i] > 0]
    if len(tied) > 1:
        first = drawn[:, [place[i] for i in tied]].argmin(axis=1)
        shares = np.bincount(first, minlength=len(tied)) / draws
        doubtful |= {i for i, p in zip(tied, shares, strict=True) if CLEAR < p < 1 - CLEAR}
    return sorted(doubtful)


def _undominated(gain: Array, log_ms: Array, noise: Array) -> list[int]:
    """Predictions that no other prediction beats."""
    best, kept = -math.inf, []
    for i in np.lexsort((-gain, log_ms)):
        if noise[i] == 0 and gain[i] > best:
            best = float(gain[i])
            kept.append(int(i))
    return kept


_Z = np.linspace(-8.0, 8.0, 3201)
_CDF = np.array([NormalDist().cdf(float(z)) for z in _Z])


def _below(z: Array) -> Array:
    return np.asarray(np.interp(z, _Z, _CDF))
