"""`report.html`: one file that opens offline, with the answer in words, the plots and the tables.

Everything that comes from outside is escaped: as HTML by `html.escape`, as JSON by `_json`. The page's
own security policy forbids it every network request.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from mvsearch.report.cards import card, part_headings
from mvsearch.report.figures import hypervolume_figure, plotly_script, tradeoff_figure
from mvsearch.report.scene import COSTS, QUALITIES, Scene, build_scene
from mvsearch.report.sections import answer_section, front_section, meaning_section, run_section, title_of
from mvsearch.report.training_figures import training_figures
from mvsearch.report.training_page import training_section
from mvsearch.report.words import FAMILY_NAMES, escape
from mvsearch.search.trained_front import Trained
from mvsearch.spec.run import RunView

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def render_page(view: RunView, trained: Trained | None = None) -> str:
    """The whole page of a run as HTML text, with what training brought if there was any."""
    scene = build_scene(view)
    title = escape(title_of(view))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{_asset("page.css")}</style>
</head>
<body>
<main>
{answer_section(view)}
{_plot_section(scene)}
{front_section(view)}
{training_section(trained.marriage, trained.records, trained.anchors) if trained else ""}
{run_section(view)}
{meaning_section(view)}
</main>
<script type="application/json" id="data">{_json(_data(view, scene, trained))}</script>
<script>{plotly_script()}</script>
<script>
{_asset("page.js")}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("mvsearch.report").joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(view: RunView, scene: Scene, trained: Trained | None) -> dict[str, Any]:
    winner = scene.winner
    return {
        "figures": {f"{cost}|{quality}": tradeoff_figure(scene, cost, quality) for cost in COSTS for quality in QUALITIES},
        "progress": hypervolume_figure(view.hypervolume) if view.hypervolume else None,
        "training": training_figures(trained.marriage, trained.records, trained.anchors) if trained else {},
        "headings": part_headings(),
        "cards": [card(p, view.settings.confidence) for p in scene.points],
        "shown": scene.points.index(winner) if winner else 0,
    }


def _plot_section(scene: Scene) -> str:
    costs = "".join(_choice("cost", key, scene.axes[key].name, key == COSTS[0]) for key in COSTS)
    names = {"estimate": "estimate", "lower": "lower bound"}
    qualities = "".join(_choice("quality", key, names[key], key == QUALITIES[0]) for key in QUALITIES)
    cloud = f"{len(scene.cloud):,} of " if len(scene.cloud) < scene.num_candidates else ""
    return f"""<h2>The trade-off</h2>
<div class="controls">
<fieldset><legend>top-1 against</legend>{costs}</fieldset>
<fieldset><legend>top-1 shown as</legend>{qualities}</fieldset>
</div>
<div class="key" role="group" aria-label="What the plot shows">{_key(scene)}</div>
<div id="tradeoff" class="plot" role="img" aria-label="Top-1 against cost: candidates, front, published networks"></div>
<p class="small">Point at a network, or tap it, to see it whole; a click keeps it, another lets it go. Double-click the plot to
see everything, larger published networks too. Candidates: {cloud}{scene.num_candidates:,} within the budget. The line
joins the front's members that no other member beats in this view. Open marks do not keep the budget. A click on an entry of the
key hides it.</p>
<div id="card" class="card" aria-live="polite"></div>"""


_GLYPHS = {"v1": "■", "v2": "◆", "v3": "▲", "other": "⬢"}


def _key(scene: Scene) -> str:
    """What the marks mean; each entry shows and hides its traces."""
    families = [f for f in _GLYPHS if any(p.family == f for p in scene.published)]
    entries = [
        ("front", '<i style="color:var(--winner)">★</i> winner &ensp;<i style="color:var(--front)">●</i> front'
                  ' &ensp;<i style="color:var(--front)">◉</i> tied with the winner'),
        ("intervals", f'<i style="color:var(--front)">┼</i> {escape(scene.level)} intervals'),
        *((f, f'<i style="color:var(--{f})">{_GLYPHS[f]}</i> {FAMILY_NAMES[f]}, published') for f in families),
        ("candidates", '<i style="color:var(--cloud)">•</i> candidates'),
    ]  # fmt: skip
    return "".join(
        f'<label><input type="checkbox" name="group" value="{g}" checked><span>{text}</span></label>' for g, text in entries
    )


def _choice(name: str, value: str, label: str, checked: bool) -> str:
    return (
        f'<label class="choice"><input type="radio" name="{name}" value="{value}"{" checked" if checked else ""}>'
        f"<span>{escape(label)}</span></label>"
    )
