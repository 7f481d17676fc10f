"""`report.html`: one file that opens offline, with the answer in words, the explorer and the tables.

Everything that comes from outside is escaped: as HTML by `html.escape`, as JSON by `document.embedded_json`; the scripts set
text as text. The page's own security policy lets exactly its own scripts run, by their hashes, and forbids every network
request.
"""

from __future__ import annotations

from mvsearch.errors import InputError
from mvsearch.report.document import asset, embedded_json, policy
from mvsearch.report.explorer import SCRIPTS, explorer_data, run_importances
from mvsearch.report.explorer_field import field_of
from mvsearch.report.explorer_findings import history_section, importance_section, nearest_section
from mvsearch.report.explorer_rows import rows_of
from mvsearch.report.explorer_sections import explorer_section, live_bar
from mvsearch.report.figures import plotly_script
from mvsearch.report.sections import answer_section, front_section, meaning_section, run_section, title_of
from mvsearch.report.slimming_page import slimming_section
from mvsearch.report.training_figures import training_figures
from mvsearch.report.training_page import training_section
from mvsearch.report.words import escape
from mvsearch.search.trained_front import Trained
from mvsearch.spec.run import RunView
from mvsearch.targets import Target, get_target


def render_page(view: RunView, trained: Trained | None = None, target: Target | None = None) -> str:
    """The whole page of a run as HTML text.

    Args:
        view: the run.
        trained: what training brought, if there was any.
        target: whose predictions are split among stages and operations; by default the run's, as it ships, or none where
            the run used the user's own calibration.
    """
    rows, field = rows_of(view), field_of(view.settings.target)
    figures = training_figures(trained.marriage, trained.records, trained.anchors) if trained else {}
    data = {**explorer_data(view, rows, field, target or _target_of(view)), "training": figures}
    # Plotly is 5 MB: only the figures of trainings are drawn by it.
    scripts = ([plotly_script()] if figures else []) + ["".join(asset(name) for name in SCRIPTS)]
    title = escape(title_of(view))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{asset("page.css")}{asset("explorer.css")}</style>
</head>
<body>
{live_bar(view)}
<main>
{answer_section(view)}
{nearest_section(view)}
{explorer_section(view, rows, field)}
{front_section(view)}
{slimming_section(view)}
{importance_section(run_importances(rows))}
{history_section(view)}
{training_section(trained.marriage, trained.records, trained.anchors) if trained else ""}
{run_section(view)}
{meaning_section(view)}
</main>
<script type="application/json" id="data">{embedded_json(data)}</script>
{"".join(f"<script>{script}</script>" for script in scripts)}
</body>
</html>
"""


def _target_of(view: RunView) -> Target | None:
    if view.settings.calibration:
        return None
    try:
        return get_target(view.settings.target)
    except InputError:
        return None
