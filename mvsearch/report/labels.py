"""Places for the labels of points so that they overlap neither each other nor other marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PLACES: dict[str, tuple[float, float]] = {
    "middle right": (0.5, 0.0),
    "middle left": (-0.5, 0.0),
    "top center": (0.0, 0.5),
    "bottom center": (0.0, -0.5),
    "top right": (0.5, 0.5),
    "bottom right": (0.5, -0.5),
    "top left": (-0.5, 0.5),
    "bottom left": (-0.5, -0.5),
}
"""Plotly's names -> where the label's middle lies, in label sizes from the point (y up)."""


@dataclass(frozen=True, slots=True)
class Label:
    """A point that wants a label: position and size of the text, all in pixels, y up."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels, y up."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share area."""
        return self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return self.left <= other.left and other.right <= self.right and self.bottom <= other.bottom and other.top <= self.top


def label_box(label: Label, place: str, gap: float) -> Box:
    """Where the text stands if it is put there, `gap` pixels off the point."""
    dx, dy = PLACES[place]
    x = label.x + dx * label.width + (dx > 0) * gap - (dx < 0) * gap
    y = label.y + dy * label.height + ((dy > 0) - (dy < 0)) * gap * (1 if dx == 0 else 0.9)
    return Box(x - label.width / 2, y - label.height / 2, x + label.width / 2, y + label.height / 2)


def place_labels(
    labels: Sequence[Label], marks: Sequence[tuple[float, float]], area: Box, gap: float = 8, radius: float = 5
) -> list[str | None]:
    """A place for each label, or None where every place is taken.

    Greedy in the order given, so the more important labels come first. Taken are the marks (points in
    pixels), the labels placed before, and what is outside the area.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in marks]
    places: list[str | None] = []
    for label in labels:
        here = None
        if area.left <= label.x <= area.right and area.bottom <= label.y <= area.top:
            for place in PLACES:
                box = label_box(label, place, gap)
                if area.holds(box) and not any(box.overlaps(other) for other in taken):
                    here = place
                    taken.append(box)
                    break
        places.append(here)
    return places
