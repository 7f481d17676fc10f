"""Fits the prior of the scaling laws on published series, and sees how well it predicts sizes that it has not seen.

`python -m mvsearch.scaling.prior_fit` writes `data/prior.json` and prints the check.

Every series follows `y = a x^b + c` with its own a, b and c and residuals of its own size. The laws that b, c and the
residuals are drawn from are the likeliest by all series together (empirical Bayes on a grid; a is integrated out). Then
each series is left out, its smaller members are fitted with the prior of the others, and its larger ones predicted: the
`drift` is the least for which 90 % of them lie within the stated 90 % interval.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain

import numpy as np

from mvsearch.accuracy.anchors import Anchor
from mvsearch.scaling.power_law import LEVEL, Array, Prior, fit_with_prior, quantile
from mvsearch.scaling.prior import PRIOR_FILE, PRIOR_INPUTS, load_series
from mvsearch.scaling.view import LawInput

EXPONENTS = np.exp(np.linspace(math.log(0.06), math.log(2.5), 41))
OFFSETS = np.linspace(0.0, 22.0, 45)
"""Error in % that no size buys."""
SDS = np.exp(np.linspace(math.log(0.004), math.log(0.12), 11))
_LEVELS = np.linspace(-0.25, 0.25, 61)
"""Of ln y in the middle of a series, about its mean."""
START = (math.log(0.5), math.log(0.4), 12.0, math.log(3.0), math.log(0.02), math.log(0.5))
DRIFTS = np.linspace(0.0, 0.3, 61)


def log_evidence(x: Array, y: Array) -> Array:
    """(exponents, offsets, sds): log likelihood of a series, its level integrated out."""
    u, log_y = np.log(x) - np.log(x).mean(), np.log(y)
    level = np.exp(log_y.mean() + _LEVELS)[None, None, :]
    above = level - OFFSETS[None, :, None]
    law = np.maximum(above, 1e-9)[..., None] * np.exp(-EXPONENTS[:, None, None, None] * u) + OFFSETS[None, :, None, None]
    squares = np.where(above > 0.3, ((log_y - np.log(law)) ** 2).sum(axis=-1), 1e9)[:, :, None, :]
    sds = SDS[None, None, :, None]
    value = -squares / (2 * sds**2) - len(x) * np.log(sds)
    top = value.max()
    return np.asarray(top + np.log(np.exp(value - top).mean(axis=-1) + 1e-300))


def fit_prior(evidence: Sequence[Array]) -> Prior:
    """The likeliest prior by these series, without drift."""
    from scipy.optimize import minimize

    stacked = np.array(evidence)

    def loss(p: Array) -> float:
        value = stacked + _log_prior(p)
        top = value.max(axis=(1, 2, 3))
        total = top + np.log(np.exp(value - top[:, None, None, None]).sum(axis=(1, 2, 3)))
        # Spreads are hardly seen in so few series: they are kept from running to zero.
        hold = (p[1] + 1.0) ** 2 / 2 + (p[3] - 0.5) ** 2 / 2 + (p[5] + 0.5) ** 2
        return float(hold - total.sum())

    found = minimize(loss, START, method="Nelder-Mead", options={"maxiter": 600, "xatol": 2e-3, "fatol": 2e-3}).x
    rms = math.exp(found[4] + math.exp(found[5]) ** 2)
    return Prior(math.exp(found[0]), math.exp(found[1]), float(found[2]), math.exp(found[3]), rms, 0.0)


def _log_prior(p: Array) -> Array:
    def normal(grid: Array, mean: float, log_sd: float) -> Array:
        w = -0.5 * ((grid - mean) / math.exp(log_sd)) ** 2
        return np.asarray(w - w.max() - math.log(float(np.exp(w - w.max()).sum())))

    exponent = normal(np.log(EXPONENTS), p[0], p[1])
    offset, sd = normal(OFFSETS, p[2], p[3]), normal(np.log(SDS), p[4], p[5])
    return np.asarray(exponent[:, None, None] + offset[None, :, None] + sd)


def held_out(sizes: Sequence[Anchor], x: LawInput, prior: Prior) -> list[tuple[float, float, float]]:
    """(error of ln y, its variance but for drift, ln x beyond the points) of sizes predicted from two or more smaller ones."""
    found = []
    for seen in range(2, len(sizes)):
        law = fit_with_prior([getattr(a, x) for a in sizes[:seen]], [100 - a.top1 for a in sizes[:seen]], prior)
        for a in sizes[seen:]:
            size = float(getattr(a, x))
            *_, high = law.bands([size])
            sd = math.log(high[0] / law.at([size])[0]) / quantile(LEVEL, math.inf)
            beyond = max(0.0, math.log(size / law.x_high), math.log(law.x_low / size))
            found.append((math.log((100 - a.top1) / law.at([size])[0]), sd**2, beyond))
    return found


def coverage(checks: Sequence[tuple[float, float, float]], drift: float) -> float:
    """Share of held-out sizes within the stated interval."""
    z = quantile(LEVEL, math.inf)
    return float(np.mean([abs(e) <= z * math.sqrt(v + drift**2 * d) for e, v, d in checks]))


def fit(x: LawInput) -> tuple[Prior, dict[str, float]]:
    """The prior with its drift, and what was found in the check."""
    series = load_series()
    evidence = {
        name: log_evidence(np.array([float(getattr(a, x)) for a in sizes]), np.array([100 - a.top1 for a in sizes]))
        for name, sizes in series.items()
    }
    others = {name: fit_prior([e for other, e in evidence.items() if other != name]) for name in series}
    checks = list(chain.from_iterable(held_out(sizes, x, others[name]) for name, sizes in series.items()))
    drift = next((float(d) for d in DRIFTS if coverage(checks, float(d)) >= LEVEL), float(DRIFTS[-1]))
    whole = fit_prior(list(evidence.values()))
    errors = np.array([e for e, _, _ in checks])
    prior = Prior(**{**{k: round(v, 5) for k, v in asdict(whole).items()}, "drift": round(drift, 5)})
    check = {
        "series": len(series),
        "networks": sum(map(len, series.values())),
        "held_out": len(checks),
        "covered_without_drift": round(coverage(checks, 0.0), 3),
        "covered": round(coverage(checks, drift), 3),
        "mean_absolute_error_ln": round(float(np.abs(errors).mean()), 4),
        "mean_error_ln": round(float(errors.mean()), 4),
    }
    return prior, check


def main() -> None:
    """Fit, write the file, print the check."""
    fitted = {x: fit(x) for x in PRIOR_INPUTS}
    data = {
        "command": "python -m mvsearch.scaling.prior_fit",
        "label": "100 - top1, in %",
        "priors": {x: asdict(prior) for x, (prior, _) in fitted.items()},
        "checks": {x: check for x, (_, check) in fitted.items()},
    }
    PRIOR_FILE.write_text(json.dumps(data, indent=1) + "\n", encoding="utf8")
    print(f"{PRIOR_FILE.name}: written", file=sys.stderr)
    print(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()
