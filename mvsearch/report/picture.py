"""`pareto.svg` and `pareto.png` for a paper or a README.

Drawn with matplotlib: it is well kept, needs no browser (plotly's own image export drives one), writes
text as text into the SVG, and the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.drawing import FAMILY, GRID, MUTED, STYLE, Wish, place_texts, save_figure
from mvsearch.report.scene import Axis, CostKey, Point, Scene, build_scene, log_ticks, published_in_view, winner_bars
from mvsearch.report.select import staircase
from mvsearch.report.words import FAMILY_NAMES
from mvsearch.spec.run import RunView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

FRONT, WINNER, CLOUD, BUDGET = "#0072B2", "#D55E00", "#a9b0b7", "#22262b"


def draw_picture(view: RunView, path: Path) -> None:
    """Write the trade-off as a picture; the suffix (`.svg`, `.png`, `.pdf`) gives the format.

    Two panels share the estimated top-1: the predicted or measured latency, and the budget's counted
    metric (parameters if only a latency is limited).
    """
    draw_pictures(view, (path,))


def draw_pictures(view: RunView, paths: Sequence[Path]) -> None:
    """The same picture in several formats, drawn once."""
    scene = build_scene(view, cloud_points=1500)
    draw_scene(scene, _title(view, scene), paths)


def _title(view: RunView, scene: Scene) -> str:
    budget = ", ".join(b.text for b in view.settings.budgets)
    s = view.settings
    space = s.space if len(s.space) <= 40 else f"...{s.space[-37:]}"
    asked = f"{space} within {budget}, {s.resolution} px, {view.counts.evaluated:,} candidates"
    return f"{asked}; bars: {scene.level} intervals; open marks: not within the budget"


def draw_scene(scene: Scene, title: str, paths: Sequence[Path]) -> None:
    """Draw and save a scene; see `draw_picture`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.7), dpi=100, layout="constrained")
        second: CostKey = "macs" if scene.axes["params"].limit is None and scene.axes["macs"].limit is not None else "params"
        left, right = figure.subplots(1, 2, sharey=True)
        panels = ((left, scene.axes["latency"]), (right, scene.axes[second]))
        for axes, axis in panels:
            _draw_panel(axes, scene, axis)
        left.set_ylabel(scene.qualities["estimate"])
        figure.suptitle(title, x=0.005, ha="left", fontsize=10)
        handles, names = left.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=7, frameon=False, fontsize=8, handletextpad=0.3, columnspacing=1.4
        )
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")
        for axes, axis in panels:
            _label_points(canvas.get_renderer(), axes, scene, axis)
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
        label: str | None = f"{FAMILY_NAMES[family]}, published"
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


def _label_points(renderer: RendererBase, axes: Axes, scene: Scene, axis: Axis) -> None:
    """Direct labels, placed by their real extents so that none overlaps another or a mark."""

    def pixel(cost: float, top1: float) -> tuple[float, float]:
        x, y = axes.transData.transform((cost, top1))
        return float(x), float(y)

    def place_of(p: Point) -> tuple[float, float]:
        return pixel(p.cost(axis.key), p.quality("estimate"))

    marks = [place_of(p) for p in (*scene.front, *scene.published)]
    marks += [pixel(*xy) for xy in winner_bars(scene, axis.key)]
    wishes = [
        Wish(p.cost(axis.key), p.quality("estimate"), p.label, WINNER if p is scene.winner else MUTED)
        for p in ([scene.winner] if scene.winner else []) + list(published_in_view(scene, axis))
    ]
    place_texts(renderer, axes, wishes, marks)
