"""Ways to spend one budget, and networks of equal cost, as sections of the page."""

from __future__ import annotations

from mvsearch.report.document import choice, table
from mvsearch.report.scaling_cost_figures import ISO_VIEWS, iso_curves
from mvsearch.report.scaling_words import (
    compound_sentences,
    option_note,
    option_size,
)
from mvsearch.report.words import (
    bare_value,
    escape,
    exact_value,
    interval_text,
    level_text,
    probability_text,
)
from mvsearch.scaling.view import ScalingView
from mvsearch.spec.record import Measurement


def level_of(view: ScalingView) -> str:
    """Coverage of the base's intervals, e.g. `90 %`."""
    return escape("/".join(sorted({level_text(m) for m in view.base.measurements.values() if m.level})))


def compound_section(view: ScalingView) -> str:
    """The best exponents and the other ways to spend the same budget; empty without a fit."""
    fit = view.compound
    if fit is None:
        return ""
    heads = [
        ("way to spend it", ""), ("alpha", "depth"), ("beta", "width"), ("gamma", "resolution"), ("phi", ""), ("network", ""),
        ("top-1, %", "estimated"), ("at least", f"{100 * view.confidence:.0f} % sure"), ("latency, ms", "predicted"),
        ("params", "counted"), ("MACs", "counted"), ("P(worse)", "than what was found"),
    ]  # fmt: skip
    rows = []
    for option in (fit.found, *fit.others):
        m = option.member.evaluation.measurements
        p = option.probability_worse
        network = f"<code>{escape(option.member.arch_id)}</code><small>{escape(option_size(option))}</small>"
        rows.append([
            f"{escape(option.label)}<small>{option_note(option, fit)}</small>", f"{option.alpha:.3f}",
            f"{option.beta:.3f}", f"{option.gamma:.3f}", f"{option.phi:.2f}",
            network, uncertain_cell(m["top1"]),
            f"{option.lower_top1:.1f}", uncertain_cell(m["latency"]), exact_value("params", m["params"].value),
            exact_value("macs", m["macs"].value), "" if p is None else escape(probability_text(p)),
        ])  # fmt: skip
    said = "".join(f"<p>{escape(text)}</p>" for text in compound_sentences(fit))
    limits = "".join(f"<li>{escape(text)}</li>" for text in fit.limits)
    return f"""<h2>Compound scaling against one dimension alone</h2>
{said}
<div id="compound" class="plot" data-plain role="figure" aria-label="Top-1 of the ways to spend the budget"></div>
<p class="small">All of them within {100 * fit.tolerance:.0f} % of {escape(fit.budget_text)} (depth or resolution alone within
10 %). Bars: {level_of(view)} intervals; the stroke is the lower bound that the fit goes by; open marks are told apart from the
best.</p>
{table(heads, rows, "Ways to spend the budget", (0, 5))}
<ul class="findings">{limits}</ul>"""


def uncertain_cell(m: Measurement) -> str:
    """A number over its interval."""
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(interval_text(m))}</small>"


def iso_section(view: ScalingView) -> str:
    """Curves of equal cost; empty where there are none."""
    drawn = [(metric, axis) for metric, axis in ISO_VIEWS if iso_curves(view, metric, axis)]
    if not drawn:
        return ""
    metrics = list(dict.fromkeys(metric for metric, _ in drawn))
    axes = list(dict.fromkeys(axis for _, axis in drawn))
    names = {"macs": "MACs", "latency": "latency"}
    controls = "".join(choice("iso-cost", m, names[m], i == 0) for i, m in enumerate(metrics))
    against = "".join(choice("iso-axis", a, a, i == 0) for i, a in enumerate(axes))
    blocks = "".join(
        f'<div data-when="iso-cost={m} iso-axis={a}">'
        + (
            f'<div id="iso-{m}-{a}" class="plot" role="figure" aria-label="Width and {a} of equal {names[m]}"></div>'
            if (m, a) in drawn
            else "<p>No two networks of this cost differ in these.</p>"
        )
        + "</div>"
        for m in metrics
        for a in axes
    )
    return f"""<h2>Equal cost</h2>
<div class="controls"><fieldset><legend>the same</legend>{controls}</fieldset>
<fieldset><legend>width against</legend>{against}</fieldset></div>
<div class="iso">{blocks}</div>
<p class="small">Networks on one line cost the same, to 5 %; the third dimension is as in the base. Colour: estimated top-1;
the ring is the best of its line, which the estimate may not tell from its neighbours.</p>"""
