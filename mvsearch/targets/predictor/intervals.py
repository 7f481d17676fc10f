"""Half widths of the predictor's intervals, in log units, from the errors of what was left out.

A candidate shares its family with published anchors, but lies further from them than they lie from each
other. So its interval stands between two: that of a network whose family's others were seen, over all
families that have others, and that of a network whose whole family was not. Blocks without anchors of
their own get the latter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mvsearch.targets.predictor.regression import conformal_half_width
from mvsearch.targets.predictor.scores import LEVEL, NetworkError


@dataclass(frozen=True, slots=True)
class Widths:
    """Half widths of the interval at `LEVEL`.

    Attributes:
        anchored: for a network of a family that has anchors.
        heir: for one without.
    """

    anchored: float
    heir: float


def widths(family_out: Sequence[NetworkError], network_out: Sequence[NetworkError]) -> Widths:
    """Half widths from the errors under both schemes."""
    new_family = conformal_half_width([e.error for e in family_out], LEVEL)
    new_network = conformal_half_width([e.error for e in network_out], LEVEL)
    anchored = math.sqrt((new_family**2 + new_network**2) / 2)
    return Widths(anchored, max(new_family, anchored))


def without_family(family_out: Sequence[NetworkError], network_out: Sequence[NetworkError]) -> Callable[[NetworkError], float]:
    """Half width for a network of an unseen family: from the errors of the other families only."""
    known: dict[str, float] = {}

    def half_width(held: NetworkError) -> float:
        if held.family not in known:
            known[held.family] = widths(
                [e for e in family_out if e.family != held.family], [e for e in network_out if e.family != held.family]
            ).heir
        return known[held.family]

    return half_width


def without_network(family_out: Sequence[NetworkError], network_out: Sequence[NetworkError]) -> Callable[[NetworkError], float]:
    """Half width for an unseen network of a family with anchors: from the errors of all other networks."""

    def half_width(held: NetworkError) -> float:
        return widths(
            [e for e in family_out if e.network != held.network], [e for e in network_out if e.network != held.network]
        ).anchored

    return half_width
