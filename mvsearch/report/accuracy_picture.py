"""Errors of the estimate, order at equal size by row of the table, stated against observed probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.accuracy.validation.records import AccuracyValidation, CalibrationRow
from mvsearch.accuracy.validation.stated import MIN_PAIRS, TOLERANCE
from mvsearch.report.drawing import FAMILY, GRID, INK, MUTED, STYLE, Wish, place_texts, save_figure
from mvsearch.report.words import FAMILY_NAMES, family_of, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN = "#0072B2"
LOOKS = {
    "any two networks": ("#a9b0b7", "o"),
    "one family": ("#0072B2", "s"),
    "two MobileViTs": ("#AA4499", "D"),
}


def draw_accuracy_validation(found: AccuracyValidation, paths: Sequence[Path]) -> None:
    """Write the picture; the suffixes give the formats."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.5, 5.2), dpi=100, layout="constrained")
        errors, order, calibration = figure.subplots(1, 3, width_ratios=(1.15, 1, 0.9))
        wishes, marks = _draw_errors(errors, found)
        _draw_order(order, found)
        _draw_calibration(calibration, found.calibration)
        figure.suptitle(
            f"Estimated ImageNet-1k top-1, judged on {len(found.networks)} published MobileViTs; nothing was trained here",
            x=0.005, ha="left", fontsize=10.5,
        )  # fmt: skip
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_layout_engine("none")
        pixels = [tuple(map(float, errors.transData.transform(m))) for m in marks]
        place_texts(canvas.get_renderer(), errors, wishes, [(x, y) for x, y in pixels])
        save_figure(figure, paths)


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_errors(axes: Axes, found: AccuracyValidation) -> tuple[list[Wish], list[tuple[float, float]]]:
    """Draw, and say which points want a label and which are to be kept clear."""
    _plain(axes, f"Error with the size band left out, {100 * found.level:.0f} % intervals")
    axes.axhspan(-found.recipe_noise, found.recipe_noise, color=GRID, alpha=0.6, linewidth=0, zorder=0)
    axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
    wishes = []
    for family in ("v1", "v2", "v3"):
        colour, marker = FAMILY[family]
        mine = [n for n in found.networks if family_of(n.network) == family]
        errors = [(n.low + n.high) / 2 - n.top1 for n in mine]
        axes.errorbar(
            [n.top1 for n in mine], errors, yerr=[(n.high - n.low) / 2 for n in mine], linestyle="none", marker=marker,
            markersize=5.5, color=colour, markeredgecolor="white", markeredgewidth=0.6, ecolor=colour, elinewidth=0.8,
            label=FAMILY_NAMES[family], zorder=3,
        )  # fmt: skip
        wishes += [Wish(n.top1, e, short_name(n.network)) for n, e in zip(mine, errors, strict=True)]
    marks = [(w.x, w.y) for w in wishes]
    if found.own is not None:
        before = [(r.top1, r.shipped - r.top1) for r in found.own.rows]
        after = [(r.top1, r.left_out - r.top1) for r in found.own.rows if r.left_out is not None]
        for points, marker, label in ((before, "x", "yours, shipped"), (after, "o", "yours, refitted, left out")):
            axes.scatter([x for x, _ in points], [y for _, y in points], marker=marker, color=OWN, s=28, label=label, zorder=4)
        marks += [*before, *after]
    axes.margins(x=0.07, y=0.12)
    axes.set_xlabel(f"published top-1, %{'' if found.own is None else ', or yours'}\ngrey: noise between recipes")
    axes.set_ylabel("estimated less published, points")
    axes.legend(loc="lower left", frameon=False, fontsize=8)
    return wishes, marks


def _draw_order(axes: Axes, found: AccuracyValidation) -> None:
    _plain(axes, f"Pairs of one size band in the right order ({found.proxies[0].pairs} pairs)")
    names = []
    for y, r in enumerate(found.proxies):
        colour = {"size": MUTED, "beyond size": FAMILY["v1"][0]}.get(r.mark, "#B0552B")
        if r.right.value is not None and r.right.low is not None and r.right.high is not None:
            axes.plot((r.right.low, r.right.high), (y, y), color=colour, linewidth=1.4, solid_capstyle="butt")
            axes.plot(r.right.value, y, marker="o", color=colour, markersize=6.5)
        names.append(f"{r.name.replace(', ', chr(10))}")
        axes.annotate(
            "" if r.mark == "size" else r.mark, (0.015, y), xycoords=("axes fraction", "data"), xytext=(0, 8),
            textcoords="offset points", fontsize=7.5, color=colour,
        )  # fmt: skip
    baseline = max(r.right.value or 0.0 for r in found.proxies if r.mark == "size")
    axes.axvline(baseline, color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(
        f"share, {100 * found.level:.0f} % bootstrap intervals\ndotted: chance; dashed: the better of params, activations"
    )
    for label, r in zip(axes.get_yticklabels(), found.proxies, strict=True):
        label.set_color(INK if r.obtained == "estimated" else MUTED)


def _draw_calibration(axes: Axes, rows: Sequence[CalibrationRow]) -> None:
    _plain(axes, "Probability that the better estimate is right")
    axes.plot((0.45, 1), (0.45, 1), color=MUTED, linewidth=1, zorder=1)
    for shift in (-TOLERANCE, TOLERANCE):
        axes.plot((0.45, 1), (0.45 + shift, 1 + shift), color=MUTED, linewidth=0.7, linestyle=(0, (4, 4)), zorder=1)
    for kind, (colour, marker) in LOOKS.items():
        for enough in (True, False):
            mine = [r for r in rows if r.kind == kind and (r.pairs >= MIN_PAIRS) == enough]
            label = kind if enough else f"{kind}, under {MIN_PAIRS} pairs"
            axes.scatter(
                [r.stated_held_out for r in mine], [r.observed for r in mine], marker=marker, s=34, zorder=3,
                facecolor=colour if enough else "white", edgecolor="white" if enough else colour,
                linewidth=0.6 if enough else 1.1, label=label if mine else None,
            )  # fmt: skip
    axes.set_xlim(0.45, 1.02)
    axes.set_ylim(0.45, 1.02)
    axes.set_xlabel(f"stated, without the two families\ndashed: {TOLERANCE:g} off")
    axes.set_ylabel("came true")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
