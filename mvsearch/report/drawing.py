"""What the pictures share: colours, style, labels that do not overlap, files that are the same for the same data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.labels import Box, Label, label_box, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#22262b", "#5c646d", "#e4e6e8"
FAMILY = {"v1": ("#009E73", "s"), "v2": ("#AA4499", "D"), "v3": ("#B8860B", "^"), "other": ("#5c646d", "h")}
"""Colour and marker of each published family; colours near Okabe and Ito's, darkened for white paper."""
_HALO = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4}
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # Names and budgets are texts, never formulas.
    "svg.hashsalt": "mvsearch",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """A point, in data coordinates, that wants a label; its size is in points."""

    x: float
    y: float
    text: str
    colour: str = MUTED
    size: float = 8


def place_texts(renderer: RendererBase, axes: Axes, wishes: Sequence[Wish], marks: Sequence[tuple[float, float]]) -> None:
    """Direct labels, placed by their real extents so that none overlaps another or a mark; one without a place is left out.

    Args:
        renderer: of the canvas, after the figure was laid out.
        axes: to write into.
        wishes: the more important first.
        marks: in pixels, to keep clear of.
    """
    texts = [
        axes.text(0, 0, w.text, fontsize=w.size, ha="center", va="center", color=w.colour, zorder=2.5, bbox=_HALO)
        for w in wishes
    ]
    extents = [t.get_window_extent(renderer) for t in texts]
    pixels = [axes.transData.transform((w.x, w.y)) for w in wishes]
    labels = [Label(float(x), float(y), e.width, e.height) for (x, y), e in zip(pixels, extents, strict=True)]
    frame = axes.get_window_extent(renderer)
    places = place_labels(labels, marks, Box(frame.x0, frame.y0, frame.x1, frame.y1), gap=5.5, radius=3.5)
    to_data = axes.transData.inverted()
    for text, label, place in zip(texts, labels, places, strict=True):
        if place is None:
            text.remove()
            continue
        box = label_box(label, place, 5.5)
        x, y = to_data.transform(((box.left + box.right) / 2, (box.bottom + box.top) / 2))
        text.set_position((float(x), float(y)))


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure in the formats of the suffixes, without dates, so that the same data give the same bytes."""
    for path in paths:
        metadata: dict[str, Any] = (
            {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None} if path.suffix == ".png" else {}
        )
        figure.savefig(path, metadata=metadata, dpi=200)
