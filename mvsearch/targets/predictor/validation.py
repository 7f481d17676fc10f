"""How far a phone's predictor is to be trusted: `validate_phone` refits it from the shipped tables.

Everything here is computed anew from `data/`; nothing is read from the shipped fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Scheme = Literal["leave-family-out", "leave-network-out"]


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One published latency, predicted by a fit that has not seen its network (or its whole family).

    Attributes:
        scheme: what was left out of the fit.
        network: with its resolution, e.g. `mobilevit_xs@256`.
        family: networks that are left out together.
        protocol: who measured, and how.
        recent: taken under iOS 16-era software, as the reference protocol is.
        macs: of the network.
        predicted_ms: at the reference protocol.
        low_ms, high_ms: interval at `PhoneValidation.level` that the held-out fit gives.
        published_ms: at the reference protocol, by the scale of its own, fitted without the held-out rows.
        printed_ms: as published.
        baseline_ms: what a constant plus MACs, fitted on the same rows, says.
        inside: `published_ms` lies in the interval.
    """

    scheme: Scheme
    network: str
    family: str
    protocol: str
    recent: bool
    macs: int
    predicted_ms: float
    low_ms: float
    high_ms: float
    published_ms: float
    printed_ms: float
    baseline_ms: float

    @property
    def inside(self) -> bool:
        """`published_ms` lies in the interval."""
        return self.low_ms <= self.published_ms <= self.high_ms

    @property
    def ratio(self) -> float:
        """Predicted over published, at the reference protocol."""
        return self.predicted_ms / self.published_ms


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """Errors over networks (geometric mean over a network's rows) of one predictor on one subset.

    Attributes:
        scheme: what was left out of each fit.
        subset: e.g. `all`, `iOS 16 era`, `MobileViT`.
        predictor: e.g. `shipped, protocol known`, `shipped, protocol unknown`, `constant + MACs`.
        networks: how many.
        mape_percent, median_percent: mean and median absolute error.
        spearman, kendall: rank correlations of predicted and published.
        factor90: 90 % of errors are within x/÷ this (conformal).
        coverage: share of networks inside their intervals, each from what the others' errors allow; None
            where a predictor has none.
        interval_factor: geometric mean of the intervals' x/÷; None where a predictor has none.
    """

    scheme: Scheme
    subset: str
    predictor: str
    networks: int
    mape_percent: float
    median_percent: float
    spearman: float
    kendall: float
    factor90: float
    coverage: float | None = None
    interval_factor: float | None = None


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How far two laboratories lie apart on one network and one device: no predictor can be nearer than that.

    Attributes:
        how: `as printed` or `after protocol scales`.
        subset: `all` or `iOS 16 era`.
        pairs: unordered pairs of rows of one network under two protocols.
        mape_percent, median_percent: of the differences.
        within_10, within_20: share of pairs that differ by at most 10 % or 20 %.
    """

    how: str
    subset: str
    pairs: int
    mape_percent: float
    median_percent: float
    within_10: float
    within_20: float


@dataclass(frozen=True, slots=True)
class ProtocolScale:
    """One laboratory's protocol and its factor on the reference.

    Attributes:
        protocol: its id in the table.
        scale: times the reference's latencies.
        rows, networks: used by the fit.
        reference: it is one of those that define the reference.
        recent: iOS 16-era software.
    """

    protocol: str
    scale: float
    rows: int
    networks: int
    reference: bool
    recent: bool


@dataclass(frozen=True, slots=True)
class AnchorEffect:
    """What k own measurements do: a family and its laboratory are held out, k of its networks given back.

    Attributes:
        anchors: k.
        trials: (choice of anchors, remaining network) pairs behind the figures.
        mape_percent, median_percent: errors of the remaining networks, as printed (protocol unknown).
        factor90: 90 % of errors are within x/÷ this.
        subset: `all families` (with more than 3 networks under one protocol) or `MobileViT`.
    """

    anchors: int
    trials: int
    mape_percent: float
    median_percent: float
    factor90: float
    subset: str


@dataclass(frozen=True, slots=True)
class PairRatio:
    """One network over another: published, and predicted.

    Attributes:
        name: e.g. `mobilevit_xs Config B / Config A`.
        predicted: ratio of latencies by a fit that has seen neither.
        published: the same as published on this phone; None where it is not.
        fitted: the same by the fit on all rows, which is shipped.
    """

    name: str
    predicted: float
    published: float | None
    fitted: float


@dataclass(frozen=True, slots=True)
class UnusedRow:
    """A published row that the fit leaves out, with its reason and what the fit predicts.

    Attributes:
        network, family, protocol: see `HeldOutRow`.
        device: as published.
        printed_ms: as published.
        predicted_ms: by the fit on all used rows; None where the network's operations are not known.
        reason: e.g. `an operation fell off the Neural Engine`.
        off_neural_engine: the reason is that one.
        risk: flag that the predictor raises for the network, if any.
    """

    network: str
    family: str
    protocol: str
    device: str
    printed_ms: float
    predicted_ms: float | None
    reason: str
    off_neural_engine: bool
    risk: str = ""


@dataclass(frozen=True)
class PhoneValidation:
    """How far a phone's predictor is to be trusted.

    Attributes:
        target: e.g. `iphone12`.
        device: e.g. `iPhone 12, 12 Pro, 12 Pro Max`.
        protocol: the reference, whose latency is predicted.
        rows_used, networks, families: behind the fit.
        data_hash: of the tables.
        level: of the intervals.
        refusal: why this phone's predictor is not shipped; empty if it is.
        held_out: every used row under both schemes; a network without published siblings only under the first.
        summary: errors by scheme, subset and predictor, the baseline beside it.
        noise_floor: how far laboratories lie apart.
        scales: protocols and their factors.
        anchors: effect of 0 to 3 own measurements.
        ratios: Config B over Config A.
        worst: the held-out rows with the largest errors (leave-family-out), worst first.
        unused: rows that the fit leaves out, those off the Neural Engine first.
    """

    target: str
    device: str
    protocol: str
    rows_used: int
    networks: int
    families: int
    data_hash: str
    level: float
    refusal: str
    held_out: tuple[HeldOutRow, ...]
    summary: tuple[SummaryRow, ...]
    noise_floor: tuple[NoiseFloor, ...]
    scales: tuple[ProtocolScale, ...]
    anchors: tuple[AnchorEffect, ...]
    ratios: tuple[PairRatio, ...]
    worst: tuple[HeldOutRow, ...]
    unused: tuple[UnusedRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)
