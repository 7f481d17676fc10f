"""A comparison as terminal tables of at most 100 columns."""

from __future__ import annotations

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.report.compare_data import ComparedRun, Comparison, Group, Panel
from mvsearch.report.compare_words import (
    AREA_MEANING,
    LEVELS_MEANING,
    area_of,
    axis_text,
    duel_sentences,
    name_of,
    number,
    seeds_text,
    spread_text,
    winners_sentence,
)
from mvsearch.report.terminal import note, plain_table, titled
from mvsearch.report.words import bare_value, common_kind, level_text, short_text
from mvsearch.search.attainment import median_and_range

SHOWN_DUELS = 6


def render_comparison(comparison: Comparison) -> RenderableType:
    """Groups with their hypervolume, who dominates whom, the winners, what differs."""
    runs = comparison.runs
    title = f"{len(runs)} runs in {len(comparison.groups)} {'group' if len(comparison.groups) == 1 else 'groups'}"
    parts: list[RenderableType] = [Text(f"{title}: runs that differ only in their seed are one group", style="bold")]
    for group in comparison.groups:
        parts.append(note(f"{name_of(group)}; {seeds_text(group)}"))
    for panel in comparison.panels_of("latency"):
        parts += _panel(comparison, panel)
    parts.append(titled("Winners", _winners(comparison)))
    parts += [note(said) for g in comparison.groups if (said := winners_sentence(g))]
    if comparison.differences:
        parts.append(titled("Settings that differ", _settings(comparison)))
    parts += [note(text) for text in (*comparison.notes, f"{LEVELS_MEANING} {AREA_MEANING}")]
    return Lines(*parts)


def _panel(comparison: Comparison, panel: Panel) -> list[RenderableType]:
    title = f"Top-1 (lower bound, {100 * comparison.confidence:.0f} %) against {panel.title}"
    if panel.reference is None:
        return [Text(f"\n{title}: nothing found within the budgets yet", style="bold")]
    table = plain_table(("group", False), ("runs", True), ("hypervolume,\nmedian (range)", True), ("front,\nnetworks", True),
                        ("best lower\nbound, %", True), ("fastest,\nms", True))  # fmt: skip
    for found in panel.fronts:
        group = comparison.groups[found.group]
        sizes = median_and_range([len(f) for f in found.fronts])
        corners = [c for f in found.fronts for c in f]
        best = f"{max(g for g, _ in corners):.1f}" if corners else ""
        fastest = f"{min(c for _, c in corners):.2f}" if corners else ""
        area = spread_text(area_of(found), len(found.areas) > 1)
        table.add_row(name_of(group), str(len(group.runs)), area, number(sizes[0]), best, fastest)
    parts: list[RenderableType] = [titled(title, table)]
    parts.append(note(f"Reference point: {panel.reference[0]:.2f} % and {panel.reference[1]:.3g} ms."))
    for duel in panel.duels[:SHOWN_DUELS]:
        parts.append(note(" ".join(duel_sentences(comparison, panel, duel))))
    if len(panel.duels) > SHOWN_DUELS:
        parts.append(note(f"{len(panel.duels) - SHOWN_DUELS} more pairs of groups on {axis_text(panel)}: see compare.html."))
    return parts


def _winners(comparison: Comparison) -> Table:
    runs = [(g, r) for g, r in comparison.runs if r.winner is not None]
    evaluations = [r.winner.evaluation for _, r in runs if r.winner is not None]
    kinds = {m: common_kind(evaluations, m) for m in ("top1", "latency", "params", "macs")}
    table = plain_table(
        ("\nrun", False), ("\nwinner", False), (f"top-1 %\n{kinds['top1']}", True),
        (f"at least\n({100 * comparison.confidence:.0f} %)", True), (f"latency ms\n{kinds['latency']}", True),
        (f"params\n{kinds['params']}", True), (f"MACs\n{kinds['macs']}", True),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for group, run in comparison.runs:
        table.add_row(_run_text(group, run), *_winner_cells(run, comparison, kinds))
    levels = "/".join(sorted({level_text(m) for e in evaluations for m in e.measurements.values() if m.level}))
    if levels:
        table.caption = f"Intervals: {levels}."
        table.caption_justify = "left"
    return table


def _run_text(group: Group, run: ComparedRun) -> str:
    return f"{group.letter} {run.name}" + ("" if run.view.finished else " (not finished)")


def _winner_cells(run: ComparedRun, comparison: Comparison, kinds: dict[str, str]) -> list[str]:
    if run.winner is None:
        return ["none yet" if not run.view.finished else "none"]
    m = run.winner.evaluation.measurements

    def cell(metric: str) -> str:
        return short_text(m[metric]) + (f" {m[metric].kind}" if kinds[metric] == "mixed" else "")

    lower = bare_value("top1", m["top1"].quantile(1 - comparison.confidence))
    return [run.winner.evaluation.arch_id, cell("top1"), lower, cell("latency"), cell("params"), cell("macs")]


def _settings(comparison: Comparison) -> Table:
    table = plain_table(("setting", False), *((g.letter, False) for g in comparison.groups))
    for d in comparison.differences:
        table.add_row(d.name, *d.values)
    return table
