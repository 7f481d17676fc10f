"""Figures of a comparison, as plotly JSON: fronts over seeds per panel, hypervolume over trials.

Plain dictionaries: nothing here needs plotly. Colours are CSS variables as in `figures`.
"""

from __future__ import annotations

from math import log10
from typing import Any

from mvsearch.report.compare_data import Comparison, GroupFronts, Panel
from mvsearch.report.compare_fronts import cost_on
from mvsearch.report.compare_words import UNITS, name_of
from mvsearch.report.figures import SYMBOLS
from mvsearch.report.traces import band, layout, linear_axis, log_axis, scatter, short
from mvsearch.report.words import FAMILY_NAMES, escape, family_of, full_text, short_name
from mvsearch.search.attainment import Staircase
from mvsearch.spec.record import Evaluation

NUM_COLOURS = 8
DASHES = ("solid", "dash", "dot", "dashdot")


def colour(group: int) -> str:
    """A group's colour, as a CSS variable; they repeat after eight, with another dash."""
    return f"var(--g{group % NUM_COLOURS})"


def dash(group: int) -> str:
    """A group's kind of line."""
    return DASHES[(group // NUM_COLOURS) % len(DASHES)]


def comparison_figures(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Element id -> figure: `panel-N` for the N-th panel, `growth-N` where its hypervolume is known along the trials."""
    figures = {}
    for number, panel in enumerate(comparison.panels):
        if panel.reference is not None:
            figures[f"panel-{number}"] = panel_figure(comparison, panel)
        if any(f.growth for f in panel.fronts):
            figures[f"growth-{number}"] = growth_figure(comparison, panel)
    return figures


def shown_ranges(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """(costs, lower bounds of top-1) that a panel shows first: all fronts, with a little room."""
    corners = [c for f in panel.fronts for run in f.fronts for c in run]
    gains, costs = [g for g, _ in corners], [c for _, c in corners]
    margin = 0.05 * (max(gains) - min(gains)) or 1.0
    return (min(costs) / 1.06, max(costs) * 1.06), (min(gains) - margin, max(gains) + margin)


def band_outline(found: GroupFronts, end: float) -> list[tuple[float, float]]:
    """(cost, gain) around what lies between the best and the worst level, out to a cost.

    Where some of the runs have nothing that cheap, it reaches down to the least gain on any of the group's fronts.
    """
    best, worst = found.levels[0], found.levels[-1]
    floor = min(gain for front in found.fronts for gain, _ in front)
    top = steps_of(best, end)
    bottom = steps_of(worst, end) or [(end, floor)]
    return [(top[0][0], floor), *top, *reversed(bottom), (bottom[0][0], floor)]


def steps_of(front: Staircase, end: float) -> list[tuple[float, float]]:
    """(cost, gain) along a staircase, both ends of every step, out to a cost."""
    path: list[tuple[float, float]] = []
    for gain, cost in front:
        if path:
            path.append((cost, path[-1][1]))
        path.append((cost, gain))
    return [*path, (max(end, path[-1][0]), path[-1][1])] if path else []


def panel_figure(comparison: Comparison, panel: Panel) -> dict[str, Any]:
    """Medians with their bands, single runs, winners and published networks on one axis; see `compare_words`."""
    costs, gains = shown_ranges(panel)
    traces: list[dict[str, Any]] = [_published(comparison, panel, costs, gains)]
    for found in panel.fronts:
        if any(found.fronts):
            traces += _group_traces(comparison, found, costs[1], panel)
    title = f"top-1, lower bound ({100 * comparison.confidence:.0f} %), %"
    plain = layout(log_axis(panel.title, costs), linear_axis(title, range=list(gains)))
    lines = _budgets(comparison, panel, costs)
    lines["annotations"] += _letters(comparison, panel, gains)
    return {"data": traces, "layout": plain | lines}


def _letters(comparison: Comparison, panel: Panel, gains: tuple[float, float]) -> list[dict[str, Any]]:
    """The groups' letters at the right ends of their medians, one above the other where these are close."""
    notes, last = [], float("-inf")
    for found in sorted((f for f in panel.fronts if f.median), key=lambda f: f.median[-1][0]):
        gain = found.median[-1][0]
        last = max(gain, last + 0.035 * (gains[1] - gains[0]))
        notes.append(
            {"x": 1, "xref": "paper", "y": short(last), "text": f"<b>{comparison.groups[found.group].letter}</b>",
             "showarrow": False, "xanchor": "left", "yanchor": "middle", "xshift": 3,
             "font": {"size": 13, "color": colour(found.group)}}
        )  # fmt: skip
    return notes


def _group_traces(comparison: Comparison, found: GroupFronts, end: float, panel: Panel) -> list[dict[str, Any]]:
    group = comparison.groups[found.group]
    name, line = escape(name_of(group)), {"color": colour(found.group), "dash": dash(found.group)}
    unit = UNITS[panel.axis]
    traces = []
    if len(group.runs) > 1 and found.levels[0]:
        outline = band_outline(found, end)
        traces.append(band(outline, colour(found.group), 0.16, legendgroup="band", name=f"{name}: best to worst"))
        for run, front in zip(group.runs, found.fronts, strict=True):
            if front:
                traces.append(
                    scatter(
                        steps_of(front, end), mode="lines", line={**line, "width": 0.8}, opacity=0.65, visible=False,
                        legendgroup="runs", name=escape(run.name), hoverinfo="text",
                        text=f"{escape(run.name)}, seed {run.view.settings.seed}",
                    )
                )  # fmt: skip
    corners = [(cost, gain) for gain, cost in found.median]
    if corners:
        traces.append(
            scatter(
                steps_of(found.median, corners[-1][0]), mode="lines", line={**line, "width": 2.2}, hoverinfo="skip",
                legendgroup="median", name=name,
            )
        )  # fmt: skip
        # Beyond its dearest network a front stays as good as that.
        traces.append(
            scatter(
                [corners[-1], (end, corners[-1][1])], mode="lines", line={**line, "width": 0.9, "dash": "dot"},
                hoverinfo="skip", legendgroup="median", name=name,
            )
        )  # fmt: skip
        said = "of at least half of the runs" if len(group.runs) > 1 else f"of {escape(group.runs[0].name)}"
        traces.append(
            scatter(
                corners, mode="markers", marker={"color": colour(found.group), "size": 4.5}, legendgroup="median", name=name,
                hoverinfo="text", text=[f"<b>{name}</b><br>{y:.2f} % at {x:.3g} {unit},<br>{said}" for x, y in corners],
            )
        )  # fmt: skip
    return [*traces, *_winners(comparison, found, panel)]


def _winners(comparison: Comparison, found: GroupFronts, panel: Panel) -> list[dict[str, Any]]:
    group = comparison.groups[found.group]
    points, texts = [], []
    for run in group.runs:
        if run.winner is None:
            continue
        e = run.winner.evaluation
        m = e.measurements
        points.append((cost_on(panel.axis, e), m["top1"].quantile(1 - comparison.confidence)))
        lines = [f"<b>winner of {escape(run.name)}</b>  {escape(e.arch_id)}", f"top-1 {escape(full_text(m['top1']))}"]
        lines += [escape(f"latency {full_text(m['latency'])}"), escape(f"{m['params'].value:,.0f} parameters, counted")]
        texts.append("<br>".join(lines))
    if not points:
        return []
    marker = {"symbol": "star", "size": 15, "color": colour(found.group), "line": {"width": 1.2, "color": "var(--paper)"}}
    name = f"{escape(name_of(group))}: winners"
    return [scatter(points, mode="markers", marker=marker, legendgroup="winners", name=name, hoverinfo="text", text=texts)]


def published_points(comparison: Comparison, panel: Panel) -> list[tuple[str, Evaluation, float, float]]:
    """(name, evaluation, cost, lower bound) of the published networks, by the models of the panel's first run."""
    view = comparison.groups[panel.fronts[0].group].runs[0].view
    return [
        (p.name, p.evaluation, cost_on(panel.axis, p.evaluation),
         p.evaluation.measurements["top1"].quantile(1 - comparison.confidence))
        for p in view.published if all(k in p.evaluation.measurements for k in (panel.axis, "top1"))
    ]  # fmt: skip


def _published(comparison: Comparison, panel: Panel, costs: tuple[float, float], gains: tuple[float, float]) -> dict[str, Any]:
    found = published_points(comparison, panel)
    families = [family_of(name) for name, *_ in found]
    return {
        **scatter([(x, y) for _, _, x, y in found], mode="markers", legendgroup="published", name="published networks"),
        "marker": {"symbol": [SYMBOLS[f] for f in families], "color": [f"var(--{f})" for f in families], "size": 7,
                   "opacity": 0.75},
        "hoverinfo": "text",
        "text": [
            f"<b>{escape(short_name(name))}</b>, {escape(FAMILY_NAMES[f])}, by the same models<br>{y:.2f} % at {x:.3g} "
            f"{UNITS[panel.axis]}"
            for (name, _, x, y), f in zip(found, families, strict=True)
        ],
    }  # fmt: skip


def _budgets(comparison: Comparison, panel: Panel, costs: tuple[float, float]) -> dict[str, Any]:
    """Dashed lines where groups have a budget on the axis; of equal ones one."""
    limits: dict[float, list[int]] = {}
    texts = {}
    for found in panel.fronts:
        for b in comparison.groups[found.group].runs[0].view.settings.budgets:
            limit = budget_on(panel, b.metric, b.limit)
            if limit is not None and costs[0] < limit:
                limits.setdefault(limit, []).append(found.group)
                texts[limit] = b.text
    inside = [x for x in limits if x <= costs[1]]
    line = {"width": 1.2, "dash": "dash"}
    shapes = [
        {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper",
         "line": line | {"color": colour(limits[x][0]) if len(limits[x]) == 1 else "var(--budget)"}}
        for x in inside
    ]  # fmt: skip
    notes = [
        {"x": log10(x), "y": 0.01, "yref": "paper", "text": escape(f"budget {texts[x]}"), "showarrow": False, "textangle": -90,
         "xanchor": "right", "yanchor": "bottom", "font": {"size": 11.5, "color": "var(--budget)"}}
        for x in inside
    ]  # fmt: skip
    return {"shapes": shapes, "annotations": notes}


def budget_on(panel: Panel, metric: str, limit: float) -> float | None:
    """A budget in the unit of the panel's axis; None if it limits something else."""
    if metric == "flops" and panel.axis == "macs":
        return limit / 2e6
    if metric != panel.axis:
        return None
    return limit if metric == "latency" else limit / 1e6


def growth_figure(comparison: Comparison, panel: Panel) -> dict[str, Any]:
    """Hypervolume against trials: the median over seeds, and their range as a band."""
    traces = []
    for found in panel.fronts:
        group = comparison.groups[found.group]
        marks = [n for n, _ in found.growth]
        if not marks:
            continue
        medians, lows, highs = ([s[k] for _, s in found.growth] for k in range(3))
        if len(group.runs) > 1:
            outline = [*zip(marks, highs, strict=True), *reversed([*zip(marks, lows, strict=True)])]
            traces.append(band(outline, colour(found.group), 0.16))
        traces.append(
            scatter(
                [*zip(marks, medians, strict=True)], mode="lines",
                line={"color": colour(found.group), "width": 2, "dash": dash(found.group)}, hoverinfo="text",
                text=[f"<b>{escape(name_of(group))}</b><br>{n:,} trials: {v:.4g}" for n, v in zip(marks, medians, strict=True)],
            )
        )  # fmt: skip
    axes = linear_axis("trials", rangemode="tozero"), linear_axis("hypervolume")
    return {"data": traces, "layout": layout(*axes)}
