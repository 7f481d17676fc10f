"""`scale.svg` and `scale.png`: sizes, the law of the error, what a step brings; drawn with matplotlib, as `pareto.svg` is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.drawing import GRID, INK, MUTED, STYLE, Wish, place_texts, save_figure
from mvsearch.report.scaling_figures import MAX_BARS, SERIES_SYMBOLS, series_of, size_ends, steps_of_family
from mvsearch.report.scaling_law_figures import laws_of
from mvsearch.report.scaling_words import AXIS_SCALE, INPUT_NAMES, RULE_NAMES, axis_title
from mvsearch.report.traces import log_ticks_between
from mvsearch.report.words import short_name
from mvsearch.scaling.view import Law, Rule, ScalingView
from mvsearch.spec.record import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Rule, str] = {"width": "#0072B2", "depth": "#D55E00", "resolution": "#009E73", "compound": "#AA4499"}
_LINES: dict[Rule, Any] = {
    "width": "-",
    "depth": (0, (5, 1.5)),
    "resolution": (0, (1.2, 1.6)),
    "compound": (0, (5, 1.5, 1.2, 1.5)),
}
MOST_TICKS = 6
_MARKS = dict(zip(SERIES_SYMBOLS, ("s", "D", "^", "v", "P", "X", "*", "p"), strict=True))


def draw_scaling(view: ScalingView, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    law_input = "macs" if view.metric == "latency" else view.metric
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(14.5, 4.9), dpi=100, layout="constrained")
        sizes, laws, steps = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
        wishes, marks = _draw_sizes(sizes, view)
        _draw_laws(laws, view, law_input)
        _draw_steps(steps, view)
        name = view.name if len(view.name) <= 60 else f"...{view.name[-57:]}"
        figure.suptitle(
            f"{name}, scaled: {view.asked}; costs counted, latency predicted, top-1 estimated; published in grey",
            x=0.005, ha="left", fontsize=10,
        )  # fmt: skip
        handles, names = sizes.get_legend_handles_labels()
        found = dict(zip(names, handles, strict=True))
        order = sorted(found, key=lambda text: (text.endswith("published"), not text.startswith("by ")))
        figure.legend(
            [found[k] for k in order], order, loc="outside lower center", ncols=min(9, len(names)), frameon=False, fontsize=8,
            handletextpad=0.4, columnspacing=1.3,
        )  # fmt: skip
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")
        pixels = [tuple(map(float, sizes.transData.transform(m))) for m in marks]
        place_texts(canvas.get_renderer(), sizes, wishes, [(x, y) for x, y in pixels])
        save_figure(figure, paths)


def _plain(axes: Axes, title: str, x: str, y: str, ends: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*ends)
    axes.set_xticks(*_few_ticks(*ends))
    axes.set_xticks([], minor=True)
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _few_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """As many as a small panel has room for."""
    ticks, texts = log_ticks_between(low, high)
    if len(ticks) <= MOST_TICKS:
        return ticks, texts
    kept = [(t, text) for t, text in zip(ticks, texts, strict=True) if f"{t:e}"[0] in "125"]
    return [t for t, _ in kept], [text for _, text in kept]


def _draw_sizes(axes: Axes, view: ScalingView) -> tuple[list[Wish], list[tuple[float, float]]]:
    """Draw, and say which points want a label and which are to be kept clear."""
    ends, tops = size_ends(view, "latency")
    _plain(axes, "Every size", axis_title(view, "latency"), "ImageNet top-1, %", ends)
    axes.set_ylim(*tops)
    wishes, marks = [], []
    for family in view.families:
        if not family.members:
            continue
        points = [(m.evaluation.measurements["latency"], m.evaluation.measurements["top1"]) for m in family.members]
        x, y = [a.value for a, _ in points], [b.value for _, b in points]
        many, every = len(points) > MAX_BARS, -(-len(points) // MAX_BARS)
        axes.errorbar(
            x, y, xerr=_bars([a for a, _ in points]), yerr=_bars([b for _, b in points]), color=COLOURS[family.rule],
            linestyle=_LINES[family.rule], linewidth=1.5, marker="o", markersize=2.5 if many else 4.5, markeredgecolor="white",
            markeredgewidth=0.2 if many else 0.6, errorevery=every, elinewidth=0.6,
            ecolor=(*_rgb(COLOURS[family.rule]), 0.3), zorder=3, label=f"by {RULE_NAMES[family.rule]}",
        )  # fmt: skip
        marks += list(zip(x, y, strict=True))[::every]
        if family.knee is not None and family.knee.index is not None:
            at = family.knee.index
            axes.plot(x[at], y[at], "o", ms=12, mfc="none", mec=COLOURS[family.rule], mew=1.4, zorder=4)
    base = view.base.measurements
    axes.plot(
        base["latency"].value, base["top1"].value, "*", ms=12, color=INK, mec="white", mew=0.7, label="the base", zorder=5
    )
    for i, (name, members) in enumerate(series_of(view).items()):
        found = [(p, p.evaluation.measurements["latency"].value, p.top1.value) for p in members if p.top1]
        mark = _MARKS[SERIES_SYMBOLS[i % len(SERIES_SYMBOLS)]]
        axes.plot([x for _, x, _ in found], [y for _, _, y in found], marker=mark, markersize=4.5, color=MUTED, linewidth=0.7,
                  linestyle=(0, (1, 2)), alpha=0.85, label=f"{name}, published", zorder=2)  # fmt: skip
        inside = [(p, x, y) for p, x, y in found if ends[0] <= x <= ends[1] and tops[0] <= y <= tops[1]]
        wishes += [Wish(x, y, short_name(p.name)) for p, x, y in inside]
        marks += [(x, y) for _, x, y in inside]
    return wishes, marks


def _draw_laws(axes: Axes, view: ScalingView, law_input: str) -> None:
    laws = laws_of(view, "error", law_input)
    scale = AXIS_SCALE[law_input]
    points = [p for law in laws for p in law.points]
    if not points:
        axes.set_visible(False)
        return
    xs, ys = [p.x * scale for p in points], [p.y for p in points]
    ends = min(xs) / 1.12, max(xs) * 1.12
    _plain(axes, f"Power laws of the error against {INPUT_NAMES[law_input]}", axis_title(view, law_input),
           "error: 100 - top-1, %", ends)  # fmt: skip
    axes.set_yscale("log")
    low, high = min(ys) / 1.1, max(ys) * 1.1
    axes.set_ylim(low, high)
    axes.set_yticks(*log_ticks_between(low, high))
    axes.set_yticks([], minor=True)
    for law in laws:
        _draw_law(axes, law, scale)


def _draw_law(axes: Axes, law: Law, scale: float) -> None:
    tint = MUTED if law.rule is None else COLOURS[law.rule]
    x = [c.x * scale for c in law.curve]
    axes.plot(x, [c.y for c in law.curve], color=tint, linewidth=0.8 if law.rule is None else 1.5,
              linestyle="-" if law.rule is None else _LINES[law.rule], zorder=2.5)  # fmt: skip
    if law.rule is not None:
        axes.fill_between(x, [c.low for c in law.curve], [c.high for c in law.curve], color=tint, alpha=0.16, linewidth=0)
    axes.plot(
        [p.x * scale for p in law.points], [p.y for p in law.points], "o", ms=3.6, color=tint, mec="white", mew=0.4, zorder=3
    )


def _draw_steps(axes: Axes, view: ScalingView) -> None:
    found = [
        (family.rule, s.member.evaluation.measurements["latency"].value, s.rate, s.pays)
        for family in view.families
        for s in steps_of_family(family)
    ]
    if not found:
        axes.set_visible(False)
        return
    costs = [x for _, x, _, _ in found]
    _plain(axes, "What one more size brings; open: does not pay", axis_title(view, "latency"), "points of top-1 per added ms",
           (min(costs) / 1.1, max(costs) * 1.1))  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=0.7)
    for rule in dict.fromkeys(r for r, *_ in found):
        mine = [(x, y, pays) for r, x, y, pays in found if r == rule]
        tint = COLOURS[rule]
        axes.plot([x for x, _, _ in mine], [y for _, y, _ in mine], color=tint, linewidth=1.2, linestyle=_LINES[rule])
        for x, y, pays in mine:
            axes.plot(x, y, "o", ms=5, mfc=tint if pays else "white", mec=tint, mew=1.1, zorder=3)


def _bars(found: Sequence[Measurement]) -> tuple[list[float], list[float]]:
    below = [m.value - (m.value if m.low is None else m.low) for m in found]
    return below, [(m.value if m.high is None else m.high) - m.value for m in found]


def _rgb(colour: str) -> tuple[float, float, float]:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255
