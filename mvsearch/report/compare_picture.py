"""`compare.svg` and `compare.png`: fronts over seeds, one panel per axis that the runs share."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.compare_data import Comparison, Panel
from mvsearch.report.compare_figures import (
    DASHES,
    NUM_COLOURS,
    band_outline,
    budget_on,
    published_points,
    shown_ranges,
    steps_of,
)
from mvsearch.report.compare_fronts import cost_on
from mvsearch.report.compare_words import name_of
from mvsearch.report.drawing import FAMILY, GRID, INK, STYLE, save_figure
from mvsearch.report.scene import log_ticks
from mvsearch.report.words import FAMILY_NAMES, family_of, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#B8860B", "#3D56C5", "#B03A48", "#7d858d")
_LINES = dict(zip(DASHES, ("-", (0, (5, 1.5)), (0, (1.2, 1.6)), (0, (5, 1.5, 1.2, 1.5))), strict=True))
PUBLISHED = ", published, by the same models"
MOST_COLUMNS = 3
LONGEST = 58
"""Characters of a group's name in the key."""


def draw_comparison(comparison: Comparison, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats. Panels: every latency axis, then parameters."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [p for axis in ("latency", "params") for p in comparison.panels if p.axis == axis and p.reference]
    columns = min(MOST_COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(6.4, 5 * columns), 4.1 * rows + 0.7), dpi=100, layout="constrained")
        grid = [a for line in figure.subplots(rows, columns, squeeze=False) for a in line]
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, comparison, panel)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        handles: dict[str, Any] = {}
        for axes in grid:
            handles |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        order = sorted(handles, key=lambda name: name.endswith(PUBLISHED))
        figure.suptitle(_title(comparison), x=0.005, ha="left", fontsize=10)
        figure.legend(
            [handles[k] for k in order], order, loc="outside lower center", ncols=min(4, len(handles)), frameon=False,
            fontsize=8, handletextpad=0.5, columnspacing=1.6,
        )  # fmt: skip
        FigureCanvasAgg(figure)
        save_figure(figure, paths)


def _title(comparison: Comparison) -> str:
    text = f"{plural(len(comparison.runs), 'run')} in {plural(len(comparison.groups), 'group')}"
    if any(len(g.runs) > 1 for g in comparison.groups):
        text += "; lines: median over seeds; bands: worst to best run"
    return f"{text}; stars: winners; estimates and predictions of one model"


def _draw(axes: Axes, comparison: Comparison, panel: Panel) -> None:
    costs, gains = shown_ranges(panel)
    axes.set_xscale("log")
    axes.set_xlim(*costs)
    axes.set_ylim(*gains)
    axes.set_xticks(*log_ticks(*costs))
    axes.set_xticks([], minor=True)
    axes.set_xlabel(panel.title)
    axes.set_ylabel(f"top-1, lower bound ({100 * comparison.confidence:.0f} %), %")
    if panel.scope:
        axes.set_title(panel.scope, loc="left", fontsize=9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _draw_published(axes, comparison, panel, costs, gains)
    for found in panel.fronts:
        group = comparison.groups[found.group]
        tint, line = COLOURS[found.group % NUM_COLOURS], _LINES[DASHES[(found.group // NUM_COLOURS) % len(DASHES)]]
        if len(group.runs) > 1 and found.levels[0]:
            axes.fill(*_columns(band_outline(found, costs[1])), color=tint, alpha=0.16, linewidth=0, zorder=2)
        name = name_of(group)
        label = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
        if found.median:
            gain, last = found.median[-1]
            axes.plot(*_columns(steps_of(found.median, last)), color=tint, linewidth=1.6, linestyle=line, label=label, zorder=3)
            axes.plot((last, costs[1]), (gain, gain), color=tint, linewidth=0.8, linestyle=(0, (1, 2)), zorder=3)
        for run in group.runs:
            if run.winner is not None:
                e = run.winner.evaluation
                place = cost_on(panel.axis, e), e.measurements["top1"].quantile(1 - comparison.confidence)
                axes.plot(*place, "*", ms=11, color=tint, mec="white", mew=0.7, zorder=4)
        for b in group.runs[0].view.settings.budgets:
            limit = budget_on(panel, b.metric, b.limit)
            if limit is not None and costs[0] < limit <= costs[1]:
                axes.axvline(limit, color=INK, linewidth=0.8, linestyle=(0, (5, 3)), zorder=1.5)
                axes.annotate(
                    f"budget {b.text}", (limit, 0.02), xycoords=("data", "axes fraction"), xytext=(-3, 0),
                    textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=8, color=INK,
                )  # fmt: skip


def _draw_published(
    axes: Axes, comparison: Comparison, panel: Panel, costs: tuple[float, float], gains: tuple[float, float]
) -> None:
    found = published_points(comparison, panel)
    for family, (tint, marker) in FAMILY.items():
        inside = [
            (x, y)
            for name, _, x, y in found
            if family_of(name) == family and costs[0] <= x <= costs[1] and gains[0] <= y <= gains[1]
        ]
        if inside:
            label = f"{FAMILY_NAMES[family]}{PUBLISHED}"
            axes.plot(*_columns(inside), marker, markersize=4.5, color=tint, alpha=0.75, mec="none", label=label, zorder=2.5)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
