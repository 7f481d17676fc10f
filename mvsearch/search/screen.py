"""The screen that our sampler has built in, as one small object that can be lent to any other engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mvsearch.search.belief import Belief
from mvsearch.search.bench.volume import Direction, Values, gains
from mvsearch.spec.arch import ArchSpec

Reason = Literal["over-budget", "duplicate", "dominated"]

PATIENCE = 60
"""Proposals that may be rejected as dominated before one of them costs a trial nevertheless."""


@dataclass
class Screen:
    """Says of a proposal whether it should cost a trial.

    A proposal is rejected if it is over a counted budget (exact), believed to miss a predicted one, evaluated already, or
    if the values that are believed of it are dominated by values that were observed. After `PATIENCE` rejections in a row
    what is only dominated is let through: the belief may be wrong.

    Attributes:
        directions: of the objectives.
        patience: see above.
    """

    directions: tuple[Direction, ...]
    patience: int = PATIENCE
    _seen: set[str] = field(default_factory=set)
    _front: list[Values] = field(default_factory=list)
    _rejected_in_a_row: int = 0

    def reason(self, spec: ArchSpec, excess: float, belief: Belief | None) -> Reason | None:
        """Why the proposal is rejected; None if it is let through.

        Args:
            spec: the proposal.
            excess: over counted budgets; more than 0 is over.
            belief: about it; not looked at where the excess or the network settles it.
        """
        found: Reason | None = None
        if excess > 0 or (belief is not None and belief.constraint > 0):
            found = "over-budget"
        elif spec.arch_id in self._seen:
            found = "duplicate"
        elif belief is not None and self._rejected_in_a_row < self.patience and self._dominated(belief.values):
            found = "dominated"
        self._rejected_in_a_row = self._rejected_in_a_row + 1 if found else 0
        return found

    def knows(self, spec: ArchSpec) -> bool:
        """Whether the network was evaluated already."""
        return spec.arch_id in self._seen

    def add(self, spec: ArchSpec, values: Values, feasible: bool) -> None:
        """Take note of an evaluation."""
        self._seen.add(spec.arch_id)
        if feasible and not self._dominated(values):
            new = self._gains(values)
            self._front = [f for f in self._front if not all(a <= b for a, b in zip(f, new, strict=True))] + [new]

    def _dominated(self, values: Values) -> bool:
        new = self._gains(values)
        return any(all(a >= b for a, b in zip(f, new, strict=True)) for f in self._front)

    def _gains(self, values: Values) -> Values:
        return gains(values, self.directions, (0.0,) * len(self.directions))
