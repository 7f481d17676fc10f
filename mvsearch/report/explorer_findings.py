"""What the run taught, as HTML text: which knobs matter, what comes nearest to a budget, how the search went.

Every value that is put in is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from mvsearch.report.document import table
from mvsearch.report.explorer import OBJECTIVES, failures_by_kind, origins_of
from mvsearch.report.nearest import MAX_NEAREST, Shortfall, by_distance, excess, verdict
from mvsearch.report.words import bare_value, escape, plural
from mvsearch.search.importance import LEVEL, Importance
from mvsearch.spec.budget import format_value
from mvsearch.spec.run import RunView

MAX_KNOBS = 12
"""Shown at once; the others wait behind a click."""
_OBJECTIVE_NAMES = {
    "lower": "at least", "top1": "top-1", "latency": "latency", "params": "params", "macs": "MACs", "peak_memory": "memory",
}  # fmt: skip


def importance_section(found: Sequence[Importance]) -> str:
    """Which knobs go with which numbers, as a table of bars; nothing where there are too few trials."""
    if not found:
        return ""
    by_knob: dict[str, dict[str, Importance]] = {}
    for i in found:
        by_knob.setdefault(i.dimension, {})[i.objective] = i
    ordered = sorted(by_knob.items(), key=lambda item: -max(_above(item[1][o]) for o in ("lower", "latency")))
    shown = [(knob, own) for knob, own in ordered if any(i.is_above_noise for i in own.values())]
    silent = [knob for knob, own in ordered if not any(i.is_above_noise for i in own.values())]
    head = "".join(f'<th scope="col">{escape(_OBJECTIVE_NAMES[o])}</th>' for o in OBJECTIVES)
    rows = [
        f'<tr><th scope="row" class="text">{escape(_knob_name(knob))}</th>{"".join(_share(own[o]) for o in OBJECTIVES)}'
        f'<td><button type="button" class="bare" data-x="knob:{escape(knob)}" data-y="lower" '
        f'aria-label="plot at least against {escape(_knob_name(knob))}">plot</button></td></tr>'
        for knob, own in shown
    ]
    first = _share_table(head, rows[:MAX_KNOBS])
    more = _share_table(head, rows[MAX_KNOBS:])
    others = plural(len(rows) - MAX_KNOBS, "more knob")
    more = f"<details><summary>{others}</summary>{more}</details>" if len(rows) > MAX_KNOBS else ""
    n = found[0].trials
    rest = f"<p class='small'>No more than chance: {escape(', '.join(map(_knob_name, silent)))}.</p>" if silent else ""
    return f"""<h2>Which knobs matter for what</h2>
<p class="small">Among the {n:,} feasible candidates: the share of a number's order that goes with the knob (variance of ranks
between groups of candidates that have the same value, or neighbouring ones: the Kruskal-Wallis statistic over n − 1).
↑ grows with the knob, ↓ falls. The tick is the noise floor: {LEVEL * 100:.0f} % of random shares stay below it, and shares
below it are pale. It is no proof of a cause: a search tries knobs together, so that knobs raised together share what either
does, and it speaks of the networks that this search looked at, within the budget.</p>
{first}
{more}
{rest}"""


def _share_table(head: str, rows: Sequence[str]) -> str:
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Knobs and numbers as a table"><table class="shares">
<thead><tr><th scope="col" class="text">knob</th>{head}<th scope="col"><span class="sr">plot</span></th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>"""


def _above(i: Importance) -> float:
    return i.share if i.is_above_noise else 0.0


def _share(i: Importance) -> str:
    arrow = "" if i.direction is None or abs(i.direction) < 0.3 or not i.is_above_noise else "↑" if i.direction > 0 else "↓"
    pale = "" if i.is_above_noise else " pale"
    return (
        f'<td class="bar{pale}"><span class="track" style="width:{i.share * 100:.0f}%"></span>'
        f'<span class="floor" style="left:{min(100.0, i.floor * 100):.1f}%"></span><b>{i.share:.2f}</b> {arrow}</td>'
    )


_KNOB_WORDS = {"channels": "width", "dim": "d", "depth": "L", "ffn_ratio": "FFN"}


def _knob_name(knob: str) -> str:
    part, _, key = knob.partition(".")
    if part.startswith("stage"):
        return f"stage {part.removeprefix('stage')} {_KNOB_WORDS.get(key, key)}"
    return {"stem": "stem width", "num_classes": "classes", "in_channels": "image channels"}.get(part, part)


def nearest_section(view: RunView) -> str:
    """Where no candidate keeps the budget: the nearest ones, and which budget binds."""
    if any(t.feasible for t in view.trials):
        return ""
    budgets, confidence = view.settings.budgets, view.settings.confidence
    names = {p.evaluation.arch_id: p.name for p in view.published}
    pool = {e.arch_id: e for e in (*(p.evaluation for p in view.published), *(t.evaluation for t in view.trials))}
    ranked = by_distance(pool.values(), budgets, confidence)
    if not ranked or max(s.ratio for s in ranked[0][1]) <= 1:
        return ""
    heads = [("nearest", "")]
    heads += [(b.metric, f"budget {b.text}{'' if b.is_counted else f', {confidence * 100:.0f} % sure'}") for b in budgets]
    rows = []
    for evaluation, short in ranked[:MAX_NEAREST]:
        of = {s.budget.metric: s for s in short}
        name = names.get(evaluation.arch_id, evaluation.arch_id)
        cells = [_shortfall(of[b.metric]) if b.metric in of else "not known" for b in budgets]
        rows.append([f"<code>{escape(name)}</code>", *cells, escape(" ".join(evaluation.spec.blocks))])
    said = "".join(f"<p>{escape(line)}</p>" for line in verdict(ranked[0], confidence))
    nearest = table([*heads, ("blocks of stages 3-5", "")], rows, "The nearest candidates as a table", (0, len(heads)))
    return f"""<h2>Nothing keeps the budget: what comes nearest</h2>
<div class="notice">{said}</div>
{nearest}"""


def _shortfall(s: Shortfall) -> str:
    return f"{escape(format_value(s.budget.metric, s.value))}<small>{escape(excess(s.ratio))}</small>"


def history_section(view: RunView) -> str:
    """How the front grew, where the proposals went, where they came from, and what failed."""
    point = view.reference_point
    reference = f", down to {bare_value('top1', point[0])} % and {bare_value('latency', point[1])} ms" if point else ""
    growth = ""
    if view.hypervolume:
        growth = f"""<div><h3>Hypervolume</h3>
<p class="small">Area that the front dominates in (lower bound of top-1, latency){escape(reference)}. Flat: more trials
bring little.</p>
<fieldset class="switch"><legend class="sr">over</legend>
<label class="choice"><input type="radio" name="history" value="trials" checked><span>over trials</span></label>
<label class="choice"><input type="radio" name="history" value="seconds"><span>over time</span></label></fieldset>
<div id="growth" class="growth"></div></div>"""
    return f"""<h2>How the search went</h2>
<div class="columns">{growth}
<div>{_funnel(view)}{_origins(view)}{_failures(view)}</div></div>"""


def _funnel(view: RunView) -> str:
    c = view.counts
    passed_over = max(0, c.proposed - c.over_budget - c.duplicates - c.evaluated)
    rows = [
        ("proposed", c.proposed), ("over a counted budget", c.over_budget), ("seen before", c.duplicates),
        ("passed over for others, by the estimates", passed_over),
        ("evaluated", c.evaluated), ("feasible", c.feasible), ("failed", c.failed), ("on the front", len(view.front)),
    ]  # fmt: skip
    return _bars("Where the proposals went", rows)


def _bars(caption: str, rows: Sequence[tuple[str, int]]) -> str:
    most = max((n for _, n in rows), default=0) or 1
    lines = "".join(
        f'<tr><th scope="row" class="text">{escape(name)}</th><td class="bar">'
        f'<span class="track" style="width:{n / most * 100:.1f}%"></span><b>{n:,}</b></td></tr>'
        for name, n in rows
    )
    return f'<table class="counts"><caption>{escape(caption)}</caption><tbody>{lines}</tbody></table>'


def _origins(view: RunView) -> str:
    found = origins_of(view)
    if len(found) < 2:
        return ""
    rows = "".join(_counts(escape(origin or "unknown"), n, feasible, front) for origin, n, feasible, front in found)
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("evaluated", "feasible", "on the front"))
    return f"""<table class="counts"><caption>Where the candidates came from</caption>
<thead><tr><th scope="col" class="text">origin</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"""


def _counts(name: str, *numbers: int) -> str:
    cells = "".join(f"<td>{n:,}</td>" for n in numbers)
    return f'<tr><th scope="row" class="text">{name}</th>{cells}</tr>'


def _failures(view: RunView) -> str:
    found = failures_by_kind(view)
    if not found:
        return '<p class="small">Nothing failed.</p>'
    rows = "".join(
        f'<tr><th scope="row" class="text">{escape(kind)}</th><td>{n:,}</td><td class="text wrap">{escape(message)}</td></tr>'
        for kind, n, message in found
    )
    return f"""<table class="counts"><caption>Failures by kind</caption><thead><tr><th scope="col" class="text">kind</th>
<th scope="col">networks</th><th scope="col" class="text">one of the messages</th></tr></thead>
<tbody>{rows}</tbody></table>"""
