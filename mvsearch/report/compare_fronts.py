"""Runs put into groups, and their fronts side by side on axes that they can be compared on. Pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from mvsearch.report.compare_data import SCALE, ComparedRun, Comparison, Duel, Group, GroupFronts, Panel, Spread
from mvsearch.report.compare_settings import differences, group_label
from mvsearch.report.scene import COSTS, CostKey
from mvsearch.report.words import common_kind
from mvsearch.search.attainment import (
    Staircase,
    attainment_levels,
    common_reference,
    dominated_share,
    gain_at,
    median_and_range,
    staircase,
)
from mvsearch.search.pareto import Pair, hypervolume
from mvsearch.spec.record import Evaluation

GROWTH_STEPS = 40


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
