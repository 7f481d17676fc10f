"""`pareto.svg` and `pareto.png` for a paper or a README.

Drawn with matplotlib: it is well kept, needs no browser (plotly's own image export drives one), writes
text as text into the SVG, and the same run gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.drawing import FAMILY, GRID, MUTED, STYLE, Wish, place_texts, save_figure
from mvsearch.report.field_marks import FieldMark, field_marks, in_view
from mvsearch.report.scene import Axis, CostKey, Point, Scene, build_scene, log_ticks, published_in_view, winner_bars
from mvsearch.report.select import staircase
from mvsearch.report.words import FAMILY_NAMES
from mvsearch.spec.run import RunView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

FRONT, WINNER, CLOUD, BUDGET = "#0072B2", "#D55E00", "#a9b0b7", "#22262b"
LINE_STEPS = 60
"""Points that a line is for labels, which keep away from them."""
LABEL_ROOM = 0.05
"""Share of the axis beside the winner where they need not."""
FIELD, FIELD_TEXT = "#8b939b", "#767d84"
FIELD_NAME = "other families: top-1 and cost as published"
FieldMarks = Mapping[CostKey, Sequence[FieldMark]]


def draw_picture(view: RunView, path: Path) -> None:
    """Write the trade-off as a picture; the suffix (`.svg`, `.png`, `.pdf`) gives the format.

    Two panels share the estimated top-1: the predicted or measured latency, and the budget's counted
    metric (parameters if only a latency is limited).
    """
    draw_pictures(view, (path,))


def draw_pictures(view: RunView, paths: Sequence[Path]) -> None:
    """The same picture in several formats, drawn once."""
    scene = build_scene(view, cloud_points=1500)
    field = {key: field_marks(view.settings, key) for key in scene.axes}
    draw_scene(scene, _title(view, scene), paths, field)


def _title(view: RunView, scene: Scene) -> str:
    budget = ", ".join(b.text for b in view.settings.budgets)
    s = view.settings
    space = s.space if len(s.space) <= 40 else f"...{s.space[-37:]}"
    asked = f"{space} within {budget}, {s.resolution} px, {view.counts.evaluated:,} candidates"
    return f"{asked}; bars: {scene.level} intervals; open marks: not within the budget"


def draw_scene(scene: Scene, title: str, paths: Sequence[Path], field: FieldMarks | None = None) -> None:
    """Draw and save a scene, perhaps with what the field published behind it; see `draw_picture`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.9), dpi=100, layout="constrained")
        second: CostKey = "macs" if scene.axes["params"].limit is None and scene.axes["macs"].limit is not None else "params"
        left, right = figure.subplots(1, 2, sharey=True)
        panels = ((left, scene.axes["latency"]), (right, scene.axes[second]))
        top1 = scene.top1_shown["estimate"]
        behind = {axis.key: in_view((field or {}).get(axis.key, ()), axis.shown, top1) for _, axis in panels}
        for axes, axis in panels:
            _draw_field(axes, behind[axis.key])
            _draw_panel(axes, scene, axis)
        left.set_ylabel(scene.qualities["estimate"])
        figure.suptitle(title, x=0.005, ha="left", fontsize=10)
        legend = {
            name: handle for axes in (left, right) for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if FIELD_NAME in legend:
            legend[FIELD_NAME] = legend.pop(FIELD_NAME)  # last
        figure.legend(
            list(legend.values()), list(legend), loc="outside lower center", ncols=4 if len(legend) > 7 else 7, frameon=False,
            fontsize=8, handletextpad=0.3, columnspacing=1.4,
        )  # fmt: skip
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")
        for axes, axis in panels:
            _label_points(canvas.get_renderer(), axes, scene, axis, behind[axis.key])
        save_figure(figure, paths)


def _draw_panel(axes: Axes, scene: Scene, axis: Axis) -> None:
    key = axis.key
    axes.set_xscale("log")
    axes.set_xlim(*axis.shown)
    axes.set_ylim(*scene.top1_shown["estimate"])
    axes.set_xlabel(axis.title)
    axes.set_xticks(*log_ticks(*axis.shown))
    axes.set_xticks([], minor=True)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.scatter(
        [p.cost(key) for p in scene.cloud], [p.quality("estimate") for p in scene.cloud], s=5, color=CLOUD, alpha=0.55,
        linewidths=0, label="candidates",
    )  # fmt: skip
    if axis.limit is not None:
        axes.axvline(axis.limit, color=BUDGET, linewidth=1, linestyle=(0, (5, 3)))
        axes.annotate(
            f"budget {axis.limit_text}", (axis.limit, 0.02), xycoords=("data", "axes fraction"), xytext=(-3, 0),
            textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=8, color=BUDGET,
        )  # fmt: skip
    steps = staircase([(p.cost(key), p.quality("estimate")) for p in scene.front])
    if steps:
        axes.step([x for x, _ in steps], [y for _, y in steps], where="post", color=FRONT, linewidth=1, alpha=0.7)
    _draw_published(axes, scene, axis)
    for role, name, style in (
        ("front", "front, with intervals", {"marker": "o", "ms": 4.6, "color": FRONT, "mec": "white", "mew": 0.6}),
        ("tied", "tied with the winner", {"marker": "o", "ms": 7, "mfc": "none", "mec": FRONT, "mew": 1.4, "ecolor": FRONT}),
        ("winner", "winner", {"marker": "*", "ms": 13, "color": WINNER, "mec": "white", "mew": 0.7}),
    ):
        points = [p for p in scene.front if p.role == role]
        if points:
            _draw_front(axes, points, key, name, style)


def _draw_front(axes: Axes, points: list[Point], key: CostKey, name: str, style: dict[str, Any]) -> None:
    x, y = [p.cost(key) for p in points], [p.quality("estimate") for p in points]
    x_ends, y_ends = [p.cost_interval(key) for p in points], [p.quality_interval() for p in points]
    container = axes.errorbar(
        x, y, linestyle="none", label=name, elinewidth=0.8, capsize=0, zorder=4 if name == "winner" else 3,
        xerr=([v - e[0] for v, e in zip(x, x_ends, strict=True)], [e[1] - v for v, e in zip(x, x_ends, strict=True)]),
        yerr=([v - e[0] for v, e in zip(y, y_ends, strict=True)], [e[1] - v for v, e in zip(y, y_ends, strict=True)]),
        **style,
    )  # fmt: skip
    for bars in container[2]:
        bars.set_zorder(2)  # under the labels, which are under the marks
        bars.set_alpha(0.85 if name == "winner" else 0.22)


def _is_shown(p: Point, scene: Scene, axis: Axis) -> bool:
    low, high = scene.top1_shown["estimate"]
    return axis.shown[0] <= p.cost(axis.key) <= axis.shown[1] and low <= p.quality("estimate") <= high


def _draw_published(axes: Axes, scene: Scene, axis: Axis) -> None:
    for family, (colour, marker) in FAMILY.items():
        label: str | None = f"{FAMILY_NAMES[family]}, published network"
        for feasible in (True, False):
            points = [p for p in scene.published if p.family == family and p.feasible == feasible]
            if not points:
                continue
            inside = [p for p in points if _is_shown(p, scene, axis)]
            (line,) = axes.plot(
                [p.cost(axis.key) for p in inside], [p.quality("estimate") for p in inside], marker, markersize=5.5, zorder=3.5,
                markerfacecolor=colour if feasible else "white", markeredgecolor="white" if feasible else colour,
                markeredgewidth=0.6 if feasible else 1.1, label=label, clip_on=False,
            )  # fmt: skip
            line.set_in_layout(False)  # unclipped, it would count as part of the margins
            label = None


def _draw_field(axes: Axes, marks: Sequence[FieldMark]) -> None:
    label: str | None = FIELD_NAME
    for feasible in (True, False):
        mine = [m for m in marks if m.feasible == feasible]
        if mine:
            axes.plot(
                [m.cost for m in mine], [m.top1 for m in mine], "p", markersize=4.6, zorder=1.5, label=label,
                markerfacecolor=FIELD if feasible else "white", markeredgecolor=FIELD, markeredgewidth=0.8, linestyle="none",
            )  # fmt: skip
            label = None


def _label_points(renderer: RendererBase, axes: Axes, scene: Scene, axis: Axis, field: Sequence[FieldMark]) -> None:
    """Direct labels, placed by their real extents so that none overlaps another or a mark."""

    def pixel(cost: float, top1: float) -> tuple[float, float]:
        x, y = axes.transData.transform((cost, top1))
        return float(x), float(y)

    def place_of(p: Point) -> tuple[float, float]:
        return pixel(p.cost(axis.key), p.quality("estimate"))

    marks = [place_of(p) for p in (*scene.front, *scene.published)]
    marks += [pixel(*xy) for xy in winner_bars(scene, axis.key)]
    marks += [pixel(m.cost, m.top1) for m in field]
    if axis.limit is not None:
        low, high = scene.top1_shown["estimate"]
        heights = (low + (high - low) * i / LINE_STEPS for i in range(LINE_STEPS + 1))
        # The winner is often at the line, and its label has nowhere else to go.
        taken = scene.winner.quality("estimate") if scene.winner else -math.inf
        marks += [pixel(axis.limit, y) for y in heights if abs(y - taken) > LABEL_ROOM * (high - low)]
    wishes = [
        Wish(p.cost(axis.key), p.quality("estimate"), p.label, WINNER if p is scene.winner else MUTED)
        for p in ([scene.winner] if scene.winner else []) + list(published_in_view(scene, axis))
    ]
    wishes += [Wish(m.cost, m.top1, m.label, FIELD_TEXT, 6.5) for m in field]
    place_texts(renderer, axes, wishes, marks)
