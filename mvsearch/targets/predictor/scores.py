"""How far predictions lie from published values, network by network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mvsearch.targets.predictor.regression import conformal_half_width
from mvsearch.targets.predictor.validation import Scheme, SummaryRow

LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Prediction:
    """A held-out prediction beside its published value, in logs of ms.

    Attributes:
        network, family, protocol: of the row.
        predicted: at the reference protocol.
        published: at the reference protocol, by the scale of its own protocol (fitted without the held-out rows).
        raw: as printed.
        line: by a constant plus MACs, fitted on the same rows as printed.
        line_scaled: the same, fitted on the same rows at the reference protocol.
    """

    network: str
    family: str
    protocol: str
    predicted: float
    published: float
    raw: float
    line: float = math.nan
    line_scaled: float = math.nan

    @property
    def log_error(self) -> float:
        """log(predicted / published)."""
        return self.predicted - self.published

    def unscaled(self) -> Prediction:
        """The same against the value as printed: nobody says under which protocol it was taken."""
        return replace(self, published=self.raw)

    def by_macs(self) -> Prediction:
        """What a constant plus MACs says, against the value as printed."""
        return replace(self, predicted=self.line, published=self.raw)

    def by_macs_scaled(self) -> Prediction:
        """What a constant plus MACs says where it is given the protocols' scales as well."""
        return replace(self, predicted=self.line_scaled)


@dataclass(frozen=True, slots=True)
class NetworkError:
    """A network's predictions and published values, averaged over its rows in logs of ms."""

    network: str
    family: str
    predicted: float
    published: float

    @property
    def error(self) -> float:
        """log(predicted / published)."""
        return self.predicted - self.published


def by_network(predictions: Iterable[Prediction]) -> list[NetworkError]:
    """One error per network, sorted by name."""
    groups: dict[str, list[Prediction]] = defaultdict(list)
    for p in predictions:
        groups[p.network].append(p)
    return [
        NetworkError(n, g[0].family, sum(p.predicted for p in g) / len(g), sum(p.published for p in g) / len(g))
        for n, g in sorted(groups.items())
    ]


def summarise(
    scheme: Scheme,
    subset: str,
    predictor: str,
    predictions: Sequence[Prediction],
    half_width: Callable[[NetworkError], float] | None = None,
) -> SummaryRow:
    """Errors over networks; with the half width of each network's interval, how many of these hold the published value."""
    rows = by_network(predictions)
    relative = sorted(abs(math.expm1(r.error)) for r in rows)
    predicted, published = [r.predicted for r in rows], [r.published for r in rows]
    coverage = factor = None
    if half_width is not None:
        widths = [half_width(r) for r in rows]
        coverage = sum(abs(r.error) <= w for r, w in zip(rows, widths, strict=True)) / len(rows)
        factor = math.exp(sum(widths) / len(widths))
    return SummaryRow(
        scheme, subset, predictor, len(rows),
        mape_percent=100 * sum(relative) / len(relative),
        median_percent=100 * median(relative),
        spearman=spearman(predicted, published),
        kendall=kendall(predicted, published),
        factor90=math.exp(conformal_half_width([r.error for r in rows], LEVEL)),
        coverage=coverage,
        interval_factor=factor,
    )  # fmt: skip


def mape(log_errors: Iterable[float]) -> float:
    """Mean absolute error in %, of errors in logs."""
    relative = [abs(math.expm1(e)) for e in log_errors]
    return 100 * sum(relative) / len(relative)


def median(values: Iterable[float]) -> float:
    """Middle one, or the mean of the two."""
    ordered = sorted(values)
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
    """Kendall's tau-a: concordant minus discordant pairs over all pairs."""
    score = pairs = 0
    for i in range(len(x)):
        for j in range(i):
            product = (x[i] - x[j]) * (y[i] - y[j])
            score += (product > 0) - (product < 0)
            pairs += 1
    return score / pairs if pairs else math.nan


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where all are alike."""
    a, b = _ranks(x), _ranks(y)
    mean = (len(a) - 1) / 2
    cov = sum((i - mean) * (j - mean) for i, j in zip(a, b, strict=True))
    spread = math.sqrt(sum((i - mean) ** 2 for i in a) * sum((j - mean) ** 2 for j in b))
    return cov / spread if spread else math.nan


def _ranks(x: Sequence[float]) -> list[float]:
    return [sum(o < v for o in x) + (sum(o == v for o in x) - 1) / 2 for v in x]
