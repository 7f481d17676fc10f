"""Judging scores by the order that they give to the published MobileViTs, above all at equal size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvsearch.accuracy.validation.networks import BANDS, Judged
from mvsearch.accuracy.validation.ranks import (
    Statistic,
    Vector,
    bootstrap,
    pairs_right,
    partial_spearman,
    spearman,
    tau_b,
    vector,
)
from mvsearch.accuracy.validation.records import Correlation, Mark, Obtained, ProxyResult

ALL = "all"
SIZE = ("params", "activations")
"""The baselines: what does not order networks of equal size better than these two says nothing beyond size."""
GIVEN = ("params", "macs")
"""What the partial correlation holds fixed."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One score for every judged network.

    Attributes:
        name: of the row.
        obtained: see `ProxyResult`.
        how: see `ProxyResult`.
        values: in the order of the networks; higher is meant to be better; None where it failed.
        seconds: per network; None if it is not timed.
    """

    name: str
    obtained: Obtained
    how: str
    values: tuple[float | None, ...]
    seconds: float | None = None


def judge(networks: Sequence[Judged], columns: Sequence[Scores], seed: int) -> tuple[ProxyResult, ...]:
    """A row per column of scores.

    Args:
        networks: n of them.
        columns: `params`, `activations` and `macs` among them.
        seed: of the bootstrap.
    """
    return tuple(_Judge(networks, columns, c, seed).result() for c in columns)


def mark_of(name: str, over_params: Statistic | None, over_activations: Statistic | None) -> Mark:
    """The rule: beyond size is what orders more iso-size pairs right than `params` and than `activations`.

    More means that the difference's 90 % bootstrap interval over networks lies above 0, for both.
    """
    if name in SIZE:
        return "size"
    lows = [d.low if d else None for d in (over_params, over_activations)]
    return "beyond size" if all(low is not None and low > 0 for low in lows) else "no evidence beyond size"


class _Judge:
    """One column against the labels, on the networks where it has a score."""

    def __init__(self, networks: Sequence[Judged], columns: Sequence[Scores], column: Scores, seed: int) -> None:
        kept = [i for i, v in enumerate(column.values) if v is not None]
        self._column, self._seed, self._failures = column, seed, len(networks) - len(kept)
        self._names = [c.name for c in columns]
        self._columns = {c.name: vector([c.values[i] for i in kept]) for c in columns if c.name in (*SIZE, *GIVEN)}
        self._scores = vector([column.values[i] for i in kept])
        self._labels = vector([networks[i].top1 for i in kept])
        self._bands = np.array([networks[i].band for i in kept])

    def result(self) -> ProxyResult:
        pairs = self._iso_size_pairs()
        over = {base: self._over(base, pairs) for base in SIZE}
        return ProxyResult(
            self._column.name,
            self._column.obtained,
            self._column.how,
            (self._correlation(ALL), *(self._correlation(b) for b in BANDS)),
            self._statistic(lambda w: pairs_right(self._scores, self._labels, pairs, w)),
            int((pairs * (self._labels[:, None] != self._labels[None, :])).sum()) // 2,
            over["params"],
            over["activations"],
            self._partial(),
            mark_of(self._column.name, over["params"], over["activations"]),
            self._column.seconds,
            self._failures,
        )

    def _statistic(self, of: object) -> Statistic:
        return bootstrap(of, len(self._scores), self._seed)  # type: ignore[arg-type]

    def _correlation(self, subset: str) -> Correlation:
        inside = np.ones(len(self._labels), dtype=bool) if subset == ALL else self._bands == subset
        x, y = self._scores[inside], self._labels[inside]
        return Correlation(
            subset,
            len(x),
            bootstrap(lambda w: tau_b(x, y, w), len(x), self._seed),
            bootstrap(lambda w: spearman(x, y, w), len(x), self._seed),
        )

    def _iso_size_pairs(self) -> Vector:
        """(n, n): 1 for two networks of one of the three size bands."""
        same = (self._bands[:, None] == self._bands[None, :]) & (self._bands != BANDS[-1])[:, None]
        np.fill_diagonal(same, False)
        return np.asarray(same, dtype=np.float64)

    def _over(self, base: str, pairs: Vector) -> Statistic | None:
        if self._column.name == base:
            return None
        x, y, other = self._scores, self._labels, self._columns[base]
        return self._statistic(lambda w: pairs_right(x, y, pairs, w) - pairs_right(other, y, pairs, w))

    def _partial(self) -> Statistic:
        if self._column.name in GIVEN:
            return Statistic(None)
        given = [self._columns[g] for g in GIVEN]
        return self._statistic(lambda w: partial_spearman(self._scores, self._labels, given, w))
