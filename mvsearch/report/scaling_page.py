"""`scale.html`: one network scaled, on one page that opens offline."""

from __future__ import annotations

from mvsearch.report.document import choice, document, marked, table
from mvsearch.report.scaling_cost_page import compound_section, iso_section, level_of
from mvsearch.report.scaling_figures import DASHES, MAX_BARS, colour, scaling_figures, series_of, steps_of_family
from mvsearch.report.scaling_law_figures import LAW_VIEWS, PUBLISHED_BANDS, laws_of
from mvsearch.report.scaling_members import members_section
from mvsearch.report.scaling_words import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    RULE_NAMES,
    SIZE_AXES,
    SPREAD_MEANING,
    compound_sentences,
    exponent_text,
    formula,
    knee_sentence,
    law_name,
    title_of,
)
from mvsearch.report.words import (
    KIND_MEANINGS,
    bare_value,
    escape,
    full_text,
    interval_text,
    kind_text,
    level_text,
    plural,
    sentence,
)
from mvsearch.scaling.view import Rule, ScalingView
from mvsearch.spec.record import Measurement

KIND = "scaling"
NO_BREAK = "top\u20111"
"""`top-1` that stays on its line."""
_SVG_DASHES = {"solid": "", "dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3"}
_AXIS_NAMES = {"latency": "latency", "params": "parameters", "macs": "MACs", "activations": "activations"}


def render_scaling_page(view: ScalingView) -> str:
    """The whole page as HTML text."""
    parts = (
        _head(view),
        _sizes(view),
        _paying(view),
        _laws(view),
        compound_section(view),
        iso_section(view),
        members_section(view),
        _asked(view),
        _meaning(view),
    )
    data = {"figures": scaling_figures(view)}
    return document(
        title_of(view), "\n".join(filter(None, parts)), data, ("painted.js", "plots.js"), ("page.css", "scaling.css"), KIND
    )  # fmt: skip


def _head(view: ScalingView) -> str:
    m = view.base.measurements
    shown = [f for f in view.families if f.members]
    sizes = f"{plural(sum(len(f.members) for f in shown), 'size')} in {plural(len(shown), 'family', 'families')}."
    said = [knee_sentence(f) for f in view.families if knee_sentence(f)]
    best = compound_sentences(view.compound)[0] if view.compound else ""
    tiles = (
        _tile("parameters of the base", bare_value("params", m["params"].value), m["params"]),
        _tile("multiply-accumulates", bare_value("macs", m["macs"].value), m["macs"]),
        _tile("latency", f"{bare_value('latency', m['latency'].value)} ms", m["latency"]),
        _tile("ImageNet top-1", f"{bare_value('top1', m['top1'].value)} %", m["top1"]),
    )
    findings = "".join(f"<li>{escape(text)}</li>" for text in said)
    return f"""<h1>{escape(title_of(view))}</h1>
<p class="muted">Target {escape(view.target)}; sizes of {escape(view.asked)}; the network as it is at {view.resolution} px.</p>
<p class="answer">{escape(f"{sizes} {best}").replace("top-1", NO_BREAK)}</p>
<div class="tiles">{"".join(tiles)}</div>
<ul class="findings">{findings}</ul>
<p class="notice">{escape(sentence(view.target_note))} No network was trained: top-1 is an estimate.</p>"""


def _tile(name: str, value: str, m: Measurement) -> str:
    interval = f"<br>{escape(level_text(m))}: {escape(interval_text(m))}" if interval_text(m) else "<br>exact"
    return (
        f'<div class="tile"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
        f'<span class="name">{escape(kind_text(m))}{interval}</span></div>'
    )


def swatch(rule: Rule) -> str:
    """A piece of a family's line."""
    dashes = f' stroke-dasharray="{_SVG_DASHES[DASHES[rule]]}"'
    return (
        '<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true">'
        f'<line x1="0" x2="24" y1="5" y2="5" stroke="{colour(rule)}" stroke-width="3"{dashes}/></svg>'
    )


def _check(value: str, text: str, on: bool = True) -> str:
    checked = " checked" if on else ""
    return f'<label><input type="checkbox" name="group" value="{escape(value)}"{checked}><span>{text}</span></label>'


def _sizes(view: ScalingView) -> str:
    axes = "".join(choice("axis", key, _AXIS_NAMES[key], key == SIZE_AXES[0]) for key in SIZE_AXES)
    key = "".join(_check(f.rule, f"{swatch(f.rule)}{escape(f.label)}") for f in view.families if f.members)
    key += _check("intervals", '<i style="color:var(--muted)">┼</i> intervals')
    series = series_of(view)
    if series:
        marks = " ".join(glyph for glyph, _ in zip("■◆▲▼✚✖★⬟", series, strict=False))
        key += _check("published", f'<i style="color:var(--muted)">{marks}</i> published: {escape(", ".join(series))}')
    plots = "".join(
        f'<div data-when="axis={axis}"><div id="sizes-{axis}" class="plot" role="figure" '
        f'aria-label="Top-1 of every size against {_AXIS_NAMES[axis]}"></div></div>'
        for axis in SIZE_AXES
    )
    empty = "".join(
        f"<p>By {RULE_NAMES[f.rule]} there is none: {marked(sentence(f.why_empty))}</p>" for f in view.families if f.why_empty
    )
    hows = "".join(f"<dt>{swatch(f.rule)}{escape(f.label)}</dt><dd>{escape(f.how)}</dd>" for f in view.families)
    return f"""<h2>Every size</h2>
<div class="controls"><fieldset><legend>top-1 against</legend>{axes}</fieldset></div>
<div class="key" role="group" aria-label="What the plot shows">{key}</div>
{plots}
{empty}
<p class="small">★ the network as it is; a ring: the last size that pays. Top-1 of sizes is estimated, that of published
networks published; their costs are ours. Bars: {level_of(view)} intervals. A click on an entry of the key hides it.</p>
<details><summary>What each rule does</summary><dl class="facts">{hows}</dl></details>"""


def _paying(view: ScalingView) -> str:
    rules = list(dict.fromkeys(f.knee.rule for f in view.families if f.knee))
    if not rules:
        return ""
    drawn = any(steps_of_family(f) for f in view.families)
    long = any(len(f.members) > MAX_BARS for f in view.families)
    thinned = f" Of a family of more than {MAX_BARS} sizes: between {MAX_BARS} of them, without intervals." if long else ""
    plot = '<div id="marginal" class="plot" role="figure" aria-label="Points of top-1 per added ms"></div>' if drawn else ""
    return f"""<h2>Where a family stops paying</h2>
<p>{escape(" ".join(rules))}</p>
{plot}
<p class="small">Each mark is a step from one size to the next: what it gains by the milliseconds it adds, with the interval of
the gain. Open marks do not pay.{thinned}</p>"""


def _laws(view: ScalingView) -> str:
    if not view.laws:
        return ""
    pairs = [(y, x) for y, x in LAW_VIEWS if laws_of(view, y, x)]
    outputs = [y for y in OUTPUT_NAMES if any(p[0] == y for p in pairs)]
    inputs = [x for x in INPUT_NAMES if any(p[1] == x for p in pairs)]
    controls = "".join(choice("law-y", y, OUTPUT_NAMES[y], i == 0) for i, y in enumerate(outputs))
    axes = "".join(choice("law-x", x, INPUT_NAMES[x], i == 0) for i, x in enumerate(inputs))
    rules = list(dict.fromkeys(law.rule for law in view.laws if law.rule))
    key = "".join(_check(f"law-{r}", f"{swatch(r)}by {RULE_NAMES[r]}") for r in rules)
    if any(law.rule is None for law in view.laws):
        key += _check("law-published", '<i style="color:var(--muted)">●</i> published networks')
        key += _check(PUBLISHED_BANDS, "their bands", on=False)
    blocks = "".join(_law_block(view, y, x) for y in outputs for x in inputs)
    cautions = list(dict.fromkeys(law.caution for law in view.laws if law.caution))
    return f"""<h2>Power laws</h2>
<div class="controls"><fieldset><legend>law of</legend>{controls}</fieldset>
<fieldset><legend>against</legend>{axes}</fieldset></div>
<div class="key" role="group" aria-label="Which laws are shown">{key}</div>
<div class="laws">{blocks}</div>
<p class="small">{escape(SPREAD_MEANING)} A number after ± and a range in brackets are 90 % intervals.
{escape(" ".join(cautions))}</p>"""


def _law_block(view: ScalingView, y: str, x: str) -> str:
    laws = laws_of(view, y, x)
    when = f'data-when="law-y={y} law-x={x}"'
    if not laws:
        return (
            f"<p {when}>No law of {OUTPUT_NAMES[y]} against {INPUT_NAMES[x]}: the sizes do not vary in it, or are too few.</p>"
        )
    heads = [("fitted on", ""), ("exponent", "its interval"), ("R²", ""), ("n", "networks"), ("scatter", "% of the value"),
             ("form", ""), ("law", ""), ("why this form, and what was assumed", "")]  # fmt: skip
    rows = [
        [
            f"{swatch(law.rule) if law.rule else ''}{escape(law.of)}<small>{law.kind}</small>",
            escape(exponent_text(law.exponent)), "" if law.r2 is None else f"{law.r2:.4f}", str(law.n),
            "" if law.residual_sd is None else f"{100 * law.residual_sd:.2g}", escape(law.form),
            f"<code>{escape(formula(law))}</code>",
            f'<span class="wrap">{escape(" ".join(filter(None, (law.why_form, law.prior))))}</span>',
        ]
        for law in laws
    ]  # fmt: skip
    name = escape(law_name(laws[0]))
    return f"""<div {when}><div id="law-{y}-{x}" class="plot" role="figure" aria-label="Power laws: {name}"></div>
{table(heads, rows, f"Power laws: {law_name(laws[0])}", (0, 5, 6, 7))}</div>"""


def _asked(view: ScalingView) -> str:
    asked = [
        ("command", f"<pre>{escape(view.command)}</pre>") if view.command else ("command", "none: called from Python"),
        ("network", f"{escape(view.name)} (<code>{escape(view.base.arch_id)}</code>), {view.resolution} px"),
        ("sizes", escape(view.asked)),
        ("target", escape(f"{view.target}: {view.target_note}")),
        ("confidence", f"{100 * view.confidence:.0f} %: of the lower bounds of top-1"),
        ("time", f"{view.seconds:.1f} s"),
        ("versions", escape(", ".join(f"{name} {version}" for name, version in view.versions))),
    ]
    facts = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in asked)
    notes = "".join(f'<p class="notice">{marked(text)}</p>' for text in view.notes)
    return f'<h2>What was asked, and what ran</h2>\n<dl class="facts">{facts}</dl>\n{notes}'


def _meaning(view: ScalingView) -> str:
    used = ("counted", "predicted", "estimated", "published")
    kinds = "".join(f"<dt>{kind}</dt><dd>{escape(KIND_MEANINGS[kind])}</dd>" for kind in used)
    bases = "".join(
        f"<dt>{escape(m.metric)}</dt><dd>{escape(full_text(m))}; {escape('; '.join(filter(None, (m.basis, m.protocol))))}</dd>"
        for m in view.base.measurements.values()
        if m.basis or m.protocol
    )
    return f"""<h2>What every number means</h2>
<dl class="facts">{kinds}</dl>
<p>An interval is meant to hold the truth as often as its level says; that of a gain is of the difference of two estimates.
Counts are at batch size 1; FLOPs are 2 x MACs. A size far from published shapes is flagged, and its interval is wider.</p>
<h3>What the base's intervals rest on</h3>
<dl class="facts">{bases}</dl>"""
