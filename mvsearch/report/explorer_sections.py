"""The explorer's places in the page, as HTML text; the scripts fill them. Every value that is put in is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from mvsearch.accuracy.field import FieldPoint
from mvsearch.report.explorer_field import MAIN_FAMILIES
from mvsearch.report.explorer_rows import Row
from mvsearch.report.words import FAMILY_NAMES, escape, plural
from mvsearch.spec.run import RunView

_GLYPHS = {"v1": "■", "v2": "◆", "v3": "▲", "other": "⬢"}


def live_bar(view: RunView) -> str:
    """What says that the run goes on; nothing for a finished one."""
    if view.finished:
        return ""
    return """<div id="live" class="live"><span id="live-text" role="status">Running.</span>
<button type="button" id="live-pause" aria-pressed="false">pause updates</button></div>"""


def explorer_section(view: RunView, rows: Sequence[Row], field: Sequence[FieldPoint]) -> str:
    """Scatter, key, the network that is looked at, parallel coordinates, filters, table."""
    if not rows:
        return ""
    return f"""<h2 id="explore">Explore</h2>
<noscript><p class="notice">The plots are drawn by the page's own script, which this browser does not run. The tables below
and <code>trials.csv</code> hold the same numbers.</p></noscript>
<div class="toolbar">
<span class="axes"><label for="y-axis">Plot</label> <select id="y-axis"></select>
<label for="x-axis">against</label> <select id="x-axis"></select>
<button type="button" id="swap" aria-label="swap the axes" title="swap the axes">⇄</button></span>
<span class="axes"><label for="colour">colour by</label> <select id="colour"></select> <span id="colour-key"></span></span>
<span class="right"><span id="selected" role="status"></span>
<button type="button" id="clear" hidden>clear filters</button>
<button type="button" id="unzoom" hidden>whole view</button>
<button type="button" id="picture">save picture</button></span>
</div>
<div class="explore">
<div class="left">
<div id="scatter" class="scatter" tabindex="0" role="application" aria-roledescription="scatter plot"
aria-label="All networks: left and right walk along the front, up and down through all; Enter pins, Escape lets go"></div>
<div class="key" role="group" aria-label="What the plot shows">{_key(view, rows, field)}</div>
<p id="field-note" class="small"></p>
<p class="small">Point at a network to see it beside the plot; a click pins it. Drag to zoom, double-click for the whole view.
Keys: ← → along the front, ↑ ↓ through all, Enter, Escape. Open marks do not keep the budget. The line joins the members of the
front that no other member beats in this view.</p>
</div>
<section id="network" class="network" aria-label="The network that is looked at"></section>
</div>
<p id="said" class="sr" role="status"></p>
<h3>All knobs and numbers at once</h3>
<p class="small">One line per selected candidate; the front is coloured. Drag along an axis to select a part of it, click the
axis to let it go. What is selected here is selected everywhere.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Parallel coordinates; the filters below select the same by keyboard">
<div id="parallel" class="parallel"></div></div>
<details class="choose"><summary>choose the axes</summary><div id="axes-choice" class="ticks"></div></details>
<h3>Filters</h3>
<div id="filters"></div>
<h3 class="with"><span>Selected candidates <span id="table-count" class="muted"></span></span>
<label class="find">find <input id="find" type="search" placeholder="part of an id" autocomplete="off"></label></h3>
<div id="table" class="scroll tall" tabindex="0" role="region" aria-label="Selected candidates as a table"></div>"""


def _key(view: RunView, rows: Sequence[Row], field: Sequence[FieldPoint]) -> str:
    """What the marks mean; each entry shows and hides its marks."""
    families = [f for f in _GLYPHS if any(r.family == f for r in rows)]
    entries = []
    over = any(r.role == "over" for r in rows)
    if view.front:
        tied = any(r.role == "tied" for r in rows)
        entries.append(
            ("front", ('<i class="winner">★</i> winner ' if view.winner else "") + '<i class="front">●</i> front'
             + (' <i class="front">◉</i> tied with the winner' if tied and view.winner else ""))
        )  # fmt: skip
    entries += [
        ("candidates", '<i class="cloud">•</i> candidates' + (' <i class="over">×</i> over the budget' if over else "")),
        ("intervals", '<i class="front">┼</i> intervals'),
        *((f, f'<i class="{f}">{_GLYPHS[f]}</i> {FAMILY_NAMES[f]}') for f in families),
    ]
    if any(r.said is not None for r in rows):
        entries.append(("said", '<i class="muted">⊥</i> authors’ top-1'))
    plain = "".join(_toggle(group, text) for group, text in entries)
    if not field:
        return plain
    names = list(dict.fromkeys(p.family for p in field))
    main, rest = ([f for f in names if (f in MAIN_FAMILIES) == wanted] for wanted in (True, False))
    entries_of = ["".join(_toggle(f"field:{f}", _field_entry(f)) for f in some) for some in (main, rest)]
    more = f"<details><summary>{plural(len(rest), 'more family', 'more families')}</summary>{entries_of[1]}</details>"
    whole = _toggle("field", "<b>The field</b>, all numbers as published (* distilled):")
    return f'{plain}\n<div class="field">{whole}{entries_of[0]}{more if rest else ""}</div>'


def _field_entry(family: str) -> str:
    return (
        f'<svg class="glyph" data-family="{escape(family)}" width="13" height="13" aria-hidden="true"></svg> {escape(family)}'
    )


def _toggle(group: str, html: str) -> str:
    return f'<label><input type="checkbox" name="group" value="{escape(group)}" checked><span>{html}</span></label>'
