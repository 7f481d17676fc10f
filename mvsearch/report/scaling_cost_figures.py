"""Networks of equal cost, and the ways to spend one budget, as plotly JSON; see `scaling_figures`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvsearch.report.scaling_words import cost_text, numbers_of
from mvsearch.report.traces import bars, layout, linear_axis, log_axis, scatter, short
from mvsearch.report.words import escape
from mvsearch.scaling.view import IsoCurve, ScalingView

ISO_COLOURS = [[0, "var(--iso-low)"], [0.5, "var(--iso-mid)"], [1, "var(--iso-high)"]]
ISO_VIEWS = tuple((metric, axis) for metric in ("macs", "latency") for axis in ("depth", "resolution"))


def iso_curves(view: ScalingView, metric: str, axis: str) -> list[IsoCurve]:
    """The curves of one view that have a point."""
    return [c for c in view.iso if c.metric == metric and c.y_axis == axis and c.points]


def iso_figure(curves: Sequence[IsoCurve]) -> dict[str, Any]:
    """Factors that cost the same: a line per cost, its marks coloured by estimated top-1."""
    tops = [t for c in curves for _, _, t in c.points]
    xs = [x for c in curves for x, _, _ in c.points]
    ys = [y for c in curves for _, y, _ in c.points]
    traces, notes = [], []
    for number, curve in enumerate(curves):
        points = [(x, y) for x, y, _ in curve.points]
        text = cost_text(curve.metric, curve.level)
        marker: dict[str, Any] = {
            "color": [short(t) for _, _, t in curve.points], "colorscale": ISO_COLOURS, "cmin": short(min(tops)),
            "cmax": short(max(tops)), "size": 10, "line": {"width": 0.8, "color": "var(--muted)"}, "showscale": number == 0,
            "colorbar": {"title": {"text": "estimated<br>top-1, %", "font": {"size": 12}}, "thickness": 12, "outlinewidth": 0},
        }  # fmt: skip
        traces.append(
            scatter(
                points, mode="lines+markers", line={"color": "var(--axis)", "width": 1.2}, marker=marker, hoverinfo="text",
                text=[
                    f"<b>{text}</b><br>width {x:.3g}, {curve.y_axis} {y:.3g}<br>top-1 {t:.1f} %, estimated"
                    for x, y, t in curve.points
                ],
            )
        )  # fmt: skip
        best = max(range(len(points)), key=lambda i: curve.points[i][2])
        ring = {"symbol": "circle-open", "size": 17, "color": "var(--winner)", "line": {"width": 2}}
        traces.append(scatter([points[best]], mode="markers", marker=ring, hoverinfo="skip", name="best of its cost"))
        notes.append((max(points, key=lambda p: p[1]), text.removesuffix(" MACs")))
    from math import log10

    shown = layout(
        log_axis("factor of all widths", (min(xs) / 1.12, max(xs) * 1.12)),
        log_axis(f"factor of {'all depths' if curves[0].y_axis == 'depth' else 'the side of the image'}",
                 (min(ys) / 1.12, max(ys) * 1.18)),
    )  # fmt: skip
    shown["annotations"] = [
        {"x": log10(x), "y": log10(y), "text": text, "showarrow": False, "yshift": 17, "xanchor": "left", "xshift": -6,
         "font": {"size": 11.5, "color": "var(--ink)"}}
        for (x, y), text in notes
    ]  # fmt: skip
    return {"data": traces, "layout": shown}


def compound_figure(view: ScalingView) -> dict[str, Any]:
    """Top-1 of the ways to spend one budget, with intervals; what was found first."""
    fit = view.compound
    assert fit is not None
    options = (fit.found, *fit.others)
    traces = []
    for row, option in enumerate(options):
        m = option.member.evaluation.measurements["top1"]
        tint = "var(--compound)" if row == 0 else "var(--muted)"
        symbol = "star" if row == 0 else "circle" if option.tied else "circle-open"
        marker = {"symbol": symbol, "size": 14 if row == 0 else 9, "color": tint, "line": {"width": 1.6, "color": tint}}
        traces.append(
            scatter(
                [(m.value, -row)], mode="markers", marker=marker, error_x=bars([m], 1.0, tint), hoverinfo="text",
                text=f"<b>{escape(option.label)}</b><br>{'<br>'.join(map(escape, numbers_of(option.member)))}",
            )
        )  # fmt: skip
        bound = {"symbol": "line-ns-open", "size": 12, "color": tint, "line": {"width": 2}}
        traces.append(
            scatter([(option.lower_top1, -row)], mode="markers", marker=bound, hoverinfo="text",
                    text=f"at least {option.lower_top1:.1f} % ({100 * view.confidence:.0f} % confidence)")
        )  # fmt: skip
    labels = [escape(o.label) for o in options]
    y = linear_axis("", tickvals=[-i for i in range(len(options))], ticktext=labels, range=[-len(options) + 0.4, 0.6])
    y |= {"automargin": True, "ticks": "", "title": {"text": ""}}
    return {"data": traces, "layout": layout(linear_axis("estimated ImageNet top-1, %"), y)}
