"""How far the scaling laws are to be trusted: published sizes that they have not seen, and planted laws.

`python benchmarks/scaling_laws.py [--draws N]` prints, for every law of a few published MobileViTs, what it says of the
larger ones; then how often 90 % intervals hold the truth of planted power laws, with and without an offset.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from mvsearch.accuracy import published_top1
from mvsearch.costs import count
from mvsearch.scaling.power_law import PowerLaw, choose_law, fit_power, fit_with_prior
from mvsearch.scaling.prior import PRIOR_INPUTS, load_prior
from mvsearch.spec.published import DEFAULT_RESOLUTION, network

TRIES = (
    (("mobilevitv2_0.5", "mobilevitv2_0.75", "mobilevitv2_1.0", "mobilevitv2_1.25"),
     ("mobilevitv2_1.5", "mobilevitv2_1.75", "mobilevitv2_2.0")),
    (("mobilevit_xxs", "mobilevit_xs"), ("mobilevit_s",)),
    (("mobilevitv3_xxs", "mobilevitv3_xs"), ("mobilevitv3_s",)),
    (("mobilevitv3_0.5", "mobilevitv3_0.75"), ("mobilevitv3_1.0",)),
)  # fmt: skip


def _sizes(names: tuple[str, ...], x: str) -> list[float]:
    return [float(getattr(count(network(n), DEFAULT_RESOLUTION), x)) for n in names]


def _top1(name: str) -> float:
    found = published_top1(name)
    assert found is not None
    return found.value


def _say(label: str, law: PowerLaw, names: tuple[str, ...], x: str) -> None:
    for name, size in zip(names, _sizes(names, x), strict=True):
        *_, low, high = (float(b[0]) for b in law.bands([size]))
        guess, truth = 100 - float(law.at([size])[0]), _top1(name)
        verdict = "inside" if 100 - high <= truth <= 100 - low else "OUTSIDE"
        print(
            f"{label:26} {x:12} {name:18} published {truth:.2f}  guess {guess:.2f} ({guess - truth:+.2f})  "
            f"interval {100 - high:.1f} to {100 - low:.1f}  {verdict}"
        )


def published() -> None:
    """Laws of the smaller published sizes against the larger."""
    for seen, larger in TRIES:
        errors = [100 - _top1(n) for n in seen]
        for x in PRIOR_INPUTS:
            _say("with the prior", fit_with_prior(_sizes(seen, x), errors, load_prior(x)), larger, x)
        if len(seen) > 2:
            _say("pure power law, no prior", fit_power(_sizes(seen, "params"), errors), larger, "params")


def planted(draws: int) -> None:
    """How often the truth lies within 90 % intervals: of the exponent, of the law at twice the largest x, of one more there."""
    rng = np.random.default_rng(1)
    for offset in (0, 12):
        for n in (4, 5, 6, 8, 15):
            for noise in (0.005, 0.01, 0.02):
                hits, bent = np.zeros(3), 0
                for _ in range(draws):
                    exponent = -rng.uniform(0.3, 0.8) if offset else -rng.uniform(0.1, 0.6)
                    value, x = rng.uniform(10, 20), np.exp(np.linspace(0, 3, n)) * 1e6
                    y = (value * (x / 3e6) ** exponent + offset) * np.exp(noise * rng.standard_normal(n))
                    law, _ = choose_law(x.tolist(), y.tolist())
                    end = float(x.max() * 2)
                    truth = value * (end / 3e6) ** exponent + offset
                    low, high, new_low, new_high = (float(b[0]) for b in law.bands([end]))
                    least, most = law.exponent_interval()
                    one_more = truth * math.exp(noise * rng.standard_normal())
                    hits += least <= exponent <= most, low <= truth <= high, new_low <= one_more <= new_high
                    bent += law.offset > 0
                shares = " ".join(f"{h / draws:.2f}" for h in hits)
                print(f"offset {offset:2}, {n:2} points, noise {noise:.1%}: {shares}; an offset is seen in {bent / draws:.0%}")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400, help="planted laws of each kind")
    draws = parser.parse_args().draws
    published()
    planted(draws)


if __name__ == "__main__":
    main()
