"""Where costs go as a picture: a panel per quantity, a row per stage, kind or module, a bar per network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.report.anatomy import CONSTANT, MEMORY, By, Line, paired
from mvsearch.report.anatomy_table import MAX_MODULES, number, total
from mvsearch.report.drawing import INK, MUTED, STYLE, save_figure
from mvsearch.targets.anatomy import Anatomy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B")
"""Of the networks in order, after Okabe and Ito."""
MAX_NETWORKS = len(COLOURS)
ROW_INCHES, BAR_INCHES, MARGIN_INCHES = 0.09, 0.17, 1.0
WHAT: dict[By, str] = {"stage": "stage", "kind": "kind of operation", "op": "module and kind of operation"}


def draw_anatomy(names: Sequence[str], anatomies: Sequence[Anatomy], by: By, latency_note: str, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats.

    Args:
        names: of the networks, at most `MAX_NETWORKS`.
        anatomies: in the same order.
        by: what a row is.
        latency_note: where the milliseconds come from, e.g. `predicted on iphone12`.
        paths: of the files.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = paired(anatomies, by)
    left_out = by == "op" and len(rows) > MAX_MODULES
    if left_out:
        rows = rows[:MAX_MODULES]
    panels = [("MACs, counted", "macs"), ("parameters, counted", "params"), (f"{MEMORY[by][1]} in MB, counted", "bytes")]
    timed = all(a.total_ms is not None for a in anatomies)
    panels = [(heading, field) for heading, field in panels if any(getattr(x, field) for _, found in rows for x in found if x)]
    if timed:
        panels.insert(0, (f"ms, {latency_note}", "ms"))
        rows = [*rows, (CONSTANT, [Line(CONSTANT, (), 0, 0, 0, a.constant_ms) for a in anatomies])]
    height = MARGIN_INCHES + len(rows) * (ROW_INCHES + BAR_INCHES * len(names))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, height), dpi=100, layout="constrained")
        # Else the canvas is made when it is saved, by the suffix.
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), sharey=True)
        for panel, (heading, field) in zip(axes, panels, strict=True):
            whole = [total(a, by, field) for a in anatomies]
            _draw_panel(panel, rows, field, whole, with_shares=len(names) == 1 and not (field == "bytes" and by != "kind"))
            together = f": {number(field, whole[0])}" if len(names) == 1 else ""
            panel.set_title(f"{heading}{together}", loc="left", fontsize=9)
        axes[0].set_yticks(range(len(rows)), [key for key, _ in rows])
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
        shown = f", the {MAX_MODULES} that take most" if left_out else ""
        figure.suptitle(f"{', '.join(names)}: by {WHAT[by]}{shown}", x=0.005, ha="left", fontsize=10)
        if len(names) > 1:
            handles = [matplotlib.patches.Patch(color=c) for c in COLOURS[: len(names)]]
            figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
        save_figure(figure, paths)


def _draw_panel(
    panel: Axes, rows: Sequence[tuple[str, list[Line | None]]], field: str, whole: Sequence[float], *, with_shares: bool
) -> None:
    share, largest = 0.8 / len(whole), 0.0
    for i, (colour, all_of_it) in enumerate(zip(COLOURS, whole, strict=False)):
        values = [(getattr(found[i], field) if found[i] else 0) or 0 for _, found in rows]
        places = [y - 0.4 + share * (i + 0.5) for y in range(len(rows))]
        panel.barh(places, values, height=0.9 * share, color=colour)
        largest = max(largest, *values)
        for y, value in zip(places, values, strict=True):
            if not value:
                continue
            said = number(field, value)
            if with_shares and all_of_it:
                said += f"  {100 * value / all_of_it:.0f} %"
            panel.annotate(said, (value, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7, color=INK)
    # Room for the numbers behind the bars.
    panel.set_xlim(0, (largest or 1.0) * (1.75 if with_shares else 1.45))
    panel.set_xticks([])
    panel.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
    panel.spines["left"].set_color(MUTED)
