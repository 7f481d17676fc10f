"""A phone's rows and features, and the fits that leave some of them out.

A phone with a `prior` is expected to be the other phone times one number: its rates are drawn to those
of the other's fit, and what is left out here is left out there.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from mvsearch.targets.predictor.expected import expected_a14
from mvsearch.targets.predictor.features import OpCost, Rates
from mvsearch.targets.predictor.latency_model import FamilyCorrection
from mvsearch.targets.predictor.phones import Phone, get_phone
from mvsearch.targets.predictor.regression import LatencyRow, RateFit, Spread, fit_rates, log_prediction
from mvsearch.targets.predictor.scores import Prediction
from mvsearch.targets.predictor.tables import load_ops, published_rows

Keep = Callable[[LatencyRow], bool]

FAMILY_OF_BODY = {"v1": "MobileViTv1", "v2": "MobileViTv2"}
FAMILY_WEIGHT = 3.0
"""Rows of MobileViT count for three: theirs is the space that is searched."""
UNKNOWN_SPEED = 1.0
"""Standard deviation of the log of a phone's speed over that of the phone that it is drawn to."""


def phone_study(name: str) -> Study:
    """The shipped rows and operations of a phone, ready to be fitted.

    Raises:
        TargetError: there is no table for it.
    """
    phone = get_phone(name)
    prior = phone_study(phone.prior) if phone.prior else None
    return Study(phone, used_rows(name), load_ops(), expected_a14(), prior)


def used_rows(name: str) -> list[LatencyRow]:
    """The rows of a phone that its fit uses."""
    return [
        LatencyRow(r.network, r.family, r.protocol, r.latency_ms, row_weight(r.family))
        for r in published_rows(name)
        if r.latency_ms is not None and not r.unused
    ]


def row_weight(family: str) -> float:
    """How much a row of this family counts."""
    return FAMILY_WEIGHT if family in FAMILY_OF_BODY.values() else 1.0


def _all(_: LatencyRow) -> bool:
    return True


class Study:
    """Rows and features, and the fits that leave some of them out.

    Args:
        phone: whose rows these are.
        rows: latencies.
        ops: operations by network.
        expected: rates that the features are taken at.
        prior: the study that the rates are drawn to; by default they are drawn to `expected`.
    """

    def __init__(
        self, phone: Phone, rows: Sequence[LatencyRow], ops: Mapping[str, Sequence[OpCost]], expected: Rates,
        prior: Study | None = None,
    ) -> None:  # fmt: skip
        self.phone, self.rows, self.ops, self.expected, self.prior = phone, tuple(rows), ops, expected, prior
        self.spread = Spread(reference=phone.reference, reference_scale=UNKNOWN_SPEED if prior else Spread.reference_scale)
        self.features = {n: expected.features(ops[n]) for n in {r.network for r in rows}}
        self.macs = {n: sum(o[1] for o in ops[n]) for n in self.features}

    @property
    def families(self) -> list[str]:
        """Of the rows, sorted."""
        return sorted({r.family for r in self.rows})

    def with_rows(self, rows: Sequence[LatencyRow], ops: Mapping[str, Sequence[OpCost]]) -> Study:
        """The same study with these rows, and their operations, as well."""
        more = Study(self.phone, rows, ops, self.expected, self.prior)
        both = copy(self)
        both.rows, both.ops = (*self.rows, *more.rows), {**self.ops, **ops}
        both.features, both.macs = {**self.features, **more.features}, {**self.macs, **more.macs}
        return both

    def fit(self, keep: Keep = _all) -> RateFit:
        """Fit on the rows that are kept; predictions are at the reference protocol."""
        centre = self.prior.fit(keep).factors if self.prior else None
        fit = fit_rates([r for r in self.rows if keep(r)], self.features, self.expected, self.spread, centre)
        return fit.at(self.phone.reference, self.expected) if self.prior else fit

    def residuals(self, fit: RateFit, rows: Iterable[LatencyRow]) -> dict[str, float]:
        """Mean log(published / predicted) by network, each row at the reference protocol by its scale."""
        errors: dict[str, list[float]] = defaultdict(list)
        for r in rows:
            published = math.log(r.latency_ms) - fit.log_scales.get(r.protocol, 0.0)
            errors[r.network].append(published - log_prediction(fit, self.features[r.network]))
        return {n: sum(e) / len(e) for n, e in errors.items()}

    def offset_variances(self, fit: RateFit, keep: Keep = _all) -> tuple[float, float]:
        """Variance of log residuals within families, and of the families' own offsets (moments)."""
        groups = [g for f in self.families if len(g := self._family(fit, f, keep)) > 2]
        means = [sum(g) / len(g) for g in groups]
        within = sum((e - m) ** 2 for g, m in zip(groups, means, strict=True) for e in g) / sum(len(g) - 1 for g in groups)
        of_means = sum(m * m for m in means) / len(means)
        return within, max(of_means - within * sum(1 / len(g) for g in groups) / len(groups), 0.1 * within)

    def correction(self, fit: RateFit, family: str, keep: Keep = _all) -> FamilyCorrection:
        """A family's mean residual, shrunk by how many of its networks were published."""
        own = self._family(fit, family, keep)
        if not own:
            return FamilyCorrection(0.0, 0)
        within, between = self.offset_variances(fit, keep)
        return FamilyCorrection(sum(own) / (len(own) + within / between), len(own))

    def _family(self, fit: RateFit, family: str, keep: Keep) -> list[float]:
        return sorted(self.residuals(fit, (r for r in self.rows if r.family == family and keep(r))).values())

    def leave_family_out(self) -> list[Prediction]:
        """Every row predicted by a fit that has seen none of its family."""
        return [p for f in self.families for p in self._held_out(lambda r, f=f: r.family == f)]  # type: ignore[misc]

    def leave_network_out(self) -> list[Prediction]:
        """Every row of a family with other networks, predicted by a fit that has not seen its network.

        The family's correction, from its other networks, is included.
        """
        networks = {r.network: r.family for r in self.rows}
        siblings = Counter(networks.values())
        out = []
        for network in sorted(n for n, f in networks.items() if siblings[f] > 1):
            out += self._held_out(lambda r, n=network: r.network == n, corrected=True)  # type: ignore[misc]
        return out

    def leave_two_families_out(self, repeats: int = 5, seed: int = 0) -> list[Prediction]:
        """As `leave_family_out`, with families held out in random pairs, `repeats` times."""
        rng, out = random.Random(seed), []
        for _ in range(repeats):
            families = rng.sample(self.families, len(self.families))
            for i in range(0, len(families), 2):
                out += self._held_out(lambda r, held=frozenset(families[i : i + 2]): r.family in held)  # type: ignore[misc]
        return out

    def elsewhere(self, other: Study) -> list[Prediction]:
        """The networks of another phone's rows that are in no row here, predicted by this phone's fit.

        Each of the other's protocols has one scale: the median over its rows of other families.
        """
        fit, known = self.fit(), set(self.features)
        predicted = {n: log_prediction(fit, x) for n, x in other.features.items()}
        out = []
        for r in other.rows:
            if r.network in known:
                continue
            rest = [math.log(o.latency_ms) - predicted[o.network] for o in other.rows
                    if o.protocol == r.protocol and o.family != r.family]  # fmt: skip
            raw = math.log(r.latency_ms)
            published = raw - float(np.median(rest))
            out.append(Prediction(r.network, r.family, r.protocol, predicted[r.network], published, raw))
        return out

    def _held_out(self, held: Keep, corrected: bool = False) -> list[Prediction]:
        def keep(r: LatencyRow) -> bool:
            return not held(r)

        fit = self.fit(keep)
        train = [r for r in self.rows if keep(r)]
        printed = self._line(train)
        scaled = self._line([replace(r, latency_ms=r.latency_ms / math.exp(fit.log_scales[r.protocol])) for r in train])
        out = []
        for r in filter(held, self.rows):
            shift = self.correction(fit, r.family, keep).log_factor if corrected else 0.0
            raw, macs = math.log(r.latency_ms), self.macs[r.network]
            out.append(
                Prediction(
                    r.network, r.family, r.protocol, log_prediction(fit, self.features[r.network]) + shift,
                    raw - fit.log_scales.get(r.protocol, 0.0), raw, printed(macs), scaled(macs),
                )
            )  # fmt: skip
        return out

    def _line(self, rows: Sequence[LatencyRow]) -> Callable[[int], float]:
        """Log ms as a function of MACs: a constant plus MACs, fitted robustly in relative error."""
        x = np.array([[1.0, self.macs[r.network] / 1e9] for r in rows])
        y = np.array([r.latency_ms for r in rows])
        w = np.ones(len(rows))
        for _ in range(20):
            a = np.linalg.lstsq(x * (w / y)[:, None], w, rcond=None)[0]
            w = 1 / np.sqrt(1 + ((x @ a / y - 1) / 0.3) ** 2) ** 0.5
        return lambda macs: math.log(max(a[0] + a[1] * macs / 1e9, 0.05))
