"""`compare.html`: several runs on one page that opens offline."""

from __future__ import annotations

from mvsearch.report.compare_data import Comparison, Panel
from mvsearch.report.compare_figures import colour, comparison_figures, dash
from mvsearch.report.compare_winners import winners_section
from mvsearch.report.compare_words import (
    AREA_MEANING,
    LEVELS_MEANING,
    UNITS,
    area_of,
    axis_text,
    duel_sentences,
    name_of,
    number,
    seeds_text,
    winners_sentence,
)
from mvsearch.report.document import choice, document, marked, table
from mvsearch.report.scene import COSTS
from mvsearch.report.words import (
    KIND_MEANINGS,
    escape,
    plural,
    sentence,
)
from mvsearch.search.attainment import median_and_range

KIND = "comparison"
"""What a comparison's page says it is: by this a former one is known again."""
_AXIS_NAMES = {"latency": "latency", "params": "parameters", "macs": "MACs"}
_PUBLISHED = (
    '<i style="color:var(--v1)">■</i> v1, <i style="color:var(--v2)">◆</i> v2, <i style="color:var(--v3)">▲</i> v3, published'
)
_SVG_DASHES = {"solid": "", "dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3"}


def render_comparison_page(comparison: Comparison) -> str:
    """The whole page as HTML text."""
    parts = (
        _head(comparison),
        _plots(comparison),
        _areas(comparison),
        winners_section(comparison),
        _asked(comparison),
        _meaning(comparison),
    )
    data = {"figures": comparison_figures(comparison)}
    return document(_title(comparison), "\n".join(parts), data, ("painted.js", "plots.js"), ("page.css", "compare.css"), KIND)


def _title(comparison: Comparison) -> str:
    if len(comparison.groups) == 1:
        return f"{plural(len(comparison.runs), 'run')} of one search, compared"
    return f"{len(comparison.runs)} runs compared"


def _head(comparison: Comparison) -> str:
    groups = "".join(
        f"<li>{_swatch(i)}<span><b>{escape(name_of(g))}</b> <span class='muted'>{escape(seeds_text(g))}</span></span></li>"
        for i, g in enumerate(comparison.groups)
    )
    said = [_answer(comparison, panel) for panel in comparison.panels_of("latency")]
    notes = "".join(f'<p class="notice">{marked(text)}</p>' for text in comparison.notes)
    return f"""<h1>{escape(_title(comparison))}</h1>
<p class="muted">Runs that differ in nothing but their seed are one group. Lower bounds of top-1 are at
{100 * comparison.confidence:.0f} % confidence throughout.</p>
<ul class="groups">{groups}</ul>
{"".join(said)}
{notes}"""


def _swatch(group: int) -> str:
    dashes = f' stroke-dasharray="{_SVG_DASHES[dash(group)]}"'
    return (
        '<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true">'
        f'<line x1="0" x2="24" y1="5" y2="5" stroke="{colour(group)}" stroke-width="3.5"{dashes}/></svg>'
    )


def _answer(comparison: Comparison, panel: Panel) -> str:
    """Which group dominates the most on one latency axis, in a sentence or two."""
    where = f" on {escape(panel.scope)}" if panel.scope else ""
    if panel.reference is None:
        return f'<p class="answer">Nothing was found within the budgets{where} yet.</p>'
    ranked = sorted(panel.fronts, key=lambda f: -area_of(f)[0])
    first = comparison.groups[ranked[0].group]
    if len(ranked) == 1:
        said = winners_sentence(first) or (
            f"{first.letter} stands alone: its latencies are compared with no other group's." if panel.scope else ""
        )
        return f'<p class="answer">{escape(said)}</p>' if said else ""
    second = comparison.groups[ranked[1].group]
    duel = next(d for d in panel.duels if {d.first, d.second} == {ranked[0].group, ranked[1].group})
    words = f"{first.letter} ({first.label}) reaches the most{f' on {panel.scope}' if panel.scope else ''}: its front "
    share = duel.of_second if duel.first == ranked[0].group else duel.of_first
    back = duel.of_first if duel.first == ranked[0].group else duel.of_second
    if share is None or back is None:
        words += f"has no rival, for {second.letter} has found nothing within its budget."
    else:
        words += (
            f"dominates {100 * share[0]:.0f} % of the networks on that of {second.letter} ({second.label}), which dominates "
            f"{100 * back[0]:.0f} % of {first.letter}'s."
        )
    return f'<p class="answer">{escape(words)}</p>'


def _plots(comparison: Comparison) -> str:
    axes = "".join(choice("axis", key, _AXIS_NAMES[key], key == COSTS[0]) for key in COSTS)
    many = any(len(g.runs) > 1 for g in comparison.groups)
    entries = [("median", "median over seeds" if many else "fronts", True)]
    entries += [("band", "best to worst run", True), ("runs", "single runs", False)] if many else []
    entries += [("winners", "★ winners", True), ("published", _PUBLISHED, True)]
    key = "".join(
        f'<label><input type="checkbox" name="group" value="{value}"{" checked" if on else ""}><span>{text}</span></label>'
        for value, text, on in entries
    )
    blocks = "".join(_axis_block(comparison, axis) for axis in COSTS)
    return f"""<h2>The trade-off</h2>
<div class="controls"><fieldset><legend>lower bound of top-1 against</legend>{axes}</fieldset></div>
<div class="key" role="group" aria-label="What the plots show">{key}</div>
{blocks}
<p class="small">{escape(LEVELS_MEANING)} Published networks are judged by the models of the first run of a plot. A click on
an entry of the key hides or shows it; double-click a plot to see everything.</p>"""


def _axis_block(comparison: Comparison, axis: str) -> str:
    panels = [(i, p) for i, p in enumerate(comparison.panels) if p.axis == axis]
    apart = ""
    if len(panels) > 1:
        apart = (
            '<p class="notice">Not all of these runs can be compared on this axis: a plot holds groups that can. A point of '
            "one plot is neither better nor worse than a point of another.</p>"
        )
    blocks = []
    for i, panel in panels:
        letters = ", ".join(comparison.groups[f.group].letter for f in panel.fronts)
        head = f"<h3>{escape(panel.scope)} <span class='muted'>({letters})</span></h3>" if len(panels) > 1 else ""
        plot = (
            f'<div id="panel-{i}" class="plot" role="figure" aria-label="Top-1, at least, against {escape(panel.title)}"></div>'
            if panel.reference is not None
            else "<p>Nothing was found within the budgets yet.</p>"
        )
        words = "".join(f"<p>{escape(' '.join(duel_sentences(comparison, panel, d)))}</p>" for d in panel.duels)
        blocks.append(f'{head}{plot}<div class="duels">{words}</div>')
    return f'<div class="panels" data-when="axis={axis}">{apart}{"".join(blocks)}</div>'


def _areas(comparison: Comparison) -> str:
    heads = [
        ("group", ""), ("axis", ""), ("runs", ""), ("hypervolume", "median, range"), ("reference", "top-1 %, cost"),
        ("networks on the front", "median"), ("best lower bound", "%, of all runs"), ("least cost", "of all runs"),
    ]  # fmt: skip
    rows = []
    for panel in comparison.panels:
        for found in panel.fronts:
            group = comparison.groups[found.group]
            corners = [c for f in found.fronts for c in f]
            reference = panel.reference
            area = area_of(found)
            span = f"<small>{number(area[1])} to {number(area[2])}</small>" if len(found.areas) > 1 else ""
            rows.append([
                f"{_swatch(found.group)} {escape(name_of(group))}", escape(axis_text(panel)), str(len(group.runs)),
                f"{number(area[0])}{span}",
                f"{reference[0]:.2f}, {reference[1]:.3g} {UNITS[panel.axis].split(' ')[0]}" if reference else "",
                number(median_and_range([len(f) for f in found.fronts])[0]),
                f"{max(g for g, _ in corners):.1f}" if corners else "none",
                f"{min(c for _, c in corners):.3g} {UNITS[panel.axis].split(' ')[0]}" if corners else "none",
            ])  # fmt: skip
    growth = "".join(
        f"<h3>{escape(f'Along the trials, {axis_text(p)}')}</h3>"
        f'<div id="growth-{i}" class="plot" data-plain role="figure" aria-label="Hypervolume over trials"></div>'
        for i, p in enumerate(comparison.panels)
        if any(f.growth for f in p.fronts)
    )
    return f"""<h2>How much each group dominates</h2>
<p class="small">{escape(AREA_MEANING)} Hypervolumes of two axes are not compared.</p>
{table(heads, rows, "Hypervolume of every group", (0, 1))}
<div class="growth">{growth}</div>"""


def _asked(comparison: Comparison) -> str:
    differing = "<p>All runs were asked for the same.</p>"
    if comparison.differences:
        heads = [("setting", ""), *((g.letter, g.label) for g in comparison.groups)]
        rows = [[escape(d.name), *map(escape, d.values)] for d in comparison.differences]
        differing = table(heads, rows, "Settings that differ", tuple(range(len(heads))))
    shared = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in comparison.shared)
    heads = [("run", "group"), ("seed", ""), ("evaluated", "of those asked for"), ("feasible", ""), ("time", ""),
             ("ended", ""), ("machine", ""), ("command", "")]  # fmt: skip
    rows = []
    for group, run in comparison.runs:
        v = run.view
        rows.append([
            f"<code>{escape(run.name)}</code><small>{group.letter}</small>", str(v.settings.seed),
            f"{len(v.trials):,}<small>of {v.settings.trials:,}</small>", f"{v.counts.feasible:,}", f"{v.seconds:.0f} s",
            "yes" if v.finished else "no", escape(v.machine), f"<code>{escape(v.command)}</code>",
        ])  # fmt: skip
    return f"""<h2>What was asked, and what ran</h2>
<h3>Settings that differ</h3>
{differing}
<details><summary>Settings that all runs share</summary><dl class="facts">{shared}</dl></details>
<h3>Runs</h3>
{table(heads, rows, "Runs", (0, 5, 6, 7))}"""


def _meaning(comparison: Comparison) -> str:
    kinds = "".join(f"<dt>{kind}</dt><dd>{escape(text)}</dd>" for kind, text in KIND_MEANINGS.items())
    notes = dict.fromkeys((g.runs[0].view.settings.target, g.runs[0].view.target_note) for g in comparison.groups)
    targets = "".join(f"<p><b>{escape(name)}</b>: {escape(sentence(text))}</p>" for name, text in notes)
    return f"""<h2>What every number means</h2>
<dl class="facts">{kinds}</dl>
{targets}
<p>A network dominates another if it is at least as good in both, and better in one, by lower bound of top-1 and by cost; a
network that two fronts share is dominated by neither. What separates two fronts here is what the same models say of both,
unless it was measured; where a gap is smaller than the intervals of the estimates, networks of different design may change
places in truth.</p>"""
