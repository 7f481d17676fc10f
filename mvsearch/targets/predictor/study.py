"""Fits that leave families or networks out, and the corrections of families with anchors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from mvsearch.targets.predictor.features import OpCost, Rates
from mvsearch.targets.predictor.latency_model import FamilyCorrection
from mvsearch.targets.predictor.regression import LatencyRow, RateFit, Spread, fit_rates, log_prediction
from mvsearch.targets.predictor.scores import Prediction

Keep = Callable[[LatencyRow], bool]


def _all(_: LatencyRow) -> bool:
    return True


class Study:
    """Rows and features, and the fits that leave some of them out."""

    def __init__(
        self, rows: Sequence[LatencyRow], ops: Mapping[str, Sequence[OpCost]], expected: Rates, spread: Spread
    ) -> None:
        self.rows, self.expected, self.spread = tuple(rows), expected, spread
        self.features = {n: expected.features(ops[n]) for n in {r.network for r in rows}}
        self.macs = {n: sum(o[1] for o in ops[n]) for n in self.features}

    def fit(self, keep: Keep = _all) -> RateFit:
        """Fit on the rows that are kept."""
        return fit_rates([r for r in self.rows if keep(r)], self.features, self.expected, self.spread)

    def residuals(self, fit: RateFit, rows: Iterable[LatencyRow]) -> dict[str, float]:
        """Mean log(published / predicted) by network, each row at the reference protocol by its scale."""
        errors: dict[str, list[float]] = defaultdict(list)
        for r in rows:
            published = math.log(r.latency_ms) - fit.log_scales.get(r.protocol, 0.0)
            errors[r.network].append(published - log_prediction(fit, self.features[r.network]))
        return {n: sum(e) / len(e) for n, e in errors.items()}

    def offset_variances(self, fit: RateFit, keep: Keep = _all) -> tuple[float, float]:
        """Variance of log residuals within families, and of the families' own offsets (moments)."""
        groups = [g for f in {r.family for r in self.rows} if len(g := self._family(fit, f, keep)) > 2]
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
        """Every network predicted by a fit that has seen none of its family."""
        out = []
        for family in sorted({r.family for r in self.rows}):
            out += self._held_out(lambda r, f=family: r.family == f, corrected=False)  # type: ignore[misc]
        return out

    def leave_network_out(self, families: Iterable[str]) -> list[Prediction]:
        """Every network of these families predicted by a fit, family correction included, that has not seen it."""
        out = []
        for network in sorted({r.network for r in self.rows if r.family in set(families)}):
            out += self._held_out(lambda r, n=network: r.network == n, corrected=True)  # type: ignore[misc]
        return out

    def _held_out(self, held: Keep, corrected: bool) -> list[Prediction]:
        fit = self.fit(lambda r: not held(r))
        out = []
        for r in filter(held, self.rows):
            shift = self.correction(fit, r.family, lambda o: not held(o)).log_factor if corrected else 0.0
            out.append(
                Prediction(
                    r.network, r.family, r.protocol, log_prediction(fit, self.features[r.network]) + shift,
                    math.log(r.latency_ms) - fit.log_scales.get(r.protocol, 0.0), math.log(r.latency_ms),
                )
            )  # fmt: skip
        return out

    def macs_baseline(self) -> list[Prediction]:
        """The same leave-one-family-out with a constant plus MACs, fitted in relative error."""
        out = []
        for family in sorted({r.family for r in self.rows}):
            train = [r for r in self.rows if r.family != family]
            x = np.array([[1.0, self.macs[r.network] / 1e9] for r in train])
            y = np.array([r.latency_ms for r in train])
            w = np.ones(len(train))
            for _ in range(50):
                a, *_rest = np.linalg.lstsq(x * (w / y)[:, None], w, rcond=None)
                w = 1 / np.sqrt(1 + ((x @ a / y - 1) / 0.3) ** 2) ** 0.5
            for r in self.rows:
                if r.family == family:
                    p = math.log(max(a[0] + a[1] * self.macs[r.network] / 1e9, 0.05))
                    y0 = math.log(r.latency_ms)
                    out.append(Prediction(r.network, r.family, r.protocol, p, y0, y0))
        return out
