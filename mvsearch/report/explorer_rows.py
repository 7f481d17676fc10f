"""The networks that the explorer shows, one row each: every trial, the published MobileViTs, the networks of the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from mvsearch.report.words import family_of, short_name
from mvsearch.spec.record import Evaluation, Measurement
from mvsearch.spec.run import FrontMember, PublishedPoint, RunSettings, RunView

RowRole = Literal["candidate", "front", "tied", "winner", "over", "struck", "failed", "published"]
ROLES: tuple[RowRole, ...] = ("candidate", "front", "tied", "winner", "over", "struck", "failed", "published")
ON_FRONT: tuple[RowRole, ...] = ("front", "tied", "winner")
_NEAREST = re.compile(r"\bnearest (\S+)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One network of this run, or a published one that is judged by the same models.

    Attributes:
        name: `arch_id`, or the published name.
        role: what it is in this run; `over` keeps its counted budgets, but not a predicted one.
        evaluation: its numbers, at the highest rung reached.
        lower_top1: lower bound of top-1 in % at the run's confidence; None where there is no top-1.
        distance: standard deviation in points of top-1 that its distance from evidence adds; None where that is unknown.
        probability_in_budget: that it keeps the predicted budgets; None without any.
        probability_on_front: of a member of the front, that no other candidate is as accurate and as fast.
        nearest: name of the nearest published network; empty if unknown.
        origin: where the proposal came from; empty for a published network.
        trial, generation: its numbers; None for a published network.
        label, family: of a published network.
        said: top-1 in % that the authors report.
        feasible: whether it keeps all budgets.
    """

    name: str
    role: RowRole
    evaluation: Evaluation
    lower_top1: float | None
    distance: float | None
    probability_in_budget: float | None
    probability_on_front: float | None = None
    nearest: str = ""
    origin: str = ""
    trial: int | None = None
    generation: int | None = None
    label: str = ""
    family: str = ""
    said: float | None = None
    feasible: bool = True


def rows_of(view: RunView) -> tuple[Row, ...]:
    """All trials in order, then the published networks."""
    base = evidence_sigma(view.published)
    members = {m.evaluation.arch_id: m for m in view.front}
    struck = {e.arch_id: e for e in view.struck}
    rows = []
    for t in view.trials:
        member, gone = members.get(t.evaluation.arch_id), struck.get(t.evaluation.arch_id)
        evaluation = member.evaluation if member else gone or t.evaluation
        rows.append(
            Row(
                t.evaluation.arch_id,
                _role(member, view.winner) if member else "struck" if gone else _plain_role(evaluation, t.feasible),
                evaluation,
                member.lower_top1 if member else _lower(evaluation, view.settings),
                _distance(evaluation, base),
                _in_budget(evaluation, view.settings),
                member.probability_on_front if member else None,
                member.nearest if member else nearest_of(evaluation),
                t.origin,
                t.number,
                t.generation,
                feasible=t.feasible,
            )
        )
    return (*rows, *(_published_row(p, view.settings, base) for p in view.published))


def _published_row(p: PublishedPoint, settings: RunSettings, base: float | None) -> Row:
    return Row(
        p.name, "published", p.evaluation, _lower(p.evaluation, settings), _distance(p.evaluation, base),
        _in_budget(p.evaluation, settings), nearest=nearest_of(p.evaluation), label=short_name(p.name),
        family=family_of(p.name), said=p.published_top1.value if p.published_top1 else None, feasible=p.feasible,
    )  # fmt: skip


def _role(member: FrontMember, winner: str | None) -> RowRole:
    if member.evaluation.arch_id == winner:
        return "winner"
    return "tied" if member.tied and winner else "front"


def _plain_role(evaluation: Evaluation, feasible: bool) -> RowRole:
    return "failed" if evaluation.failure else "candidate" if feasible else "over"


def _lower(evaluation: Evaluation, settings: RunSettings) -> float | None:
    m = evaluation.measurements.get("top1")
    return m.quantile(1 - settings.confidence) if m else None


def _in_budget(evaluation: Evaluation, settings: RunSettings) -> float | None:
    m = evaluation.measurements.get("latency")
    limits = [b.limit for b in settings.budgets if not b.is_counted]
    return min(m.probability_at_most(x) for x in limits) if m and limits else None


def sigma_of(m: Measurement) -> float | None:
    """Standard deviation of a number with a linear error, by its interval; None without an interval."""
    if m.low is None or m.high is None or m.level is None or m.scale != "linear":
        return None
    return (m.high - m.low) / (2 * NormalDist().inv_cdf(0.5 + m.level / 2))


def evidence_sigma(published: Iterable[PublishedPoint]) -> float | None:
    """Standard deviation of an estimate that no distance adds to: the least of the published networks'."""
    sigmas = [sigma_of(p.evaluation.measurements["top1"]) for p in published if "top1" in p.evaluation.measurements]
    return min((s for s in sigmas if s is not None), default=None)


def _distance(evaluation: Evaluation, base: float | None) -> float | None:
    m = evaluation.measurements.get("top1")
    sigma = sigma_of(m) if m and m.kind == "estimated" else None
    return None if sigma is None or base is None else math.sqrt(max(0.0, sigma**2 - base**2))


def nearest_of(evaluation: Evaluation) -> str:
    """Name of the nearest published network, as the basis of an estimate gives it; empty if it gives none."""
    m = evaluation.measurements.get("top1")
    found = _NEAREST.search(m.basis) if m else None
    return found[1] if found else ""
