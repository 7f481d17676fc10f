"""Everything that a phone's shipped tables say about its predictor: fits, held-out errors, intervals, anchors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist

from mvsearch.targets.predictor.anchors import OffsetSpread, anchor_effects, offset_spread
from mvsearch.targets.predictor.intervals import Widths, widths, without_family, without_network
from mvsearch.targets.predictor.phones import PHONES, get_phone
from mvsearch.targets.predictor.regression import RateFit
from mvsearch.targets.predictor.scores import LEVEL, NetworkError, Prediction, by_network, median, summarise
from mvsearch.targets.predictor.study import FAMILY_OF_BODY, Study, phone_study
from mvsearch.targets.predictor.sufficiency import Evidence
from mvsearch.targets.predictor.validation import AnchorEffect, NoiseFloor, SummaryRow

RECENT = "iOS 16 era"
MOBILEVIT = "MobileViT"
KNOWN = "shipped, protocol known"
UNKNOWN = "shipped, protocol unknown"
ONE_SCALE = "shipped, one scale per protocol"
BASELINE = "constant + MACs"
BASELINE_KNOWN = "constant + MACs, protocol known"

MIN_ELSEWHERE = 10
"""Networks of another phone that a check on them takes."""


@lru_cache(maxsize=4)
def experiment(name: str) -> Experiment:
    """The experiment on a phone's shipped tables; run once in a process.

    Raises:
        TargetError: there is no table for it.
    """
    get_phone(name)
    return Experiment(phone_study(name))


@dataclass(frozen=True)
class Experiment:
    """Held-out predictions of a study, each kind computed once when it is first asked for."""

    study: Study

    @cached_property
    def fit(self) -> RateFit:
        """On all rows."""
        return self.study.fit()

    @cached_property
    def family_out(self) -> list[Prediction]:
        """See `Study.leave_family_out`."""
        return self.study.leave_family_out()

    @cached_property
    def network_out(self) -> list[Prediction]:
        """See `Study.leave_network_out`."""
        return self.study.leave_network_out()

    @cached_property
    def _errors(self) -> tuple[list[NetworkError], list[NetworkError]]:
        return by_network(self.family_out), by_network(self.network_out)

    @cached_property
    def widths(self) -> Widths:
        """Of the intervals that are shipped."""
        return widths(*self._errors)

    @cached_property
    def unseen_family_width(self) -> Callable[[NetworkError], float]:
        """Half width of a held-out network's interval, its family unseen."""
        return without_family(*self._errors)

    @cached_property
    def unseen_network_width(self) -> Callable[[NetworkError], float]:
        """Half width of a held-out network's interval, its family seen."""
        return without_network(*self._errors)

    @cached_property
    def offset_spread(self) -> OffsetSpread:
        """How far laboratories, families and networks lie apart."""
        return offset_spread(self._errors[0])

    @cached_property
    def anchors(self) -> tuple[AnchorEffect, ...]:
        """What own measurements do."""
        return anchor_effects(self.study, self.offset_spread)

    @cached_property
    def subsets(self) -> dict[str, Callable[[Prediction], bool]]:
        """Rows that figures are given for, by name."""
        found: dict[str, Callable[[Prediction], bool]] = {"all": lambda _: True}
        if self.study.phone.old:
            found[RECENT] = self.is_recent
        found[MOBILEVIT] = lambda p: p.family in FAMILY_OF_BODY.values()
        return found

    def is_recent(self, p: Prediction) -> bool:
        """Taken under software of the reference's time."""
        return p.protocol not in self.study.phone.old

    @cached_property
    def summary(self) -> tuple[SummaryRow, ...]:
        """Errors by what was left out, subset and predictor."""
        out = []
        for name, keep in self.subsets.items():
            rows = list(filter(keep, self.family_out))
            out += [
                summarise("leave-family-out", name, KNOWN, rows, self.unseen_family_width),
                summarise("leave-family-out", name, UNKNOWN, [p.unscaled() for p in rows]),
                summarise("leave-family-out", name, BASELINE_KNOWN, [p.by_macs_scaled() for p in rows]),
                summarise("leave-family-out", name, BASELINE, [p.by_macs() for p in rows]),
            ]
        pairs = [p for p in self.study.leave_two_families_out() if self.is_recent(p)]
        era = RECENT if self.study.phone.old else "all"
        out.append(summarise("leave-family-out", f"{era}, two families at a time", KNOWN, pairs, self.unseen_family_width))
        if not self.study.prior:
            for name in PHONES:
                if PHONES[name].prior == self.study.phone.name:
                    other = self.study.elsewhere(experiment(name).study)
                    if len(by_network(other)) >= MIN_ELSEWHERE:
                        subset = f"{PHONES[name].title}: networks not in this table"
                        out.append(summarise("leave-family-out", subset, ONE_SCALE, other))
        for name, keep in self.subsets.items():
            rows = list(filter(keep, self.network_out))
            out += [
                summarise("leave-network-out", name, KNOWN, rows, self.unseen_network_width),
                summarise("leave-network-out", name, BASELINE, [p.by_macs() for p in rows]),
            ]
        return tuple(out)

    def row(self, scheme: str, subset: str, predictor: str) -> SummaryRow:
        """One row of `summary`."""
        return next(r for r in self.summary if (r.scheme, r.subset, r.predictor) == (scheme, subset, predictor))

    @cached_property
    def noise_floor(self) -> tuple[NoiseFloor, ...]:
        """Differences between two protocols on one network, as printed and after the protocols' scales.

        Empty where no network was measured under two protocols.
        """
        old = self.study.phone.old
        subsets = (("all", frozenset[str]()), (RECENT, old)) if old else (("all", frozenset[str]()),)
        out = []
        for subset, without in subsets:
            for how, scales in (("as printed", {}), ("after protocol scales", self.fit.log_scales)):
                relative = [math.expm1(gap) for gap in self._gaps(scales, without)]
                if relative:
                    out.append(
                        NoiseFloor(
                            how, subset, len(relative), 100 * sum(relative) / len(relative), 100 * median(relative),
                            sum(r <= 0.1 for r in relative) / len(relative), sum(r <= 0.2 for r in relative) / len(relative),
                        )
                    )  # fmt: skip
        return tuple(out)

    def _gaps(self, log_scales: dict[str, float], without: frozenset[str]) -> list[float]:
        rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for r in self.study.rows:
            if r.protocol not in without:
                rows[r.network].append((r.protocol, math.log(r.latency_ms) - log_scales.get(r.protocol, 0.0)))
        return [abs(a - b) for g in rows.values() for i, (p, a) in enumerate(g) for q, b in g[:i] if p != q]

    @cached_property
    def floor(self) -> float:
        """Half width that one laboratory's value needs on account of noise alone, in log units.

        By the normal law through the median difference of two laboratories after their scales; 0 without any.
        """
        gaps = self._gaps(self.fit.log_scales, self.study.phone.old)
        if not gaps:
            return 0.0
        normal = NormalDist()
        return median(gaps) / normal.inv_cdf(0.75) / math.sqrt(2) * normal.inv_cdf((1 + LEVEL) / 2)

    @cached_property
    def evidence(self) -> Evidence:
        """What the rule of `sufficiency` looks at."""
        era = RECENT if self.study.phone.old else "all"
        own, baseline = self.row("leave-family-out", era, KNOWN), self.row("leave-family-out", era, BASELINE)
        rows = self.study.rows
        return Evidence(
            len({r.network for r in rows}), len({r.family for r in rows}), len({r.protocol for r in rows}),
            own.mape_percent, own.spearman, own.factor90, baseline.mape_percent,
        )  # fmt: skip
