"""Several runs as data for a comparison: groups of runs, fronts over seeds, who dominates whom."""

from __future__ import annotations

from dataclasses import dataclass

from mvsearch.report.compare_settings import Difference
from mvsearch.report.scene import CostKey
from mvsearch.report.words import common_kind
from mvsearch.search.attainment import (
    Staircase,
    median_level,
)
from mvsearch.search.pareto import Pair
from mvsearch.spec.run import FrontMember, RunView

SCALE: dict[CostKey, float] = {"latency": 1.0, "params": 1e-6, "macs": 1e-6}
"""From a measurement's unit to that of an axis: ms, millions."""
Spread = tuple[float, float, float]
"""(median, least, greatest) over seeds."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: of its folder, with as much of the path as tells it from the others (a stranger's text).
        view: all that its store holds.
        machine: on which its latencies were measured or calibrated; empty where they do not depend on where it ran.
    """

    name: str
    view: RunView
    machine: str = ""

    @property
    def winner(self) -> FrontMember | None:
        """The winner's entry in the run's front."""
        return self.view.winning_member

    @property
    def latency_kind(self) -> str:
        """`measured` as soon as one of the front's latencies is; else that of the trials."""
        kinds = {m.evaluation.measurements["latency"].kind for m in self.view.front}
        return "measured" if "measured" in kinds else common_kind([t.evaluation for t in self.view.trials], "latency")


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in nothing but their seed.

    Attributes:
        letter: `A`, `B`, ...: what tables call it.
        label: in what its settings differ from those of the other groups, e.g. `2M-params, iphone12`.
        runs: at least one.
    """

    letter: str
    label: str
    runs: tuple[ComparedRun, ...]

    @property
    def unfinished(self) -> int:
        """How many of its runs have not come to their end."""
        return sum(not r.view.finished for r in self.runs)


@dataclass(frozen=True, slots=True)
class GroupFronts:
    """What the runs of a group attain on one axis.

    Attributes:
        group: number of the group.
        fronts: of its runs, in order: (lower bound of top-1 in %, cost in the axis's unit).
        levels: attained by at least 1, 2, ... of the runs.
        areas: hypervolume of each front, down to the panel's reference.
        growth: (trials, hypervolume) over seeds at these trials; on the latency axis alone.
    """

    group: int
    fronts: tuple[Staircase, ...]
    levels: tuple[Staircase, ...]
    areas: tuple[float, ...]
    growth: tuple[tuple[int, Spread], ...] = ()

    @property
    def median(self) -> Staircase:
        """Attained by at least half of the runs."""
        return self.levels[median_level(len(self.levels)) - 1]


@dataclass(frozen=True, slots=True)
class Duel:
    """Two groups on one axis.

    Attributes:
        first, second: numbers of the groups.
        of_first: share of the first's front that the second dominates, over all pairs of runs; None where one has no front.
        of_second: the same the other way round.
        pairs: of runs.
        higher: share of the range of cost (on a log scale) that both medians reach, in which the first reaches a higher top-1.
        lower: the same for the second; the rest is equal.
        lead, lag: the most that the first is ahead and behind, in points, and at which cost.
    """

    first: int
    second: int
    of_first: Spread | None
    of_second: Spread | None
    pairs: int
    higher: float
    lower: float
    lead: tuple[float, float] | None
    lag: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One axis with the groups that can be compared on it.

    Attributes:
        axis: the cost.
        title: of the axis, with kind and unit.
        scope: what the groups share that others lack, e.g. `iphone12`; empty where one panel holds all groups.
        fronts: one per group.
        reference: (lower bound of top-1, cost) from which every hypervolume of the panel is measured; None without points.
        duels: every two groups.
    """

    axis: CostKey
    title: str
    scope: str
    fronts: tuple[GroupFronts, ...]
    reference: Pair | None
    duels: tuple[Duel, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs side by side.

    Attributes:
        groups: in the order in which their first runs were given.
        confidence: of the lower bounds of top-1, the same for all: the highest that a run was asked for.
        panels: by axis; several of one axis where groups cannot be compared on it.
        differences: settings that are not the same everywhere.
        shared: (setting, value) of those that are.
        notes: what else there is to say, in sentences.
    """

    groups: tuple[Group, ...]
    confidence: float
    panels: tuple[Panel, ...]
    differences: tuple[Difference, ...]
    shared: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[tuple[Group, ComparedRun], ...]:
        """All runs with their groups."""
        return tuple((g, r) for g in self.groups for r in g.runs)

    def panels_of(self, axis: CostKey) -> tuple[Panel, ...]:
        """The panels of one axis."""
        return tuple(p for p in self.panels if p.axis == axis)
