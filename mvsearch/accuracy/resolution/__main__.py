"""How error falls with the side of the image, and how far that holds: `python -m mvsearch.accuracy.resolution`."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

from mvsearch.accuracy.resolution import Pair, fit_effect, resolution_effect
from mvsearch.spec.published import DEFAULT_RESOLUTION

_Z = NormalDist().inv_cdf(0.95)


class HeldOut(NamedTuple):
    """What larger images bring a network, in points, by a fit without its family: with its 90 % interval."""

    pair: Pair
    gain: float
    low: float
    high: float

    @property
    def published(self) -> float:
        """Points gained in fact."""
        return self.pair.error_from - self.pair.error_to

    @property
    def is_inside(self) -> bool:
        """Whether the interval holds them."""
        return self.low <= self.published <= self.high


def held_out() -> Iterator[HeldOut]:
    """Every pair on larger images, of the families without which two are still left on smaller ones."""
    pairs = resolution_effect().pairs
    small = {p.family for p in pairs if p.side_to < p.side_from}
    for name in sorted({p.family for p in pairs} - small):
        found = fit_effect([p for p in pairs if p.family != name])
        for p in (p for p in pairs if p.family == name):
            gain, sd = found.shift(100 - p.error_from, DEFAULT_RESOLUTION * p.side_to / p.side_from)
            yield HeldOut(p, gain, gain - _Z * sd, gain + _Z * sd)


def main() -> None:
    """Print the fit, every pair, and the held-out families."""
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
    told = list(held_out())
    for h in told:
        ends = f"{h.low:.2f} to {h.high:.2f}"
        print(f"{h.pair.network:26} gains {h.published:.2f} points, by a fit without its family {h.gain:.2f} ({ends})")
    print(f"{sum(h.is_inside for h in told)} of {len(told)} gains lie within 90 % intervals of fits without their family")


if __name__ == "__main__":
    main()
