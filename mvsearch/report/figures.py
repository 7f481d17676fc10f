"""The plotly adapter: plain data in, figures out. The only module that imports plotly, and only when called.

Colours are names of CSS variables, `var(--front)`: the page's script puts in the values of the light or
the dark scheme, so that the palette stands in one place, `page.css`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvsearch.report.labels import Box, Label, place_labels
from mvsearch.report.scene import Axis, CostKey, Point, QualityKey, Scene, log_ticks, published_in_view, winner_bars
from mvsearch.report.select import staircase
from mvsearch.report.words import FAMILY_NAMES

SYMBOLS = {"v1": "square", "v2": "diamond", "v3": "triangle-up", "other": "hexagon"}
_WIDE, _NARROW = (900, 480), (330, 400)
"""Plot area in pixels for which labels are placed."""
_CHARACTER, _LINE = 6.6, 13.0
_MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
AXIS: dict[str, Any] = {
    "gridcolor": "var(--grid)",
    "linecolor": "var(--axis)",
    "tickcolor": "var(--axis)",
    "zeroline": False,
    "showline": True,
    "ticks": "outside",
    "ticklen": 4,
}


def plotly_script() -> str:
    """The whole of plotly.js, to be put into the page once (the Python package ships no smaller bundle)."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def tradeoff_figure(scene: Scene, cost: CostKey, quality: QualityKey) -> dict[str, Any]:
    """Top-1 against one cost: cloud, front with intervals, published networks, budget.

    The page's own key shows and hides traces by their `legendgroup`.

    Returns:
        Plotly JSON. Every point's `customdata` is its index in `scene.points`; a trace's `meta.narrow`
        holds the label places for a narrow screen.
    """
    import plotly.graph_objects as go

    axis = scene.axes[cost]
    figure = go.Figure(layout=_layout(axis, scene.qualities[quality], scene.top1_shown[quality]))
    index = {id(p): i for i, p in enumerate(scene.points)}

    def add(points: Sequence[Point], **style: Any) -> None:
        figure.add_scatter(
            x=[_short(p.cost(cost)) for p in points], y=[_short(p.quality(quality)) for p in points],
            customdata=[index[id(p)] for p in points], hoverinfo="none", **{"mode": "markers", **style},
        )  # fmt: skip

    add(scene.cloud, name="candidates", legendgroup="candidates", marker={"color": "var(--cloud)", "size": 4, "opacity": 0.42})
    steps = staircase([(p.cost(cost), p.quality(quality)) for p in scene.front])
    figure.add_scatter(
        x=[_short(x) for x, _ in steps], y=[_short(y) for _, y in steps], mode="lines", hoverinfo="skip", legendgroup="front",
        line={"shape": "hv", "color": "var(--front)", "width": 1.2}, opacity=0.7,
    )  # fmt: skip
    near = list(published_in_view(scene, axis))
    places = _label_places(scene, axis, quality, near, _WIDE)
    narrow = _label_places(scene, axis, quality, [p for p in near if p.feasible], _NARROW)
    for family in SYMBOLS:
        for feasible in (True, False):
            points = [p for p in scene.published if p.family == family and p.feasible == feasible]
            if points:
                add(points, **_published_style(family, feasible, points, places, narrow))
    for role, name in (("front", "front"), ("tied", "tied with the winner"), ("winner", "winner")):
        points = [p for p in scene.front if p.role == role]
        if points:
            add(points, name=name, legendgroup="front", **_front_style(role, points, cost, quality, places, narrow))
    _add_budget(figure, axis)
    return dict(figure.to_plotly_json())


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _published_style(
    family: str, feasible: bool, points: Sequence[Point], places: dict[int, str], narrow: dict[int, str]
) -> dict[str, Any]:
    return {
        "name": f"{FAMILY_NAMES[family]}, {'published' if feasible else 'not within the budget'}",
        "legendgroup": family,
        "marker": {
            "symbol": SYMBOLS[family] + ("" if feasible else "-open"),
            "color": f"var(--{family})",
            "size": 11 if family == "v3" else 9,
            "line": {"width": 1 if feasible else 1.6, "color": "var(--paper)" if feasible else f"var(--{family})"},
        },
        **_text(points, places, narrow, "var(--ink)" if feasible else "var(--muted)"),
    }


def _front_style(
    role: str, points: Sequence[Point], cost: CostKey, quality: QualityKey, places: dict[int, str], narrow: dict[int, str]
) -> dict[str, Any]:
    colour = "var(--winner)" if role == "winner" else "var(--front)"
    bars = {"color": f"var(--{'winner' if role == 'winner' else 'front'}-bar)", "thickness": 1, "width": 0}
    marker: dict[str, Any] = {"color": colour, "size": 7, "line": {"width": 1, "color": "var(--paper)"}}
    if role == "tied":
        marker |= {"symbol": "circle-open-dot", "size": 11, "line": {"width": 1.8, "color": colour}}
    if role == "winner":
        marker |= {"symbol": "star", "size": 16}
    style: dict[str, Any] = {"marker": marker}
    if cost == "latency":
        ends = [p.cost_interval(cost) for p in points]
        style["error_x"] = _bars(bars, [p.cost(cost) for p in points], ends)
    if quality == "estimate":
        style["error_y"] = _bars(bars, [p.quality(quality) for p in points], [p.quality_interval() for p in points])
    return style | (_text(points, places, narrow, "var(--winner)") if role == "winner" else {})


def _bars(style: dict[str, Any], values: list[float], ends: list[tuple[float, float]]) -> dict[str, Any]:
    pairs = list(zip(values, ends, strict=True))
    return style | {
        "type": "data",
        "array": [_short(high - v) for v, (_, high) in pairs],
        "arrayminus": [_short(v - low) for v, (low, _) in pairs],
    }


def _text(points: Sequence[Point], places: dict[int, str], narrow: dict[int, str], colour: str) -> dict[str, Any]:
    return {
        "mode": "markers+text",
        "text": [p.label if id(p) in places else "" for p in points],
        "textposition": [places.get(id(p), "top center") for p in points],
        "textfont": {"size": 11.5, "color": colour},
        "cliponaxis": False,
        "meta": {
            "narrow": {
                "text": [p.label if id(p) in narrow else "" for p in points],
                "textposition": [narrow.get(id(p), "top center") for p in points],
            }
        },
    }


def _label_places(
    scene: Scene, axis: Axis, quality: QualityKey, published: Sequence[Point], size: tuple[int, int]
) -> dict[int, str]:
    """Point's id -> plotly text position; a point whose label has no room is missing."""
    from math import log

    (low, high), (bottom, top) = axis.shown, scene.top1_shown[quality]

    def scaled(x: float, y: float) -> tuple[float, float]:
        return log(x / low) / log(high / low) * size[0], (y - bottom) / (top - bottom) * size[1]

    def pixel(p: Point) -> tuple[float, float]:
        return scaled(p.cost(axis.key), p.quality(quality))

    wanted = [*([scene.winner] if scene.winner else []), *published]
    labels = [Label(*pixel(p), len(p.label) * _CHARACTER, _LINE) for p in wanted]
    marks = [pixel(p) for p in (*scene.front, *scene.published)]
    if quality == "estimate":
        marks += [scaled(x, y) for x, y in winner_bars(scene, axis.key)]
    found = place_labels(labels, marks, Box(0, 0, *size))
    return {id(p): place for p, place in zip(wanted, found, strict=True) if place}


def _layout(axis: Axis, quality_title: str, top1_shown: tuple[float, float]) -> dict[str, Any]:
    from math import log10

    ticks, texts = log_ticks(*axis.shown)
    return {
        **plain_layout(),
        "xaxis": {
            **AXIS, "type": "log", "title": {"text": axis.title, "standoff": 10, "font": {"size": 13.5}},
            "range": [log10(axis.shown[0]), log10(axis.shown[1])], "tickvals": ticks, "ticktext": texts,
        },
        "yaxis": {**AXIS, "title": {"text": quality_title, "standoff": 8, "font": {"size": 13.5}}, "range": list(top1_shown)},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": "zoom",
    }  # fmt: skip


def plain_layout() -> dict[str, Any]:
    """What all figures have in common; colours are CSS variables."""
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12.5, "color": "var(--ink)"},
        "margin": {"l": 60, "r": 14, "t": 30, "b": 54},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--axis)", "activecolor": "var(--ink)"},
        "hoverlabel": {"bgcolor": "var(--raised)", "bordercolor": "var(--axis)", "align": "left", "namelength": 0,
                       "font": {"family": _MONO, "size": 11.5, "color": "var(--ink)"}},
    }  # fmt: skip


def _add_budget(figure: Any, axis: Axis) -> None:
    from math import log10

    if axis.limit is None:
        return
    figure.add_shape(
        type="line", x0=axis.limit, x1=axis.limit, y0=0, y1=1, yref="paper",
        line={"color": "var(--budget)", "width": 1.4, "dash": "dash"},
    )  # fmt: skip
    figure.add_annotation(
        x=log10(axis.limit), y=0.01, yref="paper", text=f"budget {axis.limit_text}", showarrow=False, textangle=-90,
        xanchor="right", yanchor="bottom", font={"size": 11.5, "color": "var(--budget)"},
    )  # fmt: skip


def hypervolume_figure(points: Sequence[tuple[int, float, float | None]]) -> dict[str, Any]:
    """Dominated area against the number of trials so far."""
    import plotly.graph_objects as go

    figure = go.Figure(
        layout={
            **plain_layout(),
            "xaxis": {**AXIS, "title": {"text": "trials", "standoff": 8, "font": {"size": 13.5}}, "rangemode": "tozero"},
            "yaxis": {**AXIS, "title": {"text": "hypervolume", "standoff": 8, "font": {"size": 13.5}}},
            "showlegend": False,
            "margin": {"l": 60, "r": 14, "t": 10, "b": 46},
        }
    )
    figure.add_scatter(
        x=[n for n, _, _ in points], y=[_short(v) for _, v, _ in points], mode="lines", name="hypervolume",
        line={"color": "var(--front)", "width": 2, "shape": "hv"}, hovertemplate="%{x} trials: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    return dict(figure.to_plotly_json())
