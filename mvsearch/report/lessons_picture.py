"""Lessons as a picture: a row per pair, the ratio of its latencies with the interval, and the paper's number beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvsearch.report.drawing import GRID, INK, MUTED, STYLE, save_figure
from mvsearch.targets.lessons.lesson import LessonsView, PairResult

COLOURS = {"agrees": "#009E73", "disagrees": "#D55E00", "cannot tell": "#B8860B", "no finding": MUTED}
MARKERS = {"agrees": "o", "disagrees": "X", "cannot tell": "s", "no finding": "D"}
ROW_INCHES, MARGIN_INCHES = 0.42, 1.5


def draw_lessons(view: LessonsView, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, NullLocator

    rows = [(result.lesson.name, pair) for result in view.results for pair in result.pairs]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, MARGIN_INCHES + ROW_INCHES * len(rows)), dpi=100, layout="constrained")
        # Else the canvas is made when it is saved, by the suffix.
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvline(1, color=MUTED, linewidth=1)
        for y, (_, pair) in enumerate(rows):
            r, colour = pair.ratio, COLOURS[pair.verdict]
            axes.plot((r.low, r.high), (y, y), color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(r.value, y, color=colour, marker=MARKERS[pair.verdict], markersize=7, markeredgecolor="white")
            if factors := _factors(pair):
                axes.plot(factors, (y, y), color=INK, marker="|", markersize=13, markeredgewidth=2, linewidth=1, zorder=1.5)
            axes.annotate(
                f"{r.value:.2f}", (r.value, y), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=7, color=INK
            )
        axes.set_yticks(range(len(rows)), [_label(name, pair) for name, pair in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.4, -0.7)
        ends = [v for _, p in rows for v in (p.ratio.low, p.ratio.high, *_factors(p))]
        low, high = 0.94 * min(ends), 1.06 * max(ends)
        axes.set_xlim(low, high)
        axes.set_xticks([v for v in (0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10) if low <= v <= high])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_xlabel("latency of the first network over the second's (log scale)")
        level = f"{100 * rows[0][1].ratio.level:.0f} %"
        figure.suptitle(
            f"{view.target}, {view.kind}: pairs that differ in one thing; bars: {level} intervals of the ratio",
            x=0.005, ha="left", fontsize=10,
        )  # fmt: skip
        handles = [
            Line2D([], [], color=colour, marker=MARKERS[name], linewidth=2, label=f"{name} with the paper")
            if name in ("agrees", "disagrees")
            else Line2D([], [], color=colour, marker=MARKERS[name], linewidth=2, label=name)
            for name, colour in COLOURS.items()
        ]
        handles.append(Line2D([], [], color=INK, marker="|", linestyle="none", markeredgewidth=2, label="the paper's number"))
        figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
        save_figure(figure, paths)


def _factors(result: PairResult) -> tuple[float, ...]:
    return (result.pair.claim.factors if result.pair.claim else None) or ()


def _label(lesson: str, result: PairResult) -> str:
    return f"{result.pair.first.name}\nover {result.pair.second.name}  [{lesson}]"
