"""What the plots show, as plain data: the same for plotly and matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mvsearch.report.select import thinned
from mvsearch.report.words import common_kind, family_of, level_text, on_front_text, short_name
from mvsearch.spec.budget import Budget
from mvsearch.spec.record import Evaluation, Measurement
from mvsearch.spec.run import RunView

CLOUD_POINTS = 2500
CostKey = Literal["latency", "params", "macs"]
QualityKey = Literal["estimate", "lower"]
COSTS: tuple[CostKey, ...] = ("latency", "params", "macs")
QUALITIES: tuple[QualityKey, ...] = ("estimate", "lower")
_SCALE = {"latency": 1.0, "params": 1e-6, "macs": 1e-6}
Role = Literal["winner", "tied", "front", "candidate", "published"]


@dataclass(frozen=True, slots=True)
class Point:
    """One network on the plots.

    Attributes:
        evaluation: its numbers.
        role: what it is in this run.
        name: `arch_id`, or the published name.
        label: short name for a direct label; empty for none.
        family: `v1`, `v2`, `v3`, `other` for a published network.
        lower_top1: lower bound of top-1 in % at the run's confidence.
        feasible: whether it keeps the budgets.
        nearest: nearest published network, if known.
        origin: where the proposal came from.
        trial: its number, or None for a published network.
        published_top1: what the authors report, in %.
        sureness: how sure its place on the front is, in words; empty for none.
    """

    evaluation: Evaluation
    role: Role
    name: str
    lower_top1: float
    feasible: bool = True
    label: str = ""
    family: str = ""
    nearest: str = ""
    origin: str = ""
    trial: int | None = None
    published_top1: float | None = None
    sureness: str = ""

    def cost(self, key: CostKey) -> float:
        """Latency in ms, parameters or MACs in millions."""
        return self.evaluation.measurements[key].value * _SCALE[key]

    def cost_interval(self, key: CostKey) -> tuple[float, float]:
        """Ends of the cost's interval; the value twice for a counted one."""
        return _ends(self.evaluation.measurements[key], _SCALE[key])

    def quality(self, key: QualityKey) -> float:
        """Top-1 in %: the estimate, or its lower bound."""
        return self.lower_top1 if key == "lower" else self.evaluation.measurements["top1"].value

    def quality_interval(self) -> tuple[float, float]:
        """Ends of the interval of the estimated top-1."""
        return _ends(self.evaluation.measurements["top1"], 1.0)


def _ends(m: Measurement, scale: float) -> tuple[float, float]:
    return (m.value if m.low is None else m.low) * scale, (m.value if m.high is None else m.high) * scale


@dataclass(frozen=True, slots=True)
class Axis:
    """One cost axis, logarithmic: title with kind and unit, the part of it shown first, the budget on it."""

    key: CostKey
    name: str
    title: str
    shown: tuple[float, float]
    limit: float | None = None
    limit_text: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """All points and axes of the plots.

    Attributes:
        cloud: feasible candidates off the front, thinned to a few thousand.
        num_candidates: how many there were before.
        front: verified members, fastest first; winner and ties told by their role.
        published: published networks.
        axes: one per cost.
        qualities: title of the top-1 axis per choice.
        top1_shown: part of the top-1 axis shown first, per choice.
        level: coverage of the intervals in words, e.g. `90 %`.
    """

    cloud: tuple[Point, ...]
    num_candidates: int
    front: tuple[Point, ...]
    published: tuple[Point, ...]
    axes: dict[CostKey, Axis]
    qualities: dict[QualityKey, str]
    top1_shown: dict[QualityKey, tuple[float, float]]
    level: str = ""

    @property
    def points(self) -> tuple[Point, ...]:
        """Every point; the index here is the index of its card on the page."""
        return self.front + self.published + self.cloud

    @property
    def winner(self) -> Point | None:
        """The winner's point."""
        return next((p for p in self.front if p.role == "winner"), None)


def build_scene(view: RunView, cloud_points: int = CLOUD_POINTS) -> Scene:
    """The plots' data of a run; candidates that failed or lack a number are left out."""
    front = _front_points(view)
    taken = {p.name for p in front} | {e.arch_id for e in view.struck}
    trials = [t for t in view.trials if t.feasible and t.evaluation.arch_id not in taken and _is_complete(t.evaluation)]
    level = 1 - view.settings.confidence
    cloud = tuple(
        Point(t.evaluation, "candidate", t.evaluation.arch_id, _lower(t.evaluation, level), origin=t.origin, trial=t.number)
        for t in thinned(trials, cloud_points)
    )  # fmt: skip
    published = tuple(
        Point(
            p.evaluation, "published", p.name, _lower(p.evaluation, level), p.feasible,
            short_name(p.name), family_of(p.name), published_top1=p.published_top1.value if p.published_top1 else None,
        )
        for p in view.published if _is_complete(p.evaluation)
    )  # fmt: skip
    points = front + cloud + tuple(p for p in published if p.feasible)
    kind = common_kind([p.evaluation for p in points or published], "top1")
    return Scene(
        cloud=cloud,
        num_candidates=len(trials),
        front=front,
        published=published,
        axes={key: _axis(key, view, front, points or published) for key in COSTS},
        qualities={
            "estimate": f"{kind} ImageNet top-1, %",
            "lower": f"lower bound of {kind} top-1, %, {view.settings.confidence * 100:.0f} % confidence",
        },
        top1_shown={q: _top1_shown(front, points or published, q) for q in QUALITIES},
        level="/".join(sorted({level_text(m) for p in front for m in p.evaluation.measurements.values() if m.level})),
    )


def _lower(evaluation: Evaluation, level: float) -> float:
    return evaluation.measurements["top1"].quantile(level)


def _is_complete(evaluation: Evaluation) -> bool:
    return all(key in evaluation.measurements for key in (*COSTS, "top1"))


def _front_points(view: RunView) -> tuple[Point, ...]:
    origins = {t.number: t.origin for t in view.trials}
    return tuple(
        Point(
            m.evaluation,
            "winner" if m.evaluation.arch_id == view.winner else "tied" if m.tied else "front",
            m.evaluation.arch_id,
            m.lower_top1,
            label="winner" if m.evaluation.arch_id == view.winner else "",
            nearest=m.nearest,
            origin=origins.get(m.trial, ""),
            trial=m.trial,
            sureness=on_front_text(m),
        )
        for m in view.front
    )


def _axis(key: CostKey, view: RunView, front: tuple[Point, ...], points: tuple[Point, ...]) -> Axis:
    kind = common_kind([p.evaluation for p in points], key)
    names = {"latency": "latency", "params": "parameters", "macs": "MACs"}
    titles = {
        "latency": f"{kind} latency on {view.settings.target}, ms",
        "params": f"{kind} parameters, millions",
        "macs": f"{kind} multiply-accumulates, millions",
    }
    budget = next((b for b in view.settings.budgets if _limit_on(key, b) is not None), None)
    limit = _limit_on(key, budget) if budget else None
    values = sorted(p.cost(key) for p in points)
    low, high = _quantile(values, 0.01), _quantile(values, 0.99)
    for point in front:
        low, high = min(low, point.cost_interval(key)[0]), max(high, point.cost_interval(key)[1])
    if limit:
        high = max(high, limit * 1.3)  # room for the published networks just beyond the budget
    return Axis(key, names[key], titles[key], (low / 1.06, high * 1.06), limit, budget.text if budget else "")


def _limit_on(key: CostKey, budget: Budget) -> float | None:
    if budget.metric == key:
        return budget.limit * _SCALE[key]
    return budget.limit / 2e6 if key == "macs" and budget.metric == "flops" else None


def _top1_shown(front: tuple[Point, ...], points: tuple[Point, ...], quality: QualityKey) -> tuple[float, float]:
    values = sorted(p.quality(quality) for p in points)
    low, high = _quantile(values, 0.02), values[-1]
    for point in front:
        ends = point.quality_interval() if quality == "estimate" else (point.lower_top1, point.lower_top1)
        low, high = min(low, ends[0]), max(high, ends[1])
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _quantile(ordered: list[float], p: float) -> float:
    return ordered[round(p * (len(ordered) - 1))]


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks at 1, 2, 5 (and more where there is room) of each decade within the range, as plain numbers."""
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1,)):
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [float(f"{s * 10.0**e:.6g}") for e in exponents for s in steps if low <= s * 10.0**e <= high]
        if len(ticks) <= 9:
            break
    if len(ticks) < 3:
        return plain_ticks(low, high)
    return ticks, [f"{t:,g}" for t in ticks]


def plain_ticks(low: float, high: float, wanted: int = 8) -> tuple[list[float], list[str]]:
    """Ticks at even steps of 1, 2 or 5: what reads best on a short piece of a logarithmic axis."""
    rough = (high - low) / wanted
    base = 10.0 ** math.floor(math.log10(rough))
    step = base * next(s for s in (1, 2, 5, 10) if s * base >= rough)
    ticks = [float(f"{k * step:.6g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return ticks, [f"{t:,g}" for t in ticks]


def published_in_view(scene: Scene, axis: Axis) -> Iterable[Point]:
    """Published networks within the part of the axis that is shown first, those within the budget first."""
    inside = [p for p in scene.published if axis.shown[0] <= p.cost(axis.key) <= axis.shown[1]]
    return sorted(inside, key=lambda p: (not p.feasible, "@" in p.name, p.cost(axis.key)))


def winner_bars(scene: Scene, cost: CostKey, steps: int = 24) -> list[tuple[float, float]]:
    """Points along the winner's two intervals (cost, estimated top-1), for labels to keep away from."""
    winner = scene.winner
    if winner is None:
        return []
    (low, high), (bottom, top) = winner.cost_interval(cost), winner.quality_interval()
    x, y = winner.cost(cost), winner.quality("estimate")
    shares = [i / steps for i in range(steps + 1)]
    across = [(low * (high / low) ** s, y) for s in shares] if high > low else []
    return across + [(x, bottom + (top - bottom) * s) for s in shares]
