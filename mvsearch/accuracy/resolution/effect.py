"""How error falls with the side of the image; `python -m mvsearch.accuracy.resolution` prints the fit.

Error (100 - top-1) goes with a power of the side, one below the side that a network was designed at (256 pixels here) and
another above: small images cost more than large ones bring.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, fsum, log, sqrt

from mvsearch.accuracy.anchors import DATA
from mvsearch.spec.published import DEFAULT_RESOLUTION

RESOLUTIONS_FILE = DATA / "resolutions.csv"
EVIDENCE = (96 / 224, 2.0)
"""Sides that were published, over the network's own; no gain is credited above."""
LARGEST_ERROR = 99.9
"""In %: one guess in a thousand is right, and images that are too small take no more than that."""

Spans = tuple[float, float]
"""ln of the side below a network's own side, and above it, that lies between two sides."""


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
        return log(self.error_to / self.error_from)

    @property
    def spans(self) -> Spans:
        """From one side to the other."""
        return _spans(self.side_from, self.side_to, self.side_from)


@dataclass(frozen=True, slots=True, eq=False)
class ResolutionEffect:
    """Powers of the side that error goes with, below and above a network's own side.

    Attributes:
        below, above: negative.
        covariance: 2 x 2, of both, by leaving out a family at a time (jackknife).
        sd_between: standard deviation between families of their power about these.
        families: how many.
        pairs: fitted on.
        r2: share of the squared changes of ln error that is explained.
        residual_sd: of the change of ln error of a pair.
    """

    below: float
    above: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    sd_between: float
    families: int
    pairs: tuple[Pair, ...]
    r2: float
    residual_sd: float

    def change(self, side_from: float, side_to: float) -> float:
        """Change of ln error from one side to another; nothing changes above the evidence."""
        most = EVIDENCE[1] * DEFAULT_RESOLUTION
        below, above = _spans(min(side_from, most), min(side_to, most))
        return below * self.below + above * self.above

    def sd(self, side_from: float, side_to: float, new: bool = True) -> float:
        """Standard deviation of that change, growing above the evidence too; of another family if `new`, else of the mean."""
        below, above = _spans(side_from, side_to)
        (v_below, both), (_, v_above) = self.covariance
        mean = below * below * v_below + 2 * below * above * both + above * above * v_above
        return sqrt(mean + (self.sd_between * (below + above)) ** 2 * new)

    def shift(self, top1: float, side: float) -> tuple[float, float]:
        """What a side does to a network's top-1 in % at 256 pixels: (points gained, their standard deviation)."""
        before = 100 - top1
        after = min(before * exp(self.change(DEFAULT_RESOLUTION, side)), max(before, LARGEST_ERROR))
        return before - after, after * self.sd(DEFAULT_RESOLUTION, side)

    def interval(self, which: int, level: float = 0.9) -> tuple[float, float]:
        """Of `below` (0) or `above` (1), by Student's t."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.families - 2, 0.5 + level / 2)) * sqrt(self.covariance[which][which])
        value = (self.below, self.above)[which]
        return value - half, value + half


def _spans(side_from: float, side_to: float, own: float = DEFAULT_RESOLUTION) -> Spans:
    a, b = log(side_from / own), log(side_to / own)
    return min(b, 0.0) - min(a, 0.0), max(b, 0.0) - max(a, 0.0)


def _load() -> tuple[Pair, ...]:
    with RESOLUTIONS_FILE.open(encoding="utf8", newline="") as file:
        return tuple(
            Pair(
                r["network"], r["family"], int(r["side_from"]), int(r["side_to"]),
                100 - float(r["top1_from"]), 100 - float(r["top1_to"]),
            )
            for r in csv.DictReader(line for line in file if not line.startswith("#"))
        )  # fmt: skip


@lru_cache(maxsize=1)
def resolution_effect() -> ResolutionEffect:
    """The effect by all published pairs."""
    return fit_effect(_load())


def fit_effect(pairs: Sequence[Pair]) -> ResolutionEffect:
    """The effect by these pairs; every family counts once, however many of its sizes were published.

    Args:
        pairs: of at least two families each on smaller and on larger images than their own.
    """
    names = sorted({p.family for p in pairs})
    k = len(names)
    best = _powers(pairs)
    left_out = [_powers([p for p in pairs if p.family != name]) for name in names]
    means = [fsum(powers[i] for powers in left_out) / k for i in (0, 1)]
    v_below, both, v_above = (
        (k - 1) / k * fsum((powers[i] - means[i]) * (powers[j] - means[j]) for powers in left_out)
        for i, j in ((0, 0), (0, 1), (1, 1))
    )
    residuals = [p.fall - p.spans[0] * best[0] - p.spans[1] * best[1] for p in pairs]
    weights = _weights(pairs)
    squares = fsum(w * r**2 for w, r in zip(weights, residuals, strict=True))
    reach = fsum(w * sum(p.spans) ** 2 for w, p in zip(weights, pairs, strict=True))
    left = fsum(r**2 for r in residuals)
    return ResolutionEffect(
        below=best[0],
        above=best[1],
        covariance=((v_below, both), (both, v_above)),
        sd_between=sqrt(squares / reach * k / (k - 2)),
        families=k,
        pairs=tuple(pairs),
        r2=1 - left / fsum(p.fall**2 for p in pairs),
        residual_sd=sqrt(left / (len(pairs) - 2)),
    )


def _weights(pairs: Sequence[Pair]) -> list[float]:
    members = Counter(p.family for p in pairs)
    return [1 / members[p.family] for p in pairs]


def _powers(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Least squares; a pair lies wholly below or wholly above its own side, so that each power has its own line."""
    rows = [(w, p.spans, p.fall) for w, p in zip(_weights(pairs), pairs, strict=True)]
    below, above = (
        fsum(w * spans[i] * fall for w, spans, fall in rows) / fsum(w * spans[i] ** 2 for w, spans, _ in rows) for i in (0, 1)
    )
    return below, above
