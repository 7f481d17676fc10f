"""What each member of a family gains over the one before, what that costs, and where it stops paying."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from mvsearch.accuracy.calibration import TIE_THRESHOLD
from mvsearch.accuracy.resolution import resolution_effect
from mvsearch.scaling.power_law import LEVEL, Array
from mvsearch.scaling.view import Knee, Marginal, Member, Uncertain
from mvsearch.search.law import Figures, Law, law_of

WINDOW = 1.25
"""A member is judged against one that is at least this much faster, so that the verdict does not hang on their number."""
KNEE_RULE = (
    f"A member pays while a quarter more latency buys at least {TIE_THRESHOLD:g} points of top-1; "
    "networks that lie closer are one tier for the estimate."
)
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


def with_gains(members: Sequence[Member]) -> tuple[tuple[Member, ...], Knee | None]:
    """The members with what each gains over the one before, and the family's knee.

    The interval of a gain is that of `search.law`: what two networks' estimates have in common of their errors cancels,
    and orders come true as often as `accuracy.probability_better` says. A step in resolution adds the doubt of its effect.

    Args:
        members: of one family, the cheapest first.
    """
    if len(members) < 2:
        return tuple(members), None
    law = law_of([_figures(m) for m in members])
    points = [m.evaluation.measurements["top1"].value for m in members]
    ms = [m.evaluation.measurements["latency"].value for m in members]
    judged = [members[0]]
    for i in range(1, len(members)):
        gain, added = points[i] - points[i - 1], ms[i] - ms[i - 1]
        sd = _sd(law, members, i, i - 1)
        judged.append(replace(members[i], marginal=Marginal(
            points=_uncertain(gain, sd),
            added_ms=added,
            points_per_ms=_uncertain(gain / added, sd / added) if added > 0 else None,
            probability=NormalDist().cdf(gain / sd) if sd else float(gain > 0),
            pays=_pays(points, ms, i),
        )))  # fmt: skip
    return tuple(judged), _knee(judged)


def probability_worse(member: Member, best: Member) -> float:
    """Probability that a member is less accurate in truth than another."""
    law = law_of([_figures(member), _figures(best)])
    gain = best.evaluation.measurements["top1"].value - member.evaluation.measurements["top1"].value
    sd = _sd(law, (member, best), 0, 1)
    return NormalDist().cdf(gain / sd) if sd else 0.5


def _figures(m: Member) -> Figures:
    found = m.evaluation.measurements
    return Figures(m.evaluation.spec, m.evaluation.resolution, found["top1"], found["latency"])


def _sd(law: Law, members: Sequence[Member], i: int, j: int) -> float:
    """Standard deviation of the difference of two estimates of top-1, in points."""
    apart: Array = law.top1_causes[i] - law.top1_causes[j]
    error = 100 - (members[i].evaluation.measurements["top1"].value + members[j].evaluation.measurements["top1"].value) / 2
    sides = members[i].evaluation.resolution, members[j].evaluation.resolution
    own = law.top1_own[i] ** 2 + law.top1_own[j] ** 2
    return math.sqrt(float(np.sum(apart**2)) + float(own) + (error * resolution_effect().sd(*sides)) ** 2)


def _uncertain(value: float, sd: float) -> Uncertain:
    return Uncertain(value, value - _Z * sd, value + _Z * sd, LEVEL)


def _pays(points: Sequence[float], ms: Sequence[float], i: int) -> bool:
    faster = [j for j in range(i) if ms[j] * WINDOW <= ms[i]]
    before = faster[-1] if faster else 0
    if ms[i] <= ms[before]:
        return points[i] > points[before]
    rate = (points[i] - points[before]) / math.log(ms[i] / ms[before])
    return rate * math.log(WINDOW) >= TIE_THRESHOLD


def _knee(members: Sequence[Member]) -> Knee:
    paying = [i for i, m in enumerate(members) if m.marginal is not None and m.marginal.pays]
    if not paying:
        return Knee(0, KNEE_RULE, "No step of this family pays: its first member is where to stay.")
    last = paying[-1]
    if last == len(members) - 1:
        return Knee(None, KNEE_RULE, "Every size up to the end of the range pays.")
    found = members[last].evaluation.measurements
    text = f"It stops paying at {found['latency'].value:.2f} ms, estimated top-1 {found['top1'].value:.1f} %."
    return Knee(last, KNEE_RULE, text)
