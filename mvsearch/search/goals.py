"""What a run is after: objectives, budgets and the confidence with which they have to hold. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mvsearch.accuracy.estimator import Estimator
from mvsearch.costs import Costs, count
from mvsearch.search.pareto import Pair
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import Budget
from mvsearch.spec.published import MOBILEVIT
from mvsearch.spec.record import Evaluation


@dataclass(frozen=True, slots=True)
class Goals:
    """Objectives and budgets of a run.

    Attributes:
        budgets: upper limits.
        confidence: one-sided probability with which a predicted budget has to be met, and with which top-1 is
            at least the lower bound that is maximised.
        resolution: side of the image in pixels.
        estimator: fit of top-1 by which networks are judged: with the user's own networks, or the one that ships (None).
        floor: lower bound of top-1 in % below which a candidate is not worth having: that of the least accurate
            published network that keeps the budgets.
        family: of the space, whose published networks are those.
    """

    budgets: tuple[Budget, ...]
    confidence: float
    resolution: int
    floor: float = -math.inf
    estimator: Estimator | None = None
    family: str = MOBILEVIT

    def excess(self, spec: ArchSpec) -> float:
        """By how much the network exceeds its counted budgets: log of the worst ratio, at most 0 if all are kept."""
        counted = [b for b in self.budgets if b.is_counted]
        if not counted:
            return -math.inf
        costs = count(spec, self.resolution)
        return max(math.log(cost_of(costs, b) / b.limit) for b in counted)

    def lower_top1(self, evaluation: Evaluation) -> float:
        """Lower confidence bound of top-1, in %."""
        return evaluation.measurements["top1"].quantile(1 - self.confidence)

    def objectives(self, evaluation: Evaluation) -> Pair:
        """(lower bound of top-1 in %, latency in ms): to maximise, to minimise."""
        return self.lower_top1(evaluation), evaluation.measurements["latency"].value

    def violation(self, evaluation: Evaluation) -> float:
        """By how much a latency budget is missed at the stated confidence: log of the ratio, 0 if it is met."""
        bounds = [
            math.log(evaluation.measurements["latency"].quantile(self.confidence) / b.limit)
            for b in self.budgets
            if not b.is_counted
        ]
        return max([0.0, *bounds])

    def keeps_budgets(self, evaluation: Evaluation) -> bool:
        """Whether every budget is kept, a predicted one at the stated confidence."""
        return self.excess(evaluation.spec) <= 0 and self.violation(evaluation) <= 0

    def shortfall(self, evaluation: Evaluation) -> float:
        """Points of top-1 by which a candidate stays below the floor; 0 if it does not."""
        return max(0.0, self.floor - self.lower_top1(evaluation))

    def constraint(self, evaluation: Evaluation) -> float:
        """At most 0 where a latency budget is met at the stated confidence and the floor is reached; -inf without either."""
        latency = evaluation.measurements["latency"].quantile(self.confidence)
        misses = [math.log(latency / b.limit) for b in self.budgets if not b.is_counted]
        return max([self.floor - self.lower_top1(evaluation), *misses])

    def probability_in_budget(self, evaluation: Evaluation) -> float:
        """Probability that the latency budget is met; 1 without one."""
        limits = [b.limit for b in self.budgets if not b.is_counted]
        return evaluation.measurements["latency"].probability_at_most(min(limits)) if limits else 1.0


def cost_of(costs: Costs, budget: Budget) -> int:
    """The counted cost that a budget limits."""
    return int(getattr(costs, budget.metric))
