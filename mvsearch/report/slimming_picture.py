"""`slimming.svg`: the paths of a run, from the largest network down, over latency and over a counted cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.drawing import GRID, MUTED, STYLE, save_figure
from mvsearch.report.scene import log_ticks
from mvsearch.spec.run import RunView, SlimmingPath, SlimmingStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATHS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#22262b")
"""Okabe and Ito's colours; a run has six paths by estimate, and one by measurement."""
_COUNTED = {"params": ("parameters, M, counted", 1e6), "macs": ("MACs, M, counted", 1e6)}


def draw_slimming(view: RunView, path: Path) -> None:
    """Write the paths as a picture; the suffix (`.svg`, `.png`) gives the format.

    Two panels share the lower bound of top-1. Dots begin where a path has met every budget; open ones are members of the front.

    Args:
        view: a run by slimming, with one path at least.
        path: of the picture.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    limits = {b.metric: b for b in view.settings.budgets}
    second = "macs" if "macs" in limits and "params" not in limits else "params"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.6), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        kinds = {s.evaluation.measurements["latency"].kind for p in view.slimming for s in p.steps}
        title = f"latency on {view.settings.target}, ms, {' or '.join(sorted(kinds))}"
        _draw_panel(left, view, "latency", title, 1.0)
        _draw_panel(right, view, second, *_COUNTED[second])
        left.set_ylabel(f"lower bound of estimated top-1, % ({100 * view.settings.confidence:.0f} % sure)")
        budget = ", ".join(b.text for b in view.settings.budgets)
        figure.suptitle(
            f"slimming from the largest network of {view.settings.space} to {budget}", x=0.005, ha="left", fontsize=10
        )
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        FigureCanvasAgg(figure)
        save_figure(figure, (path,))


def _draw_panel(axes: Axes, view: RunView, metric: str, title: str, unit: float) -> None:
    def at(steps: tuple[SlimmingStep, ...]) -> tuple[list[float], list[float]]:
        values = [s.evaluation.measurements for s in steps]
        return [m[metric].value / unit for m in values], [m["top1"].quantile(1 - view.settings.confidence) for m in values]

    front = {m.evaluation.arch_id for m in view.front}
    style: dict[str, Any] = {"linestyle": "none", "marker": "o"}
    for number, path in reversed([*enumerate(view.slimming)]):
        colour = PATHS[number % len(PATHS)]
        met = tuple(s for s in path.steps if s.in_budget)
        axes.plot(*at(path.steps), color=colour, linewidth=1.3 if number == 0 else 0.9, label=_name(number, path), zorder=3)
        axes.plot(*at(met), ms=2.6, color=colour, zorder=4, **style)
        on_front = tuple(s for s in met if s.evaluation.arch_id in front)
        axes.plot(*at(on_front), ms=6, mfc="none", mec=colour, mew=1.0, zorder=4, **style)
    (x,), (y,) = at(view.slimming[0].steps[:1])
    axes.annotate("largest", (x, y), xytext=(0, -10), textcoords="offset points", ha="right", va="top", fontsize=8, color=MUTED)
    axes.set_xscale("log")
    axes.set_xticks(*log_ticks(*axes.get_xlim()))
    axes.set_xticks([], minor=True)
    axes.set_xlabel(title)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for budget in view.settings.budgets:
        if budget.metric == metric:
            axes.axvline(budget.limit / unit, color=MUTED, linewidth=1, linestyle=(0, (5, 3)))


def _name(number: int, path: SlimmingPath) -> str:
    judged = "by measurement, " if path.measured else ""
    return f"path {number + 1}: {judged}to {path.aim}"
