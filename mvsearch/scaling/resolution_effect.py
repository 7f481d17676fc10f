"""How error falls with the side of the image, by networks that were published at two sizes.

`python -m mvsearch.scaling.resolution_effect` prints the fit. Error (100 - top-1) goes with a power of the side, one below
the side that a network was designed at (256 pixels here) and another above: small images cost more than large ones bring.
That is what a family's members are given by. `accuracy.estimate` has one number of points per doubling instead, which
MobileViTv2 at 384 pixels bears out and MobileNets below 224 do not (README.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mvsearch.accuracy import estimate_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.scaling.power_law import LEVEL, Array, quantile
from mvsearch.scaling.prior import DATA, rows
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION
from mvsearch.spec.record import Measurement

RESOLUTIONS_FILE = DATA / "resolutions.csv"
EVIDENCE = (96 / 224, 2.0)
"""Sides that were published, over the network's own; no gain is credited above."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One network at its own side and at another, in pixels; errors (100 - top-1) in %."""

    network: str
    family: str
    side_from: int
    side_to: int
    error_from: float
    error_to: float

    @property
    def fall(self) -> float:
        """Change of ln error."""
        return math.log(self.error_to / self.error_from)


@dataclass(frozen=True, slots=True, eq=False)
class ResolutionEffect:
    """Powers of the side that error goes with, below and above a network's own side.

    Attributes:
        below, above: negative.
        covariance: (2, 2) of both, by leaving out a family at a time (jackknife).
        sd_between: standard deviation between families of their power about these.
        families: how many.
        pairs: fitted on.
        r2: share of the squared changes of ln error that is explained.
        residual_sd: of the change of ln error of a pair.
    """

    below: float
    above: float
    covariance: Array
    sd_between: float
    families: int
    pairs: tuple[Pair, ...]
    r2: float
    residual_sd: float

    def change(self, side_from: float, side_to: float) -> float:
        """Change of ln error from one side to another."""
        return float(_spans(side_from, side_to) @ [self.below, self.above])

    def sd(self, side_from: float, side_to: float, new: bool = True) -> float:
        """Standard deviation of that change; of another family's if `new`, else of the mean."""
        spans = _spans(side_from, side_to)
        variance = float(spans @ self.covariance @ spans)
        return math.sqrt(variance + (self.sd_between * float(spans.sum())) ** 2 * new)

    def interval(self, which: int, level: float = LEVEL) -> tuple[float, float]:
        """Of `below` (0) or `above` (1)."""
        half = quantile(level, self.families - 2) * math.sqrt(self.covariance[which, which])
        value = (self.below, self.above)[which]
        return value - half, value + half


def _spans(side_from: float, side_to: float, own: float = DEFAULT_RESOLUTION) -> Array:
    """(ln side below, ln side above) a network's own that lies between two sides; nothing counts above the evidence."""
    a, b = (math.log(min(s, EVIDENCE[1] * own) / own) for s in (side_from, side_to))
    return np.array([min(b, 0.0) - min(a, 0.0), max(b, 0.0) - max(a, 0.0)])


@lru_cache(maxsize=1)
def resolution_effect() -> ResolutionEffect:
    """The effect by all published pairs; every family counts once, however many of its sizes were published."""
    pairs = tuple(
        Pair(
            r["network"], r["family"], int(r["side_from"]), int(r["side_to"]),
            100 - float(r["top1_from"]), 100 - float(r["top1_to"]),
        )
        for r in rows(RESOLUTIONS_FILE)
    )  # fmt: skip
    names = sorted({p.family for p in pairs})
    best = _powers(pairs)
    left_out = np.array([_powers([p for p in pairs if p.family != name]) for name in names])
    around = left_out - left_out.mean(axis=0)
    spans = np.array([_spans(p.side_from, p.side_to, p.side_from) for p in pairs])
    falls = np.array([p.fall for p in pairs])
    residuals = falls - spans @ best
    weights = _weights(pairs)
    squares, reach = float(weights @ residuals**2), float(weights @ spans.sum(axis=1) ** 2)
    return ResolutionEffect(
        below=float(best[0]),
        above=float(best[1]),
        covariance=np.asarray((len(names) - 1) / len(names) * around.T @ around),
        sd_between=math.sqrt(squares / reach * len(names) / (len(names) - 2)),
        families=len(names),
        pairs=pairs,
        r2=float(1 - (residuals**2).sum() / (falls**2).sum()),
        residual_sd=float(np.sqrt((residuals**2).sum() / (len(pairs) - 2))),
    )


def _weights(pairs: list[Pair] | tuple[Pair, ...]) -> Array:
    names = [p.family for p in pairs]
    return np.array([1 / names.count(n) for n in names])


def _powers(pairs: list[Pair] | tuple[Pair, ...]) -> Array:
    roots = np.sqrt(_weights(pairs))
    spans = np.array([_spans(p.side_from, p.side_to, p.side_from) for p in pairs])
    falls = np.array([p.fall for p in pairs])
    return np.asarray(np.linalg.lstsq(spans * roots[:, None], falls * roots, rcond=None)[0])


def top1_at(spec: ArchSpec, side: int, estimator: Estimator | None = None) -> Measurement:
    """Estimated top-1 at a side: that at 256 pixels, changed as published networks changed; wider by what that is unsure of.

    The flags are those of the estimate at this side: MobileViTs themselves were published at 256 and 384 pixels only.
    """
    here = estimate_top1(spec, side, estimator)
    if side == DEFAULT_RESOLUTION:
        return here
    known = estimate_top1(spec, DEFAULT_RESOLUTION, estimator)
    effect = resolution_effect()
    error = (100 - known.value) * math.exp(effect.change(DEFAULT_RESOLUTION, side))
    z = quantile(LEVEL, math.inf)
    half = z * math.hypot((known.quantile(0.5 + LEVEL / 2) - known.value) / z, error * effect.sd(DEFAULT_RESOLUTION, side))
    return replace(
        here,
        value=100 - error,
        low=100 - error - half,
        high=100 - error + half,
        basis=f"{known.basis}; resolution by {len(effect.pairs)} published pairs",
    )


def main() -> None:
    """Print the fit."""
    found = resolution_effect()
    print(f"{len(found.pairs)} pairs of {found.families} families; R2 {found.r2:.2f}; between families {found.sd_between:.3f}")
    for which, where in enumerate(("below", "above")):
        low, high = found.interval(which)
        value = (found.below, found.above)[which]
        print(f"{where} a network's own side: error ~ side^{value:.3f}, 90 % interval {low:.3f} to {high:.3f}")
    for p in found.pairs:
        power = (found.below, found.above)[p.side_to > p.side_from]
        expected = p.error_from * (p.side_to / p.side_from) ** power
        sides = f"{p.side_from} to {p.side_to} px"
        print(f"{p.network:26} {sides}  error {p.error_from:.2f} to {p.error_to:.2f} %, by the fit {expected:.2f}")


if __name__ == "__main__":
    main()
