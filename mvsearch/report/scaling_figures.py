"""Figures of a scaled network, as plotly JSON: sizes, what a step brings, equal cost. Laws: `scaling_law_figures`.

Plain dictionaries: nothing here needs plotly. Colours are CSS variables as in `figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mvsearch.report.scaling_cost_figures import ISO_VIEWS, compound_figure, iso_curves, iso_figure
from mvsearch.report.scaling_law_figures import law_figures
from mvsearch.report.scaling_words import AXIS_SCALE, RULE_NAMES, SIZE_AXES, axis_title, numbers_of, size_text
from mvsearch.report.traces import bars, layout, linear_axis, log_axis, scatter, short
from mvsearch.report.words import escape, short_name
from mvsearch.scaling.view import Family, Member, PublishedMember, Rule, ScalingView, Uncertain
from mvsearch.search.pareto import spread
from mvsearch.spec.record import Measurement

DASHES: dict[Rule, str] = {"width": "solid", "depth": "dash", "resolution": "dot", "compound": "dashdot"}
SERIES_SYMBOLS = ("square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star", "pentagon")
MAX_BARS = 16
"""Members of a family that show their intervals; of a longer one these, evenly."""


def colour(rule: Rule) -> str:
    """A rule's colour, as a CSS variable."""
    return f"var(--{rule})"


def scaling_figures(view: ScalingView) -> dict[str, dict[str, Any]]:
    """Element id -> figure, for the elements of `scaling_page`."""
    figures = {f"sizes-{axis}": size_figure(view, axis) for axis in SIZE_AXES}
    if any(steps_of_family(f) for f in view.families):
        figures["marginal"] = marginal_figure(view)
    for metric, axis in ISO_VIEWS:
        curves = iso_curves(view, metric, axis)
        if curves:
            figures[f"iso-{metric}-{axis}"] = iso_figure(curves)
    if view.compound is not None:
        figures["compound"] = compound_figure(view)
    return figures | law_figures(view)


def series_of(view: ScalingView) -> dict[str, list[PublishedMember]]:
    """Published networks by series, in their order."""
    found: dict[str, list[PublishedMember]] = {}
    for member in view.published:
        if member.top1 is not None:
            found.setdefault(member.series, []).append(member)
    return found


def size_ends(view: ScalingView, axis: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """(cost, top-1) that the figure of the sizes shows first: the families, and the published networks in range."""
    evaluations = [m.evaluation for f in view.families for m in f.members] + [view.base]
    evaluations += [p.evaluation for p in view.published if p.in_range and p.top1 is not None]
    costs = [e.measurements[axis].value * AXIS_SCALE[axis] for e in evaluations]
    tops = [e.measurements["top1"].value for e in evaluations]
    tops += [p.top1.value for p in view.published if p.in_range and p.top1 is not None]
    margin = 0.06 * (max(tops) - min(tops)) + 0.5
    return (min(costs) / 1.1, max(costs) * 1.1), (min(tops) - margin, max(tops) + margin)


def size_figure(view: ScalingView, axis: str) -> dict[str, Any]:
    """Top-1 against one cost: a line per family, published networks in grey."""
    costs, tops = size_ends(view, axis)
    traces = [t for i, (name, group) in enumerate(series_of(view).items()) for t in _series_traces(name, group, axis, i)]
    for family in view.families:
        if family.members:
            traces += _family_traces(family, axis)
    traces.append(_base_trace(view, axis))
    y = linear_axis("ImageNet top-1, %", range=list(tops))
    return {"data": traces, "layout": layout(log_axis(axis_title(view, axis), costs), y)}


def _places(members: Sequence[Member], axis: str) -> list[tuple[float, float]]:
    return [
        (m.evaluation.measurements[axis].value * AXIS_SCALE[axis], m.evaluation.measurements["top1"].value) for m in members
    ]


def _family_traces(family: Family, axis: str) -> list[dict[str, Any]]:
    members = sorted(family.members, key=lambda m: m.evaluation.measurements[axis].value)
    line = {"color": colour(family.rule), "width": 1.8, "dash": DASHES[family.rule]}
    bar = f"var(--{family.rule}-bar)"
    shown = [m.evaluation.measurements for m in members]
    size = 7 if len(members) <= MAX_BARS else 4
    trace = scatter(
        _places(members, axis), mode="lines+markers", line=line, legendgroup=family.rule, name=escape(family.label),
        marker={"color": colour(family.rule), "size": size, "line": {"width": 1, "color": "var(--paper)"}},
        error_y=bars([m["top1"] for m in shown], 1.0, bar), hoverinfo="text", text=[hover(m) for m in members],
    )  # fmt: skip
    if axis == "latency":
        trace["error_x"] = bars([m["latency"] for m in shown], 1.0, bar)
    kept = set(spread(len(members), MAX_BARS))
    for error in (trace["error_y"], trace.get("error_x")):
        if error:
            for end in ("array", "arrayminus"):
                error[end] = [v if i in kept else 0.0 for i, v in enumerate(error[end])]
    traces = [trace]
    if family.knee is not None and family.knee.index is not None:
        ring = {"symbol": "circle-open", "size": 17, "color": colour(family.rule), "line": {"width": 2}}
        knee = _places([family.members[family.knee.index]], axis)
        traces.append(
            scatter(knee, mode="markers", marker=ring, hoverinfo="skip", legendgroup=family.rule, name="stops paying")
        )
    return traces


def hover(member: Member) -> str:
    """A member's numbers for a hover label."""
    name = member.name or member.arch_id
    lines = [
        f"<b>{escape(name)}</b>  by {RULE_NAMES[member.rule]}",
        escape(size_text(member)),
        *map(escape, numbers_of(member)),
    ]
    if (step := member.marginal) is not None and step.points_per_ms is not None:
        lines.append(f"{step.points.value:+.2f} points for {step.added_ms:+.2f} ms{'' if step.pays else ': does not pay'}")
    return "<br>".join(lines)


def _series_traces(name: str, members: Sequence[PublishedMember], axis: str, index: int) -> list[dict[str, Any]]:
    ordered = sorted(members, key=lambda p: p.evaluation.measurements[axis].value)
    points = [(p.evaluation.measurements[axis].value * AXIS_SCALE[axis], p.top1.value) for p in ordered if p.top1 is not None]
    texts = [
        f"<b>{escape(short_name(p.name))}</b>, {escape(name)}<br>top-1 {p.top1.value:.1f} %, published<br>"
        f"estimated here {p.evaluation.measurements['top1'].value:.1f} %<br>"
        f"{p.evaluation.measurements[axis].value * AXIS_SCALE[axis]:.4g}: {escape(_kind(p.evaluation.measurements[axis]))}"
        for p in ordered
        if p.top1 is not None
    ]
    marker = {"symbol": series_symbol(index), "color": "var(--muted)", "size": 8}
    return [
        scatter(
            points, mode="lines+markers", line={"color": "var(--muted)", "width": 1, "dash": "dot"}, marker=marker, opacity=0.8,
            legendgroup="published", name=escape(name), hoverinfo="text", text=texts,
        )
    ]  # fmt: skip


def series_symbol(index: int) -> str:
    """A published series' mark."""
    return SERIES_SYMBOLS[index % len(SERIES_SYMBOLS)]


def _kind(m: Measurement) -> str:
    return f"{m.metric}, {m.kind}"


def _base_trace(view: ScalingView, axis: str) -> dict[str, Any]:
    m = view.base.measurements
    marker = {"symbol": "star", "size": 15, "color": "var(--ink)", "line": {"width": 1, "color": "var(--paper)"}}
    text = f"<b>{escape(view.name)}</b>, the base<br>top-1 {m['top1'].value:.1f} %, {m['top1'].kind}"
    return scatter(
        [(m[axis].value * AXIS_SCALE[axis], m["top1"].value)], mode="markers", marker=marker, name="base", hoverinfo="text",
        text=text,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """What a size brings over a smaller one of its family.

    Attributes:
        member: the larger.
        rate: points of top-1 per added ms.
        interval: of the rate; None between two members that are not neighbours.
        pays: by the knee's rule.
    """

    member: Member
    rate: float
    interval: Uncertain | None
    pays: bool


def steps_of_family(family: Family) -> list[Step]:
    """Steps from size to size; of a long family between some of its members, where single steps are next to nothing."""
    if len(family.members) <= MAX_BARS:
        return [
            Step(m, m.marginal.points_per_ms.value, m.marginal.points_per_ms, m.marginal.pays)
            for m in family.members
            if m.marginal is not None and m.marginal.points_per_ms is not None
        ]
    last = family.knee.index if family.knee is not None else None
    steps = []
    for low, high in pairwise(spread(len(family.members), MAX_BARS)):
        (ms, top1), (more_ms, more_top1) = _places([family.members[low], family.members[high]], "latency")
        if more_ms > ms:
            rate = (more_top1 - top1) / (more_ms - ms)
            steps.append(Step(family.members[high], rate, None, last is None or high <= last))
    return steps


def marginal_figure(view: ScalingView) -> dict[str, Any]:
    """Points of top-1 per added ms, against the latency that a step leads to; open marks do not pay."""
    traces, values, costs = [], [], []
    for family in view.families:
        steps = steps_of_family(family)
        if not steps:
            continue
        places = [(s.member.evaluation.measurements["latency"].value, s.rate) for s in steps]
        values += [y for _, y in places]
        costs += [x for x, _ in places]
        rule = colour(family.rule)
        marker = {
            "symbol": ["circle" if s.pays else "circle-open" for s in steps], "size": 8, "color": rule,
            "line": {"width": 1.6, "color": rule},
        }  # fmt: skip
        ends = [s.interval or Uncertain(s.rate, s.rate, s.rate) for s in steps]
        error = {
            "type": "data", "color": f"var(--{family.rule}-bar)", "thickness": 1, "width": 0,
            "array": [short(e.high - e.value) for e in ends], "arrayminus": [short(e.value - e.low) for e in ends],
        }  # fmt: skip
        traces.append(
            scatter(
                places, mode="lines+markers", line={"color": rule, "width": 1.4, "dash": DASHES[family.rule]}, marker=marker,
                error_y=error, legendgroup=family.rule, hoverinfo="text", text=[hover(s.member) for s in steps],
            )
        )  # fmt: skip
    margin = 0.1 * (max(values) - min(values)) + 0.2
    ends_y = [min(0.0, min(values)) - margin, max(values) + margin]
    y = linear_axis("points of top-1 per added ms", range=ends_y, zeroline=True, zerolinecolor="var(--axis)")
    x = log_axis(axis_title(view, "latency"), (min(costs) / 1.1, max(costs) * 1.1))
    return {"data": traces, "layout": layout(x, y)}
