"""How error falls with the side of the image, by networks that were published at two sizes.

`python -m mvsearch.scaling.resolution_effect` prints the fit. The members of a family take their gain from the estimate
itself (`accuracy.evidence.RESOLUTION_GAIN`, points per doubling); this law stands beside it to show how far that holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mvsearch.scaling.power_law import LEVEL, quantile
from mvsearch.scaling.prior import DATA, rows

RESOLUTIONS_FILE = DATA / "resolutions.csv"


@dataclass(frozen=True, slots=True)
class Pair:
    """One network at two sides, in pixels; errors (100 - top-1) in %."""

    network: str
    family: str
    side_from: int
    side_to: int
    error_from: float
    error_to: float

    @property
    def exponent(self) -> float:
        """Power of the side that error goes with between the two."""
        return math.log(self.error_to / self.error_from) / math.log(self.side_to / self.side_from)


@dataclass(frozen=True, slots=True)
class ResolutionEffect:
    """error ~ side^exponent.

    Attributes:
        exponent: mean over families.
        sd_mean: standard deviation of that mean, from the spread between families.
        sd_between: standard deviation between families: what another family's exponent departs by.
        freedom: degrees of both.
        pairs: fitted on.
        r2: share of the squared ln ratios of error that the mean exponent explains.
        residual_sd: of the ln ratio of a pair's errors.
    """

    exponent: float
    sd_mean: float
    sd_between: float
    freedom: int
    pairs: tuple[Pair, ...]
    r2: float
    residual_sd: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Of the mean exponent."""
        half = quantile(level, self.freedom) * self.sd_mean
        return self.exponent - half, self.exponent + half


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
    families = {p.family: [q.exponent for q in pairs if q.family == p.family] for p in pairs}
    means = np.array([np.mean(v) for v in families.values()])
    exponent, between = float(means.mean()), float(means.std(ddof=1))
    steps = np.array([math.log(p.side_to / p.side_from) for p in pairs])
    falls = np.array([p.exponent for p in pairs]) * steps
    residuals = falls - exponent * steps
    return ResolutionEffect(
        exponent=exponent,
        sd_mean=between / math.sqrt(len(means)),
        sd_between=between,
        freedom=len(means) - 1,
        pairs=pairs,
        r2=float(1 - (residuals**2).sum() / (falls**2).sum()),
        residual_sd=float(residuals.std(ddof=1)),
    )


def main() -> None:
    """Print the fit."""
    found = resolution_effect()
    low, high = found.interval()
    families = len({p.family for p in found.pairs})
    print(f"error ~ side^{found.exponent:.3f}, 90 % interval {low:.3f} to {high:.3f}")
    print(f"{len(found.pairs)} pairs of {families} families; R2 {found.r2:.2f}")
    print(f"another family's exponent departs by {found.sd_between:.3f} (standard deviation)")
    for p in found.pairs:
        print(f"{p.network:18} {p.side_from} to {p.side_to} px  {p.error_from:.2f} to {p.error_to:.2f} %  {p.exponent:.3f}")


if __name__ == "__main__":
    main()
