"""The plotly adapter: its script, and what all its figures have in common. The only module that imports plotly.

Colours are names of CSS variables, `var(--front)`: the page's script puts in the values of the light or
the dark scheme, so that the palette stands in one place, `page.css`.
"""

from __future__ import annotations

from typing import Any

SYMBOLS = {"v1": "square", "v2": "diamond", "v3": "triangle-up", "other": "hexagon"}
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
