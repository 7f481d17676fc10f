"""The latencies of a pair by prediction, and how sure their ratio is.

Two networks that share nearly all operations share nearly all errors of a prediction: the interval of their ratio is not
what the intervals of the two would give. It is drawn from what the predictor may be wrong in: its constant, the overhead and
the speed of every kind of operation, and the speed of every single size of an operation, each by an independent factor
whose logarithm has the standard deviation `RATE_SPREAD`. What both networks have is wrong in both alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvsearch.costs import OP_KINDS, Costs, OpKind, Part
from mvsearch.costs.count import total
from mvsearch.costs.lessons import lower_lesson
from mvsearch.targets.lessons.lesson import KindDifference, Pair, PairResult, Ratio, judge
from mvsearch.targets.predictor.features import FP16_BYTES, Rates
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.neural_engine import fallback_risks
from mvsearch.targets.target import Target

if TYPE_CHECKING:
    import numpy as np

RATE_SPREAD = 0.6
"""With it, 90 % of the intervals hold the published ratio: 889 pairs of networks under one protocol on the iPhone 12, every
network predicted by a fit that has not seen its family."""
LEVEL = 0.9
DRAWS = 4000

OpGroup = tuple[OpKind, int, int, int]
"""(kind, MACs, weights, elements read and written) of alike operations."""


def predict_pair(pair: Pair, target: Target, model: LatencyModel) -> PairResult:
    """Both networks' latencies, their ratio and where they differ, by this predictor."""
    networks = (pair.first, pair.second)
    lowered = [lower_lesson(n) for n in networks]
    phone = target.resource if target.spec.runtime == "Core ML" else ""
    risks = [fallback_risks(n.spec, parts, phone) if phone else () for n, parts in zip(networks, lowered, strict=True)]
    first, second = (model.predict(parts, target=target.name, flags=flags) for parts, flags in zip(lowered, risks, strict=True))
    ratio = predicted_ratio(model, lowered[0], lowered[1])
    return PairResult(
        pair, both_costs(lowered), (first, second), ratio, differences(lowered[0], lowered[1], model), *judge(pair.claim, ratio)
    )


def both_costs(lowered: Sequence[Sequence[Part]]) -> tuple[Costs, Costs]:
    """Counted, of the first and the second network."""
    return total(lowered[0]), total(lowered[1])


def predicted_ratio(model: LatencyModel, first: Sequence[Part], second: Sequence[Part]) -> Ratio:
    """Predicted latency of the first network over the second's, with its interval; the same numbers at every call."""
    import numpy as np

    factor = model.split(first)[0] / model.split(second)[0]
    groups = op_groups(first), op_groups(second)
    value = model.predict(first, target="").value / model.predict(second, target="").value
    times = _drawn_times(model.rates, groups)
    drawn = factor * times[0] / times[1]
    low, high = (float(q) for q in np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    return Ratio(
        value, low, high, LEVEL, float(np.mean(drawn > 1)),
        f"what both share is wrong in both alike; rates wrong by x/÷ {math.exp(RATE_SPREAD):.1f} (one deviation)",
    )  # fmt: skip


def op_groups(parts: Sequence[Part]) -> Counter[OpGroup]:
    """How many operations of every size a network has."""
    found: Counter[OpGroup] = Counter()
    for part in parts:
        for segment, times in part.segments:
            for kind, macs, _, weights, _, read, written in segment.sizes:
                found[kind, macs, weights, read + written] += times
    return found


def _drawn_times(rates: Rates, groups: tuple[Counter[OpGroup], Counter[OpGroup]]) -> tuple[np.ndarray, np.ndarray]:
    """(draws,) ms of both networks, by the same wrong rates in every draw."""
    import numpy as np

    generator = np.random.default_rng(0)

    def wrong() -> np.ndarray:
        return np.exp(RATE_SPREAD * generator.standard_normal(DRAWS))

    base = rates.base_ms * wrong()
    times = (base, base.copy())
    every = sorted(groups[0].keys() | groups[1].keys())
    for kind in sorted({group[0] for group in every}):
        rate, overhead, speed = rates.kinds[kind], wrong(), wrong()
        for group in (g for g in every if g[0] == kind):
            bound = rate.bound_ms(group[1], FP16_BYTES * group[3], FP16_BYTES * group[2]) * speed * wrong()
            for time, counts in zip(times, groups, strict=True):
                if count := counts[group]:
                    time += count * (bound + rate.overhead_us / 1e3 * overhead)
    return times


def differences(first: Sequence[Part], second: Sequence[Part], model: LatencyModel | None) -> tuple[KindDifference, ...]:
    """Kinds whose operations differ, the largest predicted difference first; without a predictor, in the usual order."""
    mine, others = op_groups(first), op_groups(second)
    only_mine, only_others = mine - others, others - mine
    factors = (model.split(first)[0], model.split(second)[0]) if model else (1.0, 1.0)
    found: list[tuple[OpKind, int, int, float | None]] = []
    for kind in OP_KINDS:
        counts = [sum(n for group, n in only.items() if group[0] == kind) for only in (only_mine, only_others)]
        ms = None
        if model:
            both = [sum(model.kind_ms(p).get(kind, 0.0) for p in parts) for parts in (first, second)]
            ms = factors[0] * both[0] - factors[1] * both[1]
        if any(counts):
            found.append((kind, counts[0], counts[1], ms))
    whole = sum(ms for *_, ms in found if ms is not None)
    rows = [KindDifference(k, a, b, ms, ms / whole if ms is not None and whole else None) for k, a, b, ms in found]
    return tuple(sorted(rows, key=lambda r: -abs(r.ms or 0.0)))
