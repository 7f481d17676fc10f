"""Power laws by least squares in logarithms, with bands: `y = a (x / x0)^b + c`. Pure functions of arrays.

Three ways, for three amounts of evidence:

* a pure power law (c = 0): a straight line in the logarithms, its bands by Student's t;
* with an offset c >= 0: what no size buys. By Gauss and Newton, bands to first order (delta method);
* with a prior on b and c: for a handful of points, which cannot tell a slope from an offset.

Which of the first two is said by an F test of the offset at `PRETEST`, from `FEWEST_FOR_OFFSET` points on. The level is
lenient on purpose: what is fitted is used to predict, and a law that overlooks an offset covers far less than it says.
AICc overlooks it more often: of six points with 1 % of noise it finds one in twenty (README.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVEL = 0.9
FEWEST_FOR_OFFSET = 5
PRETEST = 0.25
"""Probability with which an offset is seen where none is (half of that in fact, for an offset is never negative)."""
_STEPS, _TOLERANCE = 200, 1e-10


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a law before its points are seen.

    Attributes:
        exponent, sd_log_exponent: median of -b, and standard deviation of its logarithm.
        offset, sd_offset: expected c, in the unit of y, and standard deviation.
        sd: of the residuals of ln y.
        drift: standard deviation of ln y by which a family leaves its law per root of ln x beyond its points.
    """

    exponent: float
    sd_log_exponent: float
    offset: float
    sd_offset: float
    sd: float
    drift: float


@dataclass(frozen=True, slots=True, eq=False)
class PowerLaw:
    """A fitted law.

    Attributes:
        log_value: ln(a), the law less its offset at `scale`.
        exponent: b.
        offset: c.
        scale: geometric mean of the fitted x.
        x_low, x_high: ends of the fitted x.
        covariance: of (ln a, b, c); zeros for a c that was not fitted.
        n, freedom: points, and degrees of freedom of the residuals; infinite with a prior.
        sd: of the residuals of ln y; None without a degree of freedom.
        r2: share of the variance of ln y that is explained; None for two points.
        drift: see `Prior`; 0 without one.
    """

    log_value: float
    exponent: float
    offset: float
    scale: float
    x_low: float
    x_high: float
    covariance: Array
    n: int
    freedom: float
    sd: float | None
    r2: float | None
    drift: float = 0.0

    def at(self, x: Sequence[float] | Array) -> Array:
        """Best guess of y."""
        power = np.exp(self.log_value + self.exponent * np.log(np.asarray(x) / self.scale))
        return np.asarray(power + self.offset)

    def bands(self, x: Sequence[float] | Array, level: float = LEVEL) -> tuple[Array, Array, Array, Array]:
        """(low, high) of the law itself, then (low, high) of one more network that follows it; infinitely wide if unknown."""
        y = self.at(x)
        if self.sd is None:
            zero, infinite = np.zeros_like(y), np.full_like(y, np.inf)
            return zero, infinite, zero, infinite
        u = np.log(np.asarray(x) / self.scale)
        gradient = _gradient(u, self.log_value, self.exponent, self.offset)
        variance = np.einsum("ij,jk,ik->i", gradient, self.covariance, gradient)
        beyond = np.maximum(np.log(np.asarray(x) / self.x_high), np.log(self.x_low / np.asarray(x)))
        new = variance + self.sd**2 + self.drift**2 * np.maximum(beyond, 0.0)
        t = quantile(level, self.freedom)
        law, one = np.exp(t * np.sqrt(variance)), np.exp(t * np.sqrt(new))
        return y / law, y * law, y / one, y * one

    def exponent_interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Central interval of b; infinitely wide if unknown."""
        if self.sd is None:
            return -math.inf, math.inf
        half = quantile(level, self.freedom) * math.sqrt(self.covariance[1, 1])
        return self.exponent - half, self.exponent + half


def quantile(level: float, freedom: float) -> float:
    """Half width of a central interval, in standard deviations, by Student's t."""
    if math.isinf(freedom):
        return NormalDist().inv_cdf(0.5 + level / 2)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def fit_power(x: Sequence[float], y: Sequence[float], offset: bool = False) -> PowerLaw:
    """Fit to the points alone.

    Args:
        x: above zero; at least two different ones, three with an offset.
        y: above zero.
        offset: whether c is fitted too.
    """
    u, log_y, scale = _logs(x, y)
    start = _line(u, log_y)
    parameters = _gauss_newton(u, log_y, start, None) if offset else start
    return _law(np.asarray(x, float), u, log_y, scale, parameters, None, free_offset=offset)


def choose_law(x: Sequence[float], y: Sequence[float]) -> tuple[PowerLaw, str]:
    """The pure law, or the one with an offset where the points speak for one; and why, in one sentence."""
    pure = fit_power(x, y)
    if pure.n < FEWEST_FOR_OFFSET or len(set(x)) < FEWEST_FOR_OFFSET:
        return pure, f"no offset: it takes {FEWEST_FOR_OFFSET} sizes to tell one"
    bent = fit_power(x, y, offset=True)
    chance = _chance(pure, bent)
    test = f"F test of the offset: p = {chance:.2g}, taken below {PRETEST:g}"
    return (bent if bent.offset > 0 and chance < PRETEST else pure), test


def _chance(pure: PowerLaw, bent: PowerLaw) -> float:
    """Probability of a gain as large as the offset's where the truth has none (F test with 1 and n - 3 degrees)."""
    from scipy.special import stdtr

    before, after = (law.freedom * (law.sd or 0.0) ** 2 for law in (pure, bent))
    if after <= _TOLERANCE * before or before == 0:
        return 0.0 if before > 0 else 1.0
    statistic = max(0.0, (before - after) / (after / bent.freedom))
    return float(2 * stdtr(bent.freedom, -math.sqrt(statistic)))


def fit_with_prior(x: Sequence[float], y: Sequence[float], prior: Prior) -> PowerLaw:
    """The likeliest law by the points and the prior together (least squares with the prior as two more observations)."""
    u, log_y, scale = _logs(x, y)
    floor = min(prior.offset, 0.9 * math.exp(log_y.min()))
    start = np.array([math.log(math.exp(log_y.mean()) - floor), -prior.exponent, floor])
    parameters = _gauss_newton(u, log_y, start, prior)
    return _law(np.asarray(x, float), u, log_y, scale, parameters, prior, free_offset=True)


def _logs(x: Sequence[float], y: Sequence[float]) -> tuple[Array, Array, float]:
    log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    return log_x - log_x.mean(), log_y, math.exp(log_x.mean())


def _line(u: Array, log_y: Array) -> Array:
    slope = float(u @ log_y / (u @ u))
    return np.array([log_y.mean(), slope, 0.0])


def _gradient(u: Array, log_value: float, exponent: float, offset: float) -> Array:
    """(n, 3) of ln y by (ln a, b, c)."""
    power: Array = np.exp(log_value + exponent * u)
    y = power + offset
    return np.asarray(np.stack([power / y, power * u / y, 1 / y], axis=1))


def _residuals(u: Array, log_y: Array, p: Array, prior: Prior | None) -> Array:
    own: Array = log_y - np.log(np.exp(p[0] + p[1] * u) + p[2])
    if prior is None:
        return own
    believed = [
        (math.log(prior.exponent) - math.log(max(-p[1], 1e-9))) / prior.sd_log_exponent,
        (prior.offset - p[2]) / prior.sd_offset,
    ]
    return np.asarray(np.concatenate([own / prior.sd, believed]))


def _jacobian(u: Array, p: Array, prior: Prior | None) -> Array:
    own: Array = _gradient(u, p[0], p[1], p[2])
    if prior is None:
        return own
    believed = [[0.0, 1 / (p[1] * prior.sd_log_exponent), 0.0], [0.0, 0.0, 1 / prior.sd_offset]]
    return np.asarray(np.concatenate([own / prior.sd, np.array(believed)]))


def _gauss_newton(u: Array, log_y: Array, start: Array, prior: Prior | None) -> Array:
    """Levenberg and Marquardt's damped steps; 0 <= c < min y, and b < 0 where the prior says so."""
    ceiling = 0.999 * math.exp(log_y.min())
    if prior is None:
        # A law that bends can be far from a line: begin with the best of some offsets.
        starts = [_bent(u, log_y, share * ceiling) for share in (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)]
        start = min(starts, key=lambda p: float((_residuals(u, log_y, p, None) ** 2).sum()))
    p, damping = start.copy(), 1e-3
    loss = float((_residuals(u, log_y, p, prior) ** 2).sum())
    for _ in range(_STEPS):
        jacobian, residuals = _jacobian(u, p, prior), _residuals(u, log_y, p, prior)
        normal = jacobian.T @ jacobian
        step = np.linalg.solve(normal + damping * np.diag(normal.diagonal() + 1e-12), jacobian.T @ residuals)
        trial = p + step
        trial[2] = min(max(trial[2], 0.0), ceiling)
        if prior is not None:
            trial[1] = min(trial[1], p[1] / 10)
        found = float((_residuals(u, log_y, trial, prior) ** 2).sum())
        if found < loss:
            done = loss - found < _TOLERANCE * (loss + 1e-12)
            p, loss, damping = trial, found, damping / 5
            if done:
                break
        elif damping > 1e9:
            break
        else:
            damping *= 5
    return p


def _bent(u: Array, log_y: Array, offset: float) -> Array:
    line = _line(u, np.log(np.exp(log_y) - offset))
    return np.array([line[0], line[1], offset])


def _law(x: Array, u: Array, log_y: Array, scale: float, p: Array, prior: Prior | None, *, free_offset: bool) -> PowerLaw:
    n, free = len(u), 3 if free_offset else 2
    squares = float((_residuals(u, log_y, p, None) ** 2).sum())
    covariance: Array = np.zeros((3, 3))
    freedom: float = n - free
    sd: float | None = math.sqrt(squares / freedom) if freedom > 0 else None
    jacobian = _jacobian(u, p, prior)
    if prior is not None:
        sd, freedom = prior.sd, math.inf
        covariance = np.asarray(np.linalg.inv(jacobian.T @ jacobian), dtype=float)
    elif sd is not None:
        kept = jacobian[:, :free]
        covariance[:free, :free] = sd**2 * np.linalg.pinv(kept.T @ kept)
    spread = float(((log_y - log_y.mean()) ** 2).sum())
    return PowerLaw(
        log_value=float(p[0]),
        exponent=float(p[1]),
        offset=float(p[2]),
        scale=scale,
        x_low=float(x.min()),
        x_high=float(x.max()),
        covariance=covariance,
        n=n,
        freedom=freedom,
        sd=sd,
        r2=1 - squares / spread if n > 2 and spread > 0 else None,
        drift=prior.drift if prior else 0.0,
    )
