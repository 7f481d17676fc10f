"""Which dimensions of a space go with which objective, among the trials of a run.

The measure is the correlation ratio of ranks: trials are grouped by their value of one dimension, and the share of the
objective's variance (of its ranks) that lies between the groups is taken, which is the Kruskal-Wallis statistic H over
n - 1 (Kruskal and Wallis, JASA 47, 1952; eta squared of ranks). It is 0 where a dimension tells nothing of the objective and 1
where it settles the order. Ranks make it the same for milliseconds and their logarithm.

What it is not: a cause. A search does not try the dimensions independently of each other: its candidates share ancestors, and
two knobs that were raised together share what either does. A dimension that matters only together with another shows little.
And it says what mattered among these trials, within the budget, not in the whole space.

Groups differ by chance too, the more the smaller they are. So each share comes with a noise floor: the quantile of the shares
that the same groups have when the objective is dealt out at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvsearch.spec.space import Value

Array = np.ndarray[Any, np.dtype[np.float64]]
Groups = np.ndarray[Any, np.dtype[np.int64]]
MAX_GROUPS = 8
"""A dimension of more numbers is cut into about this many groups of neighbours, of about equal size."""
MIN_TRIALS = 20
"""With fewer no share is worth a look."""
PERMUTATIONS = 200
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Importance:
    """How much one dimension goes with one objective.

    Attributes:
        dimension, objective: their names.
        share: of the variance of the objective's ranks between the dimension's groups, 0 to 1.
        floor: the share that chance alone stays below in 95 of 100 cases.
        direction: Spearman's rank correlation with the dimension, -1 to 1; None where its values have no order.
        groups: how many groups were compared.
        trials: how many trials were.
    """

    dimension: str
    objective: str
    share: float
    floor: float
    direction: float | None
    groups: int
    trials: int

    @property
    def is_above_noise(self) -> bool:
        """Whether chance alone would hardly give such a share."""
        return self.share > self.floor


def importances(
    dimensions: Mapping[str, Sequence[Value | None]], objectives: Mapping[str, Sequence[float]], seed: int = 0
) -> tuple[Importance, ...]:
    """The share of every dimension in every objective, dimension by dimension; those held at one value are left out.

    Args:
        dimensions: name -> value per trial; None where a network lacks the dimension, which is a group of its own.
        objectives: name -> number per trial.
        seed: of the noise floor's permutations.

    Returns:
        Nothing for fewer than `MIN_TRIALS` trials.

    Raises:
        ValueError: columns of different lengths, or an objective that is not finite.
    """
    lengths = {len(c) for c in (*dimensions.values(), *objectives.values())}
    if len(lengths) > 1:
        raise ValueError(f"columns of different lengths: {sorted(lengths)}")
    n = lengths.pop() if lengths else 0
    if n < MIN_TRIALS:
        return ()
    ranked = {name: standard_ranks(np.asarray(values, dtype=float)) for name, values in objectives.items()}
    # The floor depends on the sizes of the groups alone, so that one set of permutations does for all objectives.
    rng = np.random.default_rng(seed)
    shuffled = np.stack([rng.permutation(standard_ranks(np.arange(n, dtype=float))) for _ in range(PERMUTATIONS)])
    found = []
    for dimension, column in dimensions.items():
        groups = grouped(column)
        if groups.max() == 0:
            continue
        floor = float(np.quantile(between_share(groups, shuffled), LEVEL))
        order = _order(column)
        for objective, ranks in ranked.items():
            share = float(between_share(groups, ranks[None, :])[0])
            direction = None if order is None else float((order * ranks).mean())
            found.append(Importance(dimension, objective, share, floor, direction, int(groups.max()) + 1, n))
    return tuple(found)


def standard_ranks(values: Array) -> Array:
    """Ranks (the mean rank for ties) with mean 0 and variance 1; zeros if all are alike.

    Raises:
        ValueError: a value that is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("a value that is not finite has no rank")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    ranks = np.asarray(middle[inverse], dtype=float)
    spread = ranks.std()
    return np.asarray((ranks - ranks.mean()) / spread if spread else np.zeros_like(ranks))


def grouped(column: Sequence[Value | None]) -> Groups:
    """Group of every trial, from 0: one per value, or per stretch of neighbours of a dimension with many numbers."""
    values = sorted({v for v in column if v is not None}, key=lambda v: (isinstance(v, str), v))
    place = {v: i for i, v in enumerate(values)}
    if len(values) > MAX_GROUPS and not any(isinstance(v, str) for v in values):
        counts = np.bincount([place[v] for v in column if v is not None], minlength=len(values))
        # A value falls to the group that holds the middle of its trials in order.
        middles = (np.cumsum(counts) - counts / 2) / counts.sum()
        place = {v: int(middles[i] * MAX_GROUPS) for i, v in enumerate(values)}
    lacking = len(values)
    raw = np.array([lacking if v is None else place[v] for v in column])
    return np.asarray(np.unique(raw, return_inverse=True)[1], dtype=np.int64)


def between_share(groups: Groups, rows: Array) -> Array:
    """Share of each row's variance that lies between groups; 0 for a row without variance.

    Args:
        groups: (n,) group of every trial, from 0.
        rows: (m, n) standardised values.
    """
    member = np.eye(int(groups.max()) + 1)[groups]
    means = rows @ member / member.sum(axis=0)
    return np.asarray((means**2 * member.sum(axis=0)).sum(axis=1) / rows.shape[1])


def _order(column: Sequence[Value | None]) -> Array | None:
    numbers = [v for v in column if isinstance(v, int | float)]
    if len(numbers) < len(column):
        return None
    return standard_ranks(np.asarray(numbers, dtype=float))
