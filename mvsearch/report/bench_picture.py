"""How the hypervolume grows with trials and with seconds: a line per engine, a band over its seeds, ours on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mvsearch.report.bench import LABELS
from mvsearch.report.drawing import GRID, INK, MUTED, STYLE, save_figure
from mvsearch.search.bench.contenders import CONTENDERS, OURS
from mvsearch.search.bench.results import Race

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mvsearch.search.bench.contenders import Variant
    from mvsearch.search.bench.problems import Problem
    from mvsearch.search.bench.race import Row

COLOURS = {
    OURS: "#D55E00",
    "optuna-tpe": "#0072B2",
    "optuna-nsga2": "#009E73",
    "optuna-nsga3": "#AA4499",
    "pymoo-nsga2": "#B8860B",
    "random": "#7d858d",
}
DASHES = {"as-is": (0, (1.2, 1.6)), "screened": "solid", "started": (0, (5, 1.5))}
SUFFIXES = {"as-is": "", "screened": ", our screen", "started": ", our screen and start"}
NUM_TIMES = 120
Curve = Sequence[tuple[float, float, float, float]]
"""(x, lowest, median, highest over seeds)."""


def draw_bench(problem: Problem, races: Mapping[Race, Sequence[Row]], whole: float, trials: int, paths: Sequence[Path]) -> None:
    """Write the picture of one problem; the suffixes give the formats.

    Args:
        problem: whose races.
        races: of `Results`.
        whole: hypervolume of the reference front; 0 if none is known.
        trials: per race.
        paths: files.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mine: dict[tuple[str, Variant], list[Sequence[Row]]] = {}
    for (name, contender, variant, _), rows in races.items():
        if name == problem.name:
            mine.setdefault((contender, variant), []).append(rows)
    scale = 100 / whole if whole > 0 else 1.0
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2), dpi=100, layout="constrained")
        by_trials, by_seconds = figure.subplots(1, 2, sharey=True)
        # Ours last, on top of the others.
        for contender, variant in sorted(mine, key=lambda k: (k[0] == OURS, list(CONTENDERS).index(k[0]), k[1])):
            runs = mine[contender, variant]
            label = LABELS[contender] if contender == OURS else LABELS[contender] + SUFFIXES[variant]
            _draw(by_trials, over_trials(runs), contender, variant, scale, label)
            _draw(by_seconds, over_seconds(runs), contender, variant, scale, label)
        for axes, title in ((by_trials, "trials (log scale)"), (by_seconds, "CPU seconds, evaluations included (log scale)")):
            axes.set_xscale("log")
            axes.set_xlabel(title)
            axes.grid(color=GRID, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
            if whole > 0:
                axes.axhline(100, color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)), zorder=1)
                axes.annotate(
                    "reference front", (0, 100), xycoords=("axes fraction", "data"), xytext=(4, 3), textcoords="offset points",
                    fontsize=8, color=MUTED,
                )  # fmt: skip
        by_trials.set_xlim(10, trials)
        by_trials.set_ylim(bottom=0)
        by_trials.set_ylabel("hypervolume, % of the reference front" if whole > 0 else "hypervolume")
        seeds = max((len(runs) for runs in mine.values()), default=0)
        figure.suptitle(
            f"{problem.name}: {problem.description}\nmedian of {seeds} seeds, band from lowest to highest",
            x=0.005, ha="left", fontsize=10, color=INK,
        )  # fmt: skip
        handles, names = by_trials.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda i: (names[i] != LABELS[OURS], "screen" in names[i]))
        figure.legend(
            [handles[i] for i in order], [names[i] for i in order], loc="outside lower center", ncols=4, frameon=False,
            fontsize=8,
        )  # fmt: skip
        FigureCanvasAgg(figure)
        save_figure(figure, paths)


def over_trials(runs: Sequence[Sequence[Row]]) -> Curve:
    """Hypervolume over seeds at every number of trials that all races have a row for."""
    at = [{r.trials: r.hypervolume for r in rows} for rows in runs]
    shared = sorted(set.intersection(*(set(a) for a in at)))
    return [(t, *_spread([a[t] for a in at])) for t in shared]


def over_seconds(runs: Sequence[Sequence[Row]]) -> Curve:
    """Hypervolume over seeds along time, from when the last race has its first row to when the first one ends."""
    start, end = max(rows[0].seconds for rows in runs), min(rows[-1].seconds for rows in runs)
    if not 0 < start < end:
        return []
    times = [start * (end / start) ** (k / NUM_TIMES) for k in range(NUM_TIMES + 1)]
    return [(t, *_spread([_at(rows, t) for rows in runs])) for t in times]


def _at(rows: Sequence[Row], seconds: float) -> float:
    return max((r.hypervolume for r in rows if r.seconds <= seconds * (1 + 1e-9)), default=0.0)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), median(values), max(values)


def _draw(axes: Axes, curve: Curve, contender: str, variant: str, scale: float, label: str) -> None:
    if not curve:
        return
    is_ours = contender == OURS
    xs = [x for x, _, _, _ in curve]
    axes.fill_between(
        xs, [scale * low for _, low, _, _ in curve], [scale * high for _, _, _, high in curve], color=COLOURS[contender],
        alpha=0.2 if is_ours else 0.09, linewidth=0, zorder=2,
    )  # fmt: skip
    axes.plot(
        xs, [scale * middle for _, _, middle, _ in curve], color=COLOURS[contender], linewidth=2.6 if is_ours else 1.4,
        linestyle="solid" if is_ours else DASHES[variant], label=label, zorder=4 if is_ours else 3,
    )  # fmt: skip
