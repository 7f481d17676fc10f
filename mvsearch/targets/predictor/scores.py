"""How far predictions lie from published values, network by network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mvsearch.targets.predictor.regression import conformal_half_width


@dataclass(frozen=True, slots=True)
class Prediction:
    """A held-out prediction beside its published value, in logs of ms.

    Attributes:
        published: at the reference protocol, by the scale of its own protocol (fitted without the held-out rows).
        raw: as printed.
    """

    network: str
    family: str
    protocol: str
    predicted: float
    published: float
    raw: float

    @property
    def log_error(self) -> float:
        """log(predicted / published)."""
        return self.predicted - self.published

    def unscaled(self) -> Prediction:
        """The same against the value as printed."""
        return replace(self, published=self.raw)


def summary(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Errors over networks (geometric mean over a network's rows).

    Returns:
        n, MAPE and median absolute error in %, Spearman, the factor that covers 90 % (conformal), and
        `coverage90`: share of networks inside the factor that the other families' errors give.
    """
    predicted, published, family = _by_network(predictions)
    errors = {n: predicted[n] - published[n] for n in predicted}
    relative = sorted(abs(math.expm1(e)) for e in errors.values())
    inside = 0
    for network, error in errors.items():
        others = [e for n, e in errors.items() if family[n] != family[network]]
        inside += bool(others) and abs(error) <= conformal_half_width(others, 0.9)
    names = sorted(errors)
    return {
        "n": len(errors),
        "mape": round(100 * sum(relative) / len(relative), 1),
        "median": round(100 * relative[len(relative) // 2], 1),
        "spearman": round(spearman([predicted[n] for n in names], [published[n] for n in names]), 3),
        "factor90": round(math.exp(conformal_half_width(list(errors.values()), 0.9)), 3),
        "coverage90": round(inside / len(errors), 3),
    }


def rank_correlations(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Kendall's tau over networks."""
    predicted, published, _ = _by_network(predictions)
    names = sorted(predicted)
    return {"kendall": round(kendall([predicted[n] for n in names], [published[n] for n in names]), 3)}


def _by_network(predictions: Iterable[Prediction]) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
    groups: dict[str, list[Prediction]] = defaultdict(list)
    for p in predictions:
        groups[p.network].append(p)
    return (
        {n: sum(p.predicted for p in g) / len(g) for n, g in groups.items()},
        {n: sum(p.published for p in g) / len(g) for n, g in groups.items()},
        {n: g[0].family for n, g in groups.items()},
    )


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
    """Spearman's rank correlation, ties at their mean rank."""
    a, b = _ranks(x), _ranks(y)
    mean = (len(a) - 1) / 2
    cov = sum((i - mean) * (j - mean) for i, j in zip(a, b, strict=True))
    return cov / math.sqrt(sum((i - mean) ** 2 for i in a) * sum((j - mean) ** 2 for j in b))


def _ranks(x: Sequence[float]) -> list[float]:
    return [sum(o < v for o in x) + (sum(o == v for o in x) - 1) / 2 for v in x]
