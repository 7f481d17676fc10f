"""Several runs as data for a comparison: groups of runs, fronts over seeds, who dominates whom. Pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mvsearch.report.compare_settings import Difference, differences, group_label
from mvsearch.report.scene import COSTS, CostKey
from mvsearch.report.words import common_kind
from mvsearch.search.attainment import (
    Staircase,
    attainment_levels,
    common_reference,
    dominated_share,
    gain_at,
    median_and_range,
    median_level,
    staircase,
)
from mvsearch.search.pareto import Pair, hypervolume
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import FrontMember, RunView

SCALE: dict[CostKey, float] = {"latency": 1.0, "params": 1e-6, "macs": 1e-6}
"""From a measurement's unit to that of an axis: ms, millions."""
GROWTH_STEPS = 40
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


def compared(runs: Sequence[ComparedRun]) -> Comparison:
    """Runs in groups, on axes that they can be compared on."""
    groups = _groups(runs)
    confidence = max(r.view.settings.confidence for r in runs)
    unlike, shared = differences([(g.runs[0].view, g.runs[0].latency_kind) for g in groups])
    points = {r.name: points_of(r, confidence) for r in runs}
    panels = tuple(p for axis in COSTS for p in _panels(axis, groups, points))
    return Comparison(groups, confidence, panels, unlike, shared, _notes(groups, confidence))


def _groups(runs: Sequence[ComparedRun]) -> tuple[Group, ...]:
    found: dict[str, list[ComparedRun]] = {}
    for run in runs:
        settings = {k: v for k, v in run.view.settings.to_json().items() if k != "seed"}
        version = dict(run.view.versions).get("mvsearch", "")
        found.setdefault(json.dumps([settings, run.latency_kind, version, run.machine], sort_keys=True), []).append(run)
    members = [tuple(sorted(g, key=lambda r: r.view.settings.seed)) for g in found.values()]
    unlike, _ = differences([(g[0].view, g[0].latency_kind) for g in members])
    return tuple(Group(_letter(i), group_label(unlike, i, g[0].view), g) for i, g in enumerate(members))


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"{_letter(index // 26 - 1)}{_letter(index % 26)}"


def _notes(groups: Sequence[Group], confidence: float) -> tuple[str, ...]:
    notes = []
    for group in groups:
        seeds = [r.view.settings.seed for r in group.runs]
        for seed in sorted({s for s in seeds if seeds.count(s) > 1}):
            names = ", ".join(f"`{r.name}`" for r in group.runs if r.view.settings.seed == seed)
            notes.append(f"{names} are runs of one seed with the same settings: they are no evidence of their own.")
    if len({g.runs[0].view.settings.confidence for g in groups}) > 1:
        notes.append(
            f"The runs were asked for lower bounds of different confidence; all are shown at {100 * confidence:.0f} %, "
            "so that the fronts of some are not those that they searched for."
        )
    for run in (r for g in groups for r in g.runs if not r.view.finished):
        asked = run.view.settings.trials
        notes.append(f"`{run.name}` is not finished: {len(run.view.trials):,} of {asked:,} trials, what has been found so far.")
    return tuple(notes)


def points_of(run: ComparedRun, confidence: float) -> tuple[tuple[float, Evaluation], ...]:
    """(lower bound of top-1 in %, evaluation) of all that may stand on a run's front, its verified numbers first.

    Where latencies of the front are measured these members alone, for a predicted latency is not compared with a measured
    one. Candidates below the run's own floor were never worth having.
    """
    view = run.view
    level = 1 - confidence
    verified = {m.evaluation.arch_id: m.evaluation for m in view.front}
    if run.latency_kind == "measured":
        known = [e for e in verified.values() if e.measurements["latency"].kind == "measured"]
    else:
        struck = {e.arch_id for e in view.struck}
        trials = [t.evaluation for t in view.trials if t.feasible and not t.evaluation.failure]
        known = [verified.get(e.arch_id, e) for e in trials if e.arch_id not in struck and _is_complete(e)]
    if (floor := view.reference_point) is not None:
        own = 1 - view.settings.confidence
        known = [e for e in known if e.measurements["top1"].quantile(own) >= floor[0]]
    return tuple((e.measurements["top1"].quantile(level), e) for e in known)


def _is_complete(evaluation: Evaluation) -> bool:
    return all(key in evaluation.measurements for key in (*COSTS, "top1"))


def cost_on(axis: CostKey, evaluation: Evaluation) -> float:
    """A network's cost in the axis's unit: ms, or millions."""
    return evaluation.measurements[axis].value * SCALE[axis]


Points = Mapping[str, Sequence[tuple[float, Evaluation]]]
"""Name of a run -> `points_of` it."""


def _panels(axis: CostKey, groups: Sequence[Group], points: Points) -> tuple[Panel, ...]:
    scopes: dict[tuple[str, ...], list[int]] = {}
    for number, group in enumerate(groups):
        scopes.setdefault(_scope(axis, group), []).append(number)
    return tuple(
        _panel(axis, groups, numbers, points, _scope_text(scope, list(scopes)) if len(scopes) > 1 else "")
        for scope, numbers in scopes.items()
    )


def _scope(axis: CostKey, group: Group) -> tuple[str, ...]:
    """What two groups have to share to stand on one axis: how top-1 is estimated, and for a latency its device and model."""
    run = group.runs[0]
    s = run.view.settings
    kinds = [m.evaluation for m in run.view.front] or [t.evaluation for t in run.view.trials]
    own = (common_kind(kinds, "top1"), f"anchors {s.anchors[:8]}" if s.anchors else "")
    if axis != "latency":
        return own
    calibration = f"calibration {s.calibration[:8]}" if s.calibration else ""
    return (s.target, run.latency_kind, calibration, run.machine, *own)


def _scope_text(scope: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    return ", ".join(part for i, part in enumerate(scope) if part and len({o[i] for o in others}) > 1) or "plain"


def _panel(axis: CostKey, groups: Sequence[Group], numbers: Sequence[int], points: Points, scope: str) -> Panel:
    fronts = {n: [staircase([(g, cost_on(axis, e)) for g, e in points[r.name]]) for r in groups[n].runs] for n in numbers}
    reference = common_reference([f for n in numbers for f in fronts[n]])
    evaluations = [e for n in numbers for r in groups[n].runs for _, e in points[r.name]]
    target = "/".join(dict.fromkeys(groups[n].runs[0].view.settings.target for n in numbers))
    kind = common_kind(evaluations, axis)
    title = {
        "latency": f"{kind} latency on {target}, ms",
        "params": f"{kind} parameters, millions",
        "macs": f"{kind} multiply-accumulates, millions",
    }[axis].strip()
    found = tuple(
        GroupFronts(
            n,
            tuple(fronts[n]),
            attainment_levels(fronts[n]),
            tuple(hypervolume(f, reference) if reference else 0.0 for f in fronts[n]),
            _growth(groups[n], points, reference) if axis == "latency" and reference else (),
        )
        for n in numbers
    )
    return Panel(axis, title, scope, found, reference, tuple(_duel(a, b) for a, b in combinations(found, 2)))


def _growth(group: Group, points: Points, reference: Pair) -> tuple[tuple[int, Spread], ...]:
    """Hypervolume over seeds along the trials; a run that has ended keeps what it had."""
    if group.runs[0].latency_kind == "measured":
        return ()  # Measured are the front's members alone, after the search.
    traces = [_trace(run, points[run.name], reference) for run in group.runs]
    most = max(len(t) for t in traces)
    marks = sorted({max(1, round(most * k / GROWTH_STEPS)) for k in range(1, GROWTH_STEPS + 1)}) if most else []
    return tuple((m, median_and_range([t[min(m, len(t)) - 1] if t else 0.0 for t in traces])) for m in marks)


def _trace(run: ComparedRun, points: Sequence[tuple[float, Evaluation]], reference: Pair) -> list[float]:
    """Hypervolume after each trial."""
    known = {e.arch_id: (gain, cost_on("latency", e)) for gain, e in points}
    front: Staircase = ()
    area, areas = 0.0, []
    for trial in run.view.trials:
        point = known.get(trial.evaluation.arch_id)
        if point is not None and gain_at(front, point[1]) < point[0]:
            front = staircase((*front, point))
            area = hypervolume(front, reference)
        areas.append(area)
    return areas


def _duel(a: GroupFronts, b: GroupFronts) -> Duel:
    pairs = [(f, s) for f in a.fronts for s in b.fronts if f and s]
    higher, lower, lead, lag = _ahead(a.median, b.median)
    return Duel(
        a.group,
        b.group,
        median_and_range([dominated_share(f, s) for f, s in pairs]) if pairs else None,
        median_and_range([dominated_share(s, f) for f, s in pairs]) if pairs else None,
        len(pairs), higher, lower, lead, lag,
    )  # fmt: skip


def _ahead(a: Staircase, b: Staircase) -> tuple[float, float, tuple[float, float] | None, tuple[float, float] | None]:
    """Where and by how much staircase `a` is above `b`, and `b` above `a`; see `Duel`."""
    if not a or not b:
        return 0.0, 0.0, None, None
    start, end = max(a[0][1], b[0][1]), max(a[-1][1], b[-1][1])
    costs = sorted({c for _, c in (*a, *b) if start < c < end} | {start, end})
    higher = lower = 0.0
    lead: tuple[float, float] | None = None
    lag: tuple[float, float] | None = None
    for cost, following in zip(costs, [*costs[1:], end], strict=True):
        gap, width = gain_at(a, cost) - gain_at(b, cost), math.log(following / cost)
        if gap > 0:
            higher += width
            lead = max(lead or (0.0, cost), (gap, cost), key=lambda x: x[0])
        elif gap < 0:
            lower += width
            lag = max(lag or (0.0, cost), (-gap, cost), key=lambda x: x[0])
    whole = math.log(end / start)
    return (
        (higher / whole, lower / whole, lead, lag)
        if whole > 0
        else (float(lead is not None), float(lag is not None), lead, lag)
    )
