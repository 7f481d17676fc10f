"""Predicted against published latency: the shipped predictor beside a constant plus MACs, families held out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.report.drawing import FAMILY, GRID, MUTED, STYLE, Wish, place_texts, save_figure
from mvsearch.report.scene import log_ticks
from mvsearch.targets.predictor.validation import HeldOutRow, PhoneValidation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OTHER = "#a9b0b7"
NUM_LABELS = 7


def draw_validation(found: PhoneValidation, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [r for r in found.held_out if r.scheme == "leave-family-out"]
    values = [v for r in rows for v in (r.published_ms, r.predicted_ms, r.baseline_ms)]
    low, high = 0.85 * min(values), 1.18 * max(values)
    panels = (
        ("by its operations (shipped)", [r.predicted_ms for r in rows]),
        ("by a constant plus MACs", [r.baseline_ms for r in rows]),
    )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.4), dpi=100, layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, (name, predicted) in zip(both, panels, strict=True):
            _draw(axes, rows, predicted, (low, high))
            axes.set_title(f"{name}: mean error {_mean_error(rows, predicted):.0f} %", loc="left", fontsize=9.5)
            axes.set_xlabel("published ms, at the reference protocol (log scale)")
        both[0].set_ylabel("predicted ms, family held out (log scale)")
        figure.suptitle(
            f"{found.target}: {len({r.network for r in rows})} networks, each predicted by a fit without its family; "
            f"bars: {100 * found.level:.0f} % intervals; lines: equal, x/÷ 1.5",
            x=0.005, ha="left", fontsize=10,
        )  # fmt: skip
        handles, names = both[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")
        for axes, (_, predicted) in zip(both, panels, strict=True):
            _label(canvas.get_renderer(), axes, rows, predicted)
        save_figure(figure, paths)


def _mean_error(rows: Sequence[HeldOutRow], predicted: Sequence[float]) -> float:
    """Over networks, each the geometric mean of its rows, in %."""
    logs: dict[str, list[float]] = defaultdict(list)
    for r, p in zip(rows, predicted, strict=True):
        logs[r.network].append(math.log(p / r.published_ms))
    errors = [abs(math.expm1(sum(v) / len(v))) for v in logs.values()]
    return 100 * sum(errors) / len(errors)


def _group(row: HeldOutRow) -> str:
    return {"MobileViTv1": "v1", "MobileViTv2": "v2"}.get(row.family, "")


def _draw(axes: Axes, rows: Sequence[HeldOutRow], predicted: Sequence[float], shown: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*shown)
    axes.set_ylim(*shown)
    ticks = log_ticks(*shown)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(*ticks)
        set_ticks([], minor=True)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot(shown, shown, color=MUTED, linewidth=1)
    for factor in (1.5, 1 / 1.5):
        axes.plot(shown, [v * factor for v in shown], color=MUTED, linewidth=0.7, linestyle=(0, (4, 4)))
    with_bars = predicted[0] == rows[0].predicted_ms
    looks = (
        ("other families", "", OTHER, "o"),
        ("MobileViT", "v1", *FAMILY["v1"]),
        ("MobileViTv2", "v2", *FAMILY["v2"]),
    )
    for label, group, colour, marker in looks:
        for recent in (True, False):
            mine = [(r, p) for r, p in zip(rows, predicted, strict=True) if _group(r) == group and r.recent == recent]
            if not mine:
                continue
            bars = [[p - r.low_ms for r, p in mine], [r.high_ms - p for r, p in mine]] if with_bars else None
            drawn = axes.errorbar(
                [r.published_ms for r, _ in mine], [p for _, p in mine], yerr=bars, linestyle="none", marker=marker,
                markersize=5, color=colour, markerfacecolor=colour if recent else "white",
                markeredgecolor="white" if recent else colour, markeredgewidth=0.6 if recent else 1.1,
                ecolor=colour, elinewidth=0.7, alpha=0.9, zorder=3 if group else 2,
                label=label if recent else f"{label}, older software than iOS 16",
            )  # fmt: skip
            for lines in drawn[2]:
                lines.set_alpha(0.9 if group else 0.3)


def _label(renderer: Any, axes: Axes, rows: Sequence[HeldOutRow], predicted: Sequence[float]) -> None:
    """Name the MobileViTs, then the largest errors."""
    points = sorted(
        zip(rows, predicted, strict=True), key=lambda rp: (_group(rp[0]) == "", -abs(math.log(rp[1] / rp[0].published_ms)))
    )
    named: dict[str, Wish] = {}
    for r, p in points:
        if _group(r) or len(named) < NUM_LABELS + sum(1 for q in rows if _group(q)):
            named.setdefault(r.network, Wish(r.published_ms, p, r.network.split("@256")[0].split("@224")[0]))
    marks = [tuple(map(float, axes.transData.transform((r.published_ms, p)))) for r, p in zip(rows, predicted, strict=True)]
    place_texts(renderer, axes, list(named.values()), [(x, y) for x, y in marks])
