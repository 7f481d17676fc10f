"""The page's section on slimming: its paths as a picture, and the first one step by step."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from mvsearch.report.slimming_picture import draw_slimming
from mvsearch.report.words import bare_value, escape, interval_text, level_text, plural
from mvsearch.spec.record import Measurement
from mvsearch.spec.run import RunView, SlimmingPath, SlimmingStep

_MEANINGS = {
    "accuracy-per-ms": "the share that it takes off what is over the budgets, or, once these are met, the milliseconds",
    "mes": "what it adds to EfficientFormerV2's Mobile Efficiency Score",
}


def slimming_section(view: RunView) -> str:
    """How the run went down from the largest network; empty for a run by another strategy."""
    if not view.slimming:
        return ""
    lines = "".join(f"<li>{_said(path)}</li>" for path in view.slimming)
    return f"""<h2>Slimming</h2>
<p class="small">Each path starts from the largest network of the space. Each step takes the move that loses least of the
lower bound of top-1 for {_MEANINGS[view.settings.slim_by]}; moves that lose nothing come first. Every network is a trial:
its <code>arch_id</code> stands in <code>slimming.csv</code>.</p>
<ol class="small">{lines}</ol>
<p><img src="{_picture(view)}" alt="Slimming paths: lower bound of top-1 over latency and over a counted cost"
style="max-width:100%;background:#fff"></p>
{_table(view)}"""


def _picture(view: RunView) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slimming.svg"
        draw_slimming(view, path)
        return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _said(path: SlimmingPath) -> str:
    met = next((i for i, s in enumerate(path.steps) if s.in_budget), None)
    judged = "measurement" if path.measured else "estimate"
    outcome = "has not met the budgets" if met is None else f"met the budgets after {plural(met, 'step')}"
    return f"to {escape(path.aim)}, by {judged}: {outcome}, {plural(len(path.steps) - 1, 'step')} in all"


_HEADS = (
    "step",
    "network",
    "move",
    "top-1 lost",
    "ms saved",
    "score",
    "at least, %",
    "top-1, %",
    "latency, ms",
    "params",
    "MACs",
)


def _table(view: RunView) -> str:
    path = view.slimming[0]
    met = next((i for i, s in enumerate(path.steps) if s.in_budget), None)
    heads = "".join(
        f'<th scope="col"{" class=" + chr(34) + css + chr(34) if css else ""}>{name}</th>'
        for name, css in zip(_HEADS, ("first", "text", "text", *[""] * 8), strict=True)
    )
    rows = []
    for at, step in enumerate(path.steps):
        if at == met:
            rows.append(f'<tr class="band"><th colspan="{len(_HEADS)}">from here on every budget is kept</th></tr>')
        rows.append(_row(at, step, view.settings.confidence))
    first = path.steps[0].evaluation.measurements
    kinds = f"top-1 {first['top1'].kind}, latency {first['latency'].kind}, small print: {level_text(first['top1'])} intervals"
    return f"""<h3>The first path</h3>
<p class="small">{escape(kinds)}; parameters and MACs counted.</p>
<div class="scroll tall" tabindex="0" role="region" aria-label="The first slimming path as a table"><table>
<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _row(at: int, step: SlimmingStep, confidence: float) -> str:
    m = step.evaluation.measurements
    moved = ["" if x is None else f"{x:.3g}" for x in (step.lost, step.saved_ms, step.score)]
    cells = [
        *moved, bare_value("top1", m["top1"].quantile(1 - confidence)), _number(m["top1"]), _number(m["latency"]),
        bare_value("params", m["params"].value), bare_value("macs", m["macs"].value),
    ]  # fmt: skip
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return (
        f'<tr><td class="first">{at}</td><td class="text"><code>{escape(step.evaluation.arch_id)}</code></td>'
        f'<td class="text">{escape(step.move)}</td>{numbers}</tr>'
    )


def _number(m: Measurement) -> str:
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(interval_text(m))}</small>"
