"""What a sampler is told of a candidate before it is evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mvsearch.spec.arch import ArchSpec


@dataclass(frozen=True, slots=True)
class Belief:
    """What an evaluation of a candidate is expected to bring.

    Attributes:
        values: objectives, in the order and the directions of the study.
        constraint: as Optuna has it, at most 0 where every budget is kept; -inf without any.
    """

    values: tuple[float, ...]
    constraint: float = -math.inf


Prior = Callable[[Sequence[ArchSpec]], Sequence[Belief | None]]
"""Beliefs about candidates, one by one; None for one that cannot be judged, which is passed over."""
Excess = Callable[[ArchSpec], float]
"""By how much a network exceeds its counted budgets: log of the worst ratio; at most 0 if all are kept."""
