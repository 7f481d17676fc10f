"""Power laws as plotly JSON: points, curve, band of the law, lines for one more network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvsearch.report.scaling_words import AXIS_SCALE, INPUT_NAMES, OUTPUT_NAMES, axis_title, exponent_text
from mvsearch.report.traces import band, layout, log_axis, scatter
from mvsearch.report.words import escape
from mvsearch.scaling.view import Law, ScalingView

LAW_VIEWS = tuple((y, x) for y in OUTPUT_NAMES for x in INPUT_NAMES)
PUBLISHED_BANDS = "law-published-bands"
"""Of many series at once; they are shown on demand."""
_GREYS = ("solid", "dash", "dot", "dashdot", "longdash")


def law_figures(view: ScalingView) -> dict[str, dict[str, Any]]:
    """`law-Y-X` -> figure, for every pair that has a law."""
    return {f"law-{y}-{x}": law_figure(view, laws) for y, x in LAW_VIEWS if (laws := laws_of(view, y, x))}


def laws_of(view: ScalingView, y: str, x: str) -> list[Law]:
    """The laws of one pair, those of the families first."""
    return sorted((law for law in view.laws if law.y == y and law.x == x), key=lambda law: law.rule is None)


def law_group(law: Law) -> str:
    """What switches the law on and off in the key."""
    return f"law-{law.rule or 'published'}"


def law_figure(view: ScalingView, laws: Sequence[Law]) -> dict[str, Any]:
    """All laws of one pair, on logarithmic axes."""
    traces: list[dict[str, Any]] = []
    grey = 0
    for law in laws:
        dash = "solid"
        if law.rule is None:
            dash = _GREYS[grey % len(_GREYS)]
            grey += 1
        traces += _law_traces(law, dash)
    y, x = laws[0].y, laws[0].x
    scale = AXIS_SCALE[x]
    points = [p for law in laws for p in law.points]
    xs = [p.x * scale for p in points] or [c.x * scale for law in laws for c in law.curve]
    ys = [p.y for p in points] or [c.y for law in laws for c in law.curve]
    titles = {"error": "error: 100 - top-1, %", "latency": axis_title(view, "latency")}
    shown = layout(
        log_axis(axis_title(view, x), (min(xs) / 1.15, max(xs) * 1.15)), log_axis(titles[y], (min(ys) / 1.12, max(ys) * 1.12))
    )
    return {"data": traces, "layout": shown}


def _law_traces(law: Law, dash: str) -> list[dict[str, Any]]:
    tint = "var(--muted)" if law.rule is None else f"var(--{law.rule})"
    scale, group = AXIS_SCALE[law.x], law_group(law)
    name = escape(law.of)
    around = [(c.x * scale, c.high) for c in law.curve] + [(c.x * scale, c.low) for c in reversed(law.curve)]
    said = f"<b>{name}</b>, {law.kind}<br>exponent {escape(exponent_text(law.exponent))}, n = {law.n}"
    bands = group if law.rule else PUBLISHED_BANDS
    traces = [band(around, tint, 0.14, legendgroup=bands, name=name)] if law.curve else []
    if law.curve:
        traces.append(
            scatter(
                [(c.x * scale, c.y) for c in law.curve], mode="lines", line={"color": tint, "width": 1.6, "dash": dash},
                legendgroup=group, name=name, hoverinfo="text", text=said,
            )
        )  # fmt: skip
        for edge in ("new_low", "new_high"):
            traces.append(
                scatter(
                    [(c.x * scale, getattr(c, edge)) for c in law.curve], mode="lines", opacity=0.6, hoverinfo="skip",
                    line={"color": tint, "width": 0.8, "dash": "dot"}, legendgroup=bands, name=name,
                )
            )  # fmt: skip
    for fitted, symbol in ((True, "circle"), (False, "circle-open")):
        mine = [p for p in law.points if p.fitted == fitted]
        if mine:
            traces.append(
                scatter(
                    [(p.x * scale, p.y) for p in mine], mode="markers", marker={"symbol": symbol, "size": 7, "color": tint},
                    legendgroup=group, name=name, hoverinfo="text",
                    text=[f"<b>{escape(p.label)}</b>, {law.kind}{'' if fitted else ', not fitted'}<br>{p.y:.4g}" for p in mine],
                )
            )  # fmt: skip
    return traces
