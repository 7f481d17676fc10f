"""What a move costs and brings: accuracy lost, budget saved, and the score by which the best move is taken. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mvsearch.search.goals import Goals
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import SLIM_CRITERIA

Limits = Mapping[str, float]
"""Budget metric -> the most that is allowed, in the metric's unit."""
COUNTED = ("params", "macs", "flops", "weight_bytes")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a network, as slimming weighs it.

    Attributes:
        accuracy: lower bound of top-1 in %, at the run's confidence.
        ms: expected latency.
        amounts: by budget metric: counted costs, and as `latency` the bound that has to keep a budget, in ms.
    """

    accuracy: float
    ms: float
    amounts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A move as it is weighed.

    Attributes:
        lost: points of accuracy; negative where the move gains some.
        saving: see `saving`.
        gain: what the criterion sets the loss against.
    """

    lost: float
    saving: float
    gain: float

    @property
    def is_free(self) -> bool:
        """Whether it loses no accuracy: such moves come first, and of these the one that brings the most accuracy."""
        return self.lost <= 0

    @property
    def score(self) -> float:
        """Points lost for one unit of gain; the smallest is the best."""
        return self.lost / self.gain

    @property
    def rank(self) -> tuple[bool, float, float]:
        """To order moves by, the best first."""
        return (False, self.lost, -self.gain) if self.is_free else (True, self.score, 0.0)


def standing_of(evaluation: Evaluation, goals: Goals) -> Standing:
    """How an evaluated network stands.

    Args:
        evaluation: one that did not fail, with its counted costs.
        goals: of the run.
    """
    m = evaluation.measurements
    amounts = {metric: m[metric].value for metric in COUNTED}
    return Standing(
        goals.lower_top1(evaluation), m["latency"].value, {**amounts, "latency": m["latency"].quantile(goals.confidence)}
    )


def limits_of(goals: Goals) -> Limits:
    """The budgets of a run."""
    return {b.metric: b.limit for b in goals.budgets}


def violated(standing: Standing, limits: Limits) -> tuple[str, ...]:
    """The metrics that are over their limits."""
    return tuple(metric for metric, limit in limits.items() if standing.amounts[metric] > limit)


def saving(before: Standing, after: Standing, limits: Limits) -> float:
    """What a move saves.

    While limits are violated: the share of what is still in excess of each, summed over these; more than the whole excess
    counts as the whole. For one limit that is proportional to what is saved (in ms, parameters, ...), and several are
    worth the same however far away they are. When all limits are kept: ms.

    Returns:
        0 where the move is not allowed: it raises what is violated, or violates what was kept.
    """
    over = violated(before, limits)
    a, b = before.amounts, after.amounts
    if any(b[metric] > a[metric] for metric in over) or any(m not in over for m in violated(after, limits)):
        return 0.0
    if not over:
        return max(0.0, before.ms - after.ms)
    return sum(min(1.0, (a[m] - b[m]) / (a[m] - limits[m])) for m in over)


@dataclass(frozen=True, slots=True)
class Mes:
    """The Mobile Efficiency Score of EfficientFormerV2 (arXiv 2212.08059, equation 7): the smaller a network, the higher.

        base * (params / units["params"]) ** -exponents["params"] * (ms / units["latency"]) ** -exponents["latency"]

    The equation is printed with positive exponents, by which larger networks would score higher; the text means the
    opposite, so the sign is put right here. The base of 100 is the paper's. Units (MobileNetV2's 3 M parameters, and 1 ms)
    and exponents (1.0 for latency, "to emphasize speed", 0.5 for size) are as remembered from its section 3; they
    could not be checked against the text. The base and the units scale every gain alike: they change no choice.

    Attributes:
        base: the score of a network of one unit each.
        units: of `params`, and of `latency` in ms.
        exponents: how much each matters; above 0.
    """

    base: float = 100.0
    units: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"params": 3e6, "latency": 1.0}))
    exponents: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"params": 0.5, "latency": 1.0}))

    def of(self, params: float, ms: float) -> float:
        """The score of a network."""
        amounts = {"params": params, "latency": ms}
        return self.base * math.exp(-sum(e * math.log(amounts[m] / self.units[m]) for m, e in self.exponents.items()))

    def gain(self, before: Standing, after: Standing, limits: Limits) -> float:
        """How much a move raises the score."""
        return self.of(after.amounts["params"], after.ms) - self.of(before.amounts["params"], before.ms)


Gain = Callable[[Standing, Standing, Limits], float]
CRITERIA: Mapping[str, Gain] = MappingProxyType(dict(zip(SLIM_CRITERIA, (saving, Mes().gain), strict=True)))
"""What the loss of accuracy is set against, by the name of the criterion."""


def weigh(before: Standing, after: Standing, limits: Limits, gain: Gain = saving) -> Weighed | None:
    """A move as the criterion sees it; None if it is not allowed, saves nothing, or gains nothing."""
    saved = saving(before, after, limits)
    if saved <= 0:
        return None
    gained = saved if gain is saving else gain(before, after, limits)
    return Weighed(before.accuracy - after.accuracy, saved, gained) if gained > 0 else None
