"""Pieces of plotly figures as plain dictionaries; colours are CSS variables as in `figures`."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

from mvsearch.report.figures import AXIS, plain_layout
from mvsearch.report.scene import log_ticks, plain_ticks
from mvsearch.report.words import escape
from mvsearch.spec.record import Measurement

TITLE = {"size": 13.5}
NARROW = 4.0
"""Ratio of an axis's ends below which its ticks stand at even steps."""


def scatter(points: Sequence[tuple[float, float]], **style: Any) -> dict[str, Any]:
    """A trace through (x, y)."""
    return {"type": "scatter", "x": [short(x) for x, _ in points], "y": [short(y) for _, y in points], **style}


def band(outline: Sequence[tuple[float, float]], colour: str, opacity: float, **style: Any) -> dict[str, Any]:
    """A filled area without an edge."""
    return scatter(
        outline, mode="lines", fill="toself", fillcolor=colour, opacity=opacity, line={"width": 0}, hoverinfo="skip", **style
    )


def bars(measurements: Sequence[Measurement], scale: float, colour: str) -> dict[str, Any]:
    """Error bars from the ends of intervals; no length for a number without one."""
    return {
        "type": "data", "color": colour, "thickness": 1, "width": 0,
        "array": [short(((m.value if m.high is None else m.high) - m.value) * scale) for m in measurements],
        "arrayminus": [short((m.value - (m.value if m.low is None else m.low)) * scale) for m in measurements],
    }  # fmt: skip


def short(value: float) -> float:
    """Five significant digits, for a smaller page."""
    return float(f"{value:.5g}")


def linear_axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title."""
    return {**AXIS, "title": {"text": escape(title), "standoff": 10, "font": TITLE}, **more}


def log_axis(title: str, ends: tuple[float, float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis with plain numbers at its ticks."""
    ticks, texts = log_ticks_between(*ends)
    span = [log10(e) for e in ends]
    return linear_axis(title, type="log", range=span, tickvals=ticks, ticktext=texts, **more)


def log_ticks_between(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks for a logarithmic axis, at even steps where it is short."""
    return plain_ticks(low, high) if high / low < NARROW else log_ticks(low, high)


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A figure without a legend: the page has its own key."""
    margin = {"l": 60, "r": 24, "t": 30, "b": 54}
    return {**plain_layout(), "xaxis": x, "yaxis": y, "showlegend": False, "hovermode": "closest", "margin": margin, **more}
