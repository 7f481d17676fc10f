"""Figures of the trainings, as plotly JSON: learning curves, before and after, loss against top-1 per rung.

Plain dictionaries: nothing here needs plotly. Colours are CSS variables as in `figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import NormalDist, median
from typing import Any

from mvsearch.accuracy.marriage import Marriage, Married, RungScale
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.report.figures import AXIS, plain_layout
from mvsearch.report.words import escape, plural
from mvsearch.spec.record import Measurement

RUNG_COLOURS = ("var(--cloud)", "var(--v1)", "var(--front)", "var(--v2)", "var(--v3)")
"""Of the lowest rung first; the highest of several is always the front's colour or a later one."""
ROW, HEAD = 24, 110
"""Pixels per network and for everything else in the figure of before and after."""
_TITLE = {"size": 13.5}
_Z = NormalDist().inv_cdf(0.95)


def training_figures(
    marriage: Marriage, records: Sequence[TrainingRecord], names: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Element id -> figure, for the elements of `training_page.training_section`.

    Args:
        marriage: estimates and trainings.
        records: all trainings.
        names: arch_id -> what the network is called; one that is missing is called by its arch_id.
    """
    figures = {"training-change": change_figure(marriage, names)}
    if records:
        figures["training-curves"] = curves_figure(marriage, records, names)
    for scale in marriage.scales:
        if scale.candidates + scale.anchors:
            figures[f"training-rung-{scale.rung}"] = score_figure(marriage, scale, names)
    return figures


def sorted_networks(marriage: Marriage) -> list[Married]:
    """Trained networks first, best first; then those without a score."""
    return sorted(marriage.networks, key=lambda n: (n.rung is None, -n.after.value, n.arch_id))


def rung_colour(rung: int, count: int) -> str:
    """A rung's colour; the lowest of several is pale."""
    return RUNG_COLOURS[2 if count == 1 else 0 if rung == 0 else min(rung + (count < 3), len(RUNG_COLOURS) - 1)]


def curves_figure(marriage: Marriage, records: Sequence[TrainingRecord], names: Mapping[str, str]) -> dict[str, Any]:
    """Validation loss over steps: one line per training, a cross where one failed."""
    rungs = {s.recipe: s.rung for s in marriage.scales}
    traces = []
    for scale in marriage.scales:
        mine = sorted((r for r in records if r.recipe == scale.recipe and r.curve), key=lambda r: (r.arch_id, r.seed))
        if not mine:
            continue
        colour = rung_colour(scale.rung, len(rungs))
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for r in mine:
            xs += [*(p.step for p in r.curve), None]
            ys += [*(_short(p.val_loss) for p in r.curve), None]
            texts += [f"{_name(r.arch_id, names)}, seed {r.seed}<br>step {p.step:,}: {p.val_loss:.3f}" for p in r.curve] + [""]
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers", "x": xs, "y": ys, "text": texts, "hoverinfo": "text",
                "name": f"rung {scale.rung}: {scale.steps:,} steps", "legendgroup": f"rung {scale.rung}", "opacity": 0.75,
                "line": {"color": colour, "width": 1.2}, "marker": {"color": colour, "size": 4},
            }
        )  # fmt: skip
        failed = [r for r in mine if r.failure]
        if failed:
            traces.append(
                {
                    "type": "scatter", "mode": "markers", "x": [r.curve[-1].step for r in failed],
                    "y": [_short(r.curve[-1].val_loss) for r in failed], "hoverinfo": "text",
                    "text": [f"{_name(r.arch_id, names)}, seed {r.seed}: {_failure(r)}" for r in failed],
                    "name": "failed", "legendgroup": f"rung {scale.rung}", "showlegend": False,
                    "marker": {"symbol": "x", "size": 9, "color": "var(--winner)"},
                }
            )  # fmt: skip
    steps = sorted({r.steps for r in records})
    layout = _layout("optimiser steps (log scale)", "validation loss, nats")
    ticks = sorted({p.step for r in records for p in r.curve[-1:]} | {r.curve[0].step for r in records if r.curve} | {*steps})
    losses = [p.val_loss for r in records for p in r.curve if isfinite(p.val_loss)]
    if losses and max(losses) > 2 * median(losses):
        # One that went astray would leave no room for the others.
        layout["yaxis"]["range"] = [0.9 * min(losses), 2 * median(losses)]
    layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [f"{t:,}" for t in ticks]}
    return {"data": traces, "layout": layout}


def change_figure(marriage: Marriage, names: Mapping[str, str]) -> dict[str, Any]:
    """Top-1 before and after, a row per trained network, with what its training alone implies."""
    shown = [n for n in sorted_networks(marriage) if n.rung is not None or n.failures]
    rows = {n.arch_id: len(shown) - 1 - i for i, n in enumerate(shown)}
    implied = [n for n in shown if n.trained]
    published = [n for n in shown if n.published is not None]
    before = {n.arch_id: n.before for n in shown}
    after = {n.arch_id: n.after for n in shown} if marriage.used else {}
    offset = 0.15 if after else 0.0
    links = [v for n in shown if after for v in (n.before.value, n.after.value, None)]
    levels = [v for n in shown if after for v in (rows[n.arch_id] + offset, rows[n.arch_id] - offset, None)]
    traces = [
        {"type": "scatter", "mode": "lines", "x": links, "y": levels, "hoverinfo": "skip", "showlegend": False,
         "line": {"color": "var(--axis)", "width": 1}},
        _estimates("estimate" if not after else "before: estimate", before, rows, offset, names,
                   {"color": "var(--paper)", "size": 8, "line": {"color": "var(--muted)", "width": 1.5}}, "var(--axis)"),
    ]  # fmt: skip
    if after:
        marker = {"color": "var(--front)", "size": 9, "line": {"color": "var(--paper)", "width": 1}}
        traces.append(_estimates("after: with training", after, rows, -offset, names, marker, "var(--front)"))
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": "training alone implies" + ("" if after else " (not used)"),
            "x": [_short(n.trained.top1) for n in implied if n.trained], "y": [rows[n.arch_id] for n in implied],
            "text": [
                f"{_name(n.arch_id, names)}: training implies {n.trained.top1:.1f} ± {_Z * n.trained.sigma:.1f} %"
                for n in implied if n.trained
            ],
            "hoverinfo": "text", "marker": {"symbol": "diamond-open", "size": 8, "color": "var(--v2)", "line": {"width": 1.5}},
        }
    )  # fmt: skip
    if published:
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "published", "x": [_short(n.published or 0) for n in published],
                "y": [rows[n.arch_id] for n in published], "hoverinfo": "text",
                "text": [f"{_name(n.arch_id, names)}: published {n.published:.1f} %" for n in published],
                "marker": {"symbol": "star", "size": 9, "color": "var(--v3)"},
            }
        )  # fmt: skip
    layout = _layout(f"ImageNet top-1, % ({_level(shown) or 'no'} intervals)", "")
    layout["yaxis"] |= {
        "tickvals": list(rows.values()), "ticktext": [_name(k, names) for k in rows], "range": [-0.8, len(rows) - 0.2],
        "ticks": "", "tickfont": {"size": 11.5}, "automargin": True,
    }  # fmt: skip
    return {"data": traces, "layout": {**layout, "height": HEAD + ROW * max(1, len(rows))}}


def score_figure(marriage: Marriage, scale: RungScale, names: Mapping[str, str]) -> dict[str, Any]:
    """Loss against top-1 at one rung: estimates of candidates, published top-1 of anchors, and the scale between them."""
    traces = []
    at = {n.arch_id: loss for n in marriage.networks for loss in n.losses if loss.rung == scale.rung and not loss.far_off}
    mine = [n for n in marriage.networks if n.arch_id in at]
    if scale.usable and scale.slope is not None and scale.sigma is not None:
        ends = [min(at[n.arch_id].loss for n in mine), max(at[n.arch_id].loss for n in mine)]
        line = [scale.top1_at + scale.slope * (x - scale.loss_at) for x in ends]
        half = _Z * scale.sigma
        corners = [line[0] + half, line[1] + half, line[1] - half, line[0] - half]
        traces += [
            {"type": "scatter", "mode": "lines", "x": [*ends, *reversed(ends)], "y": [_short(v) for v in corners],
             "fill": "toself", "fillcolor": "var(--front-bar)", "line": {"width": 0}, "hoverinfo": "skip",
             "opacity": 0.6, "showlegend": False},
            {"type": "scatter", "mode": "lines", "x": ends, "y": [_short(v) for v in line], "hoverinfo": "skip",
             "line": {"color": "var(--front)", "width": 1.4}, "name": "scale", "showlegend": False},
        ]  # fmt: skip
    for name, is_anchor in (("candidates, estimated", False), ("published networks, published", True)):
        group = [n for n in mine if (n.published is not None) == is_anchor]
        if not group:
            continue
        values = [n.before.value if n.published is None else n.published for n in group]
        colour = "var(--v3)" if is_anchor else "var(--ink)"
        trace: dict[str, Any] = {
            "type": "scatter", "mode": "markers", "name": name, "x": [_short(at[n.arch_id].loss) for n in group],
            "y": [_short(v) for v in values], "hoverinfo": "text",
            "text": [_loss_text(n, at[n.arch_id].loss, v, names) for n, v in zip(group, values, strict=True)],
            "marker": {"symbol": "star" if is_anchor else "circle", "size": 10 if is_anchor else 6, "color": colour},
            "error_x": _bar([_Z * at[n.arch_id].se for n in group], None, "var(--axis)"),
        }  # fmt: skip
        if not is_anchor:
            trace["error_y"] = _bar(*_halves([n.before for n in group]), "var(--axis)")
        traces.append(trace)
    layout = _layout("validation loss, nats (better to the right)", "ImageNet top-1, %")
    layout["xaxis"]["autorange"] = "reversed"
    title = f"rung {scale.rung}: {scale.steps:,} steps, {plural(len(mine), 'network')}"
    layout["title"] = {"text": title, "font": {"size": 13.5}, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top"}
    layout["margin"] |= {"t": 74}
    layout["legend"] |= {"font": {"size": 11}}
    return {"data": traces, "layout": layout}


def _layout(x: str, y: str) -> dict[str, Any]:
    layout = plain_layout()
    return {
        **layout,
        "margin": {"l": 60, "r": 14, "t": 44, "b": 54},
        "xaxis": {**AXIS, "title": {"text": x, "standoff": 10, "font": _TITLE}},
        "yaxis": {**AXIS, "title": {"text": y, "standoff": 8, "font": _TITLE}},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}},
        "hovermode": "closest",
    }


def _estimates(
    name: str,
    values: Mapping[str, Measurement],
    rows: Mapping[str, int],
    offset: float,
    names: Mapping[str, str],
    marker: dict[str, Any],
    bar: str,
) -> dict[str, Any]:
    found = list(values.values())
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [_short(m.value) for m in found],
        "y": [rows[k] + offset for k in values], "error_x": _bar(*_halves(found), bar), "marker": marker, "hoverinfo": "text",
        "text": [f"{_name(k, names)}: {m.value:.1f} % ({_ends(m)})<br>{escape(m.basis)}" for k, m in values.items()],
    }  # fmt: skip


def _bar(up: list[float], down: list[float] | None, colour: str) -> dict[str, Any]:
    both = {"array": [_short(v) for v in up]} | ({"arrayminus": [_short(v) for v in down]} if down is not None else {})
    return {"type": "data", "color": colour, "thickness": 1.2, "width": 0, **both}


def _halves(found: Sequence[Measurement]) -> tuple[list[float], list[float]]:
    up = [0.0 if m.high is None else m.high - m.value for m in found]
    return up, [0.0 if m.low is None else m.value - m.low for m in found]


def _ends(m: Measurement) -> str:
    return "no interval" if m.low is None or m.high is None else f"{m.low:.1f} to {m.high:.1f}"


def _level(shown: Sequence[Married]) -> str:
    return "/".join(sorted({f"{100 * n.before.level:.0f} %" for n in shown if n.before.level}))


def _loss_text(n: Married, loss: float, top1: float, names: Mapping[str, str]) -> str:
    kind = "estimated" if n.published is None else "published"
    return f"{_name(n.arch_id, names)}<br>loss {loss:.3f}, top-1 {top1:.1f} % {kind}"


def _failure(record: TrainingRecord) -> str:
    return escape(f"{record.failure.kind}: {record.failure.message}") if record.failure else ""


def _name(arch_id: str, names: Mapping[str, str]) -> str:
    return escape(names.get(arch_id, arch_id))


def _short(value: float) -> float | None:
    """None for what JSON cannot hold, a gap in the line."""
    return float(f"{value:.5g}") if isfinite(value) else None
