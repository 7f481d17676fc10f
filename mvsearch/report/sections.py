"""The page's words and tables, as HTML text; every value that is put in is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from mvsearch.report.words import (
    KIND_MEANINGS,
    ON_FRONT_MEANING,
    bare_value,
    common_kind,
    config_vectors,
    escape,
    flags_of,
    full_text,
    half_width,
    interval_text,
    kind_text,
    level_text,
    on_front_text,
    plural,
    probability_text,
    runner_up_text,
    sentence,
)
from mvsearch.spec.budget import format_value
from mvsearch.spec.record import Evaluation, Measurement
from mvsearch.spec.run import FrontMember, PublishedPoint, RunView


def title_of(view: RunView) -> str:
    """`MobileViT networks within 2M-params`: what the page is about."""
    return f"MobileViT networks within {', '.join(b.text for b in view.settings.budgets)}"


def answer_section(view: RunView) -> str:
    """What came out, in words, with the kind of every number."""
    s = view.settings
    head = (
        f"<h1>{escape(title_of(view))}</h1>\n"
        f'<p class="muted">Target {escape(s.target)}, {s.resolution} px; {plural(view.counts.evaluated, "candidate")} '
        f"of search space <code>{escape(s.space)}</code>, seed {s.seed}.</p>"
    )
    if not view.finished:
        head += '<p class="notice">This run is not finished: the front below is what has been found so far.</p>'
    winner = view.winning_member
    if winner is None:
        found = (
            f"{plural(len(view.front), 'network')} on the front so far."
            if view.front
            else f"No candidate keeps the budget{'' if view.finished else ' yet'}."
        )
        return f'{head}\n<p class="answer">{found}</p>\n<p class="notice">{escape(view.target_note)}</p>'
    drawn = f'<div class="hero"><div>{_answer(view, winner)}</div><div id="hero"></div></div>'
    said = f'<div class="said-of">{_sureness(view, winner)}{_comparison(view, winner)}</div>'
    return "\n".join((head, drawn, _tiles(winner), said, _caution(view, winner)))


def _answer(view: RunView, winner: FrontMember) -> str:
    m = winner.evaluation.measurements
    words = (
        f"The best network found is <code>{escape(winner.evaluation.arch_id)}</code>: "
        f"{escape(m['top1'].kind)} at <b>{escape(format_value('top1', m['top1'].value))}</b> ImageNet top-1, "
        f"{escape(kind_text(m['latency']))} at <b>{escape(format_value('latency', m['latency'].value))}</b>, with "
        f"<b>{escape(format_value('params', m['params'].value))}</b> parameters."
    )
    if any(not b.is_counted for b in view.settings.budgets):
        words += f" It keeps the latency budget with probability {winner.probability_in_budget:.2f}."
    return f'<p class="answer">{words}</p>'


def _sureness(view: RunView, winner: FrontMember) -> str:
    """How sure the choice is, in one paragraph."""
    words = []
    if on_front := on_front_text(winner):
        words.append(f"Against the other candidates of this run it is {on_front}.")
    if runner_up := view.runner_up:
        said = escape(runner_up_text(runner_up)).replace(runner_up.arch_id, f"<code>{escape(runner_up.arch_id)}</code>")
        words.append(f"The runner-up is {said}.")
    return f"<p>{' '.join(words)}</p>" if words else ""


def _tiles(winner: FrontMember) -> str:
    m = winner.evaluation.measurements
    tiles = [
        _tile("ImageNet top-1", f"{bare_value('top1', m['top1'].value)} %", m["top1"]),
        _tile("latency", f"{bare_value('latency', m['latency'].value)} ms", m["latency"]),
        _tile("parameters", bare_value("params", m["params"].value), m["params"]),
        _tile("multiply-accumulates", bare_value("macs", m["macs"].value), m["macs"]),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, value: str, m: Measurement) -> str:
    interval = f"<br>{escape(level_text(m))}: {escape(interval_text(m))}" if interval_text(m) else "<br>exact"
    return (
        f'<div class="tile"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
        f'<span class="name">{escape(kind_text(m))}{interval}</span></div>'
    )


def _comparison(view: RunView, winner: FrontMember) -> str:
    lines = []
    near = next((p for p in view.published if p.name == winner.nearest), None)
    lines.append(f"Nearest published network: <code>{escape(winner.nearest)}</code>{_said_of(near)}.")
    rivals = [p for p in view.published if p.feasible]
    best = max(rivals, key=lambda p: p.evaluation.measurements["top1"].quantile(1 - view.settings.confidence), default=None)
    if best and best is not near:
        lines.append(f"Best published network within the budget: <code>{escape(best.name)}</code>{_said_of(best)}.")
    tied = [m for m in view.front if m.tied and m is not winner]
    if tied:
        names = ", ".join(f"<code>{escape(m.evaluation.arch_id)}</code>" for m in tied[:6]) + (", ..." if len(tied) > 6 else "")
        lines.append(
            f"The winner is in one tie with {plural(len(tied), 'other member', 'other members')} of the front ({names}): the "
            "estimates cannot tell them apart from the most accurate one, and of a tie the fastest wins."
        )
    return "".join(f"<p>{line}</p>" for line in lines)


def _said_of(point: PublishedPoint | None) -> str:
    if point is None:
        return ""
    m = point.evaluation.measurements
    said = f", authors report {format_value('top1', point.published_top1.value)}" if point.published_top1 else ""
    params = format_value("params", m["params"].value)
    return escape(f"{said}; by the same models {full_text(m['top1'])}, {full_text(m['latency'])}, {params} parameters")


def _caution(view: RunView, winner: FrontMember) -> str:
    trained = winner.evaluation.rung == "trained"
    words = escape(sentence(view.target_note)) + ("" if trained else " No candidate was trained: top-1 is an estimate.")
    flags = flags_of(winner.evaluation)
    if flags:
        words += f" About the winner's numbers: {escape('; '.join(flags))}."
    return f'<p class="notice">{words}</p>'


_CONFIG_HEADS = ("blocks", "d", "L", "heads", "width", "expansion", "FFN", "patch", "mv2 blocks", "stem", "head")


def front_section(view: RunView) -> str:
    """The front and the published networks of the same budget with all their knobs, and what was struck off."""
    if not view.front:
        return "<h2>The front</h2><p>Empty so far.</p>"
    rivals = sorted((p for p in view.published if p.feasible), key=lambda p: p.evaluation.measurements["latency"].value)
    evaluations = [m.evaluation for m in view.front] + [p.evaluation for p in rivals]
    kinds = {metric: common_kind(evaluations, metric) for metric in ("top1", "latency", "params", "macs")}
    with_probability = any(not b.is_counted for b in view.settings.budgets)
    confidence = f"{view.settings.confidence * 100:.0f} %"
    heads = [
        ("network", ""), ("top-1, %", kinds["top1"]), ("at least", f"{confidence} sure"),
        ("latency, ms", kinds["latency"]),
        *([("P(in budget)", "")] if with_probability else []), ("P(on front)", ""),
        ("params", kinds["params"]), ("MACs", kinds["macs"]),
        *((h, "") for h in _CONFIG_HEADS),
    ]  # fmt: skip
    rows = [_front_row(m, view, with_probability) for m in view.front]
    if rivals:
        rows.append(
            f'<tr class="band"><th colspan="{len(heads)}">published networks within the same budget, by the same models'
            "</th></tr>"
        )
        rows += [_published_row(p, view, with_probability) for p in rivals]
    head = "".join(
        f'<th scope="col"{_classes(i, len(heads))}>{escape(name)}<small>{escape(kind)}</small></th>'
        for i, (name, kind) in enumerate(heads)
    )
    return f"""<h2>The front</h2>
<p class="small">{plural(len(view.front), "network")}, fastest first; {escape(_verified(view))}. Small print
under a number: its {escape(_levels(evaluations))} interval. Values of several stages stand in their order, first to last.
P(on front): {escape(ON_FRONT_MEANING)}.</p>
<div class="scroll tall" tabindex="0" role="region" aria-label="The front as a table"><table>
<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
{_struck(view)}"""


_RUNG_MEANINGS = {
    "estimated": "not built yet",
    "built": "built, counted again and run once",
    "converted": "built, counted again, run once and converted",
    "measured": "built, converted and timed",
    "trained": "trained",
}


def _verified(view: RunView) -> str:
    counts = {rung: sum(m.evaluation.rung == rung for m in view.front) for rung in _RUNG_MEANINGS}
    return ", ".join(f"{count} {_RUNG_MEANINGS[rung]}" for rung, count in counts.items() if count)


def _levels(evaluations: Iterable[Evaluation]) -> str:
    return "/".join(sorted({level_text(m) for e in evaluations for m in e.measurements.values() if m.level}))


def _classes(index: int, count: int) -> str:
    names = (["first"] if index == 0 else []) + (["text"] if index == 0 or index >= count - len(_CONFIG_HEADS) else [])
    return f' class="{" ".join(names)}"' if names else ""


def _front_row(member: FrontMember, view: RunView, with_probability: bool) -> str:
    wins = member.evaluation.arch_id == view.winner
    role = "winner" if wins else "tied with the winner" if member.tied else ""
    probability = [f"{member.probability_in_budget:.2f}"] if with_probability else []
    probability.append("" if member.probability_on_front is None else escape(probability_text(member.probability_on_front)))
    return _row(member.evaluation, member.evaluation.arch_id, role, member.lower_top1, probability, "winner" if wins else "")


def _published_row(point: PublishedPoint, view: RunView, with_probability: bool) -> str:
    m = point.evaluation.measurements
    limits = [b.limit for b in view.settings.budgets if not b.is_counted]
    probability = [f"{min(m['latency'].probability_at_most(x) for x in limits):.2f}"] if with_probability else []
    probability.append("")
    said = f"authors: {point.published_top1.value:.1f} %" if point.published_top1 else "published"
    return _row(point.evaluation, point.name, said, m["top1"].quantile(1 - view.settings.confidence), probability, "")


def _row(evaluation: Evaluation, name: str, role: str, lower: float, probability: list[str], css: str) -> str:
    m = evaluation.measurements
    cells = [
        f"<code>{escape(name)}</code><small>{escape(role)}</small>",
        _number(m["top1"]), bare_value("top1", lower), _number(m["latency"]), *probability,
        bare_value("params", m["params"].value), bare_value("macs", m["macs"].value),
        *map(escape, config_vectors(evaluation.spec)),
    ]  # fmt: skip
    html = "".join(f"<td{_classes(i, len(cells))}>{cell}</td>" for i, cell in enumerate(cells))
    return f"<tr{f' class={css!r}' if css else ''}>{html}</tr>"


def _number(m: Measurement) -> str:
    half = half_width(m)
    interval = f"±{half:.1f}" if half else interval_text(m)
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(interval)}</small>"


def _struck(view: RunView) -> str:
    if not view.struck:
        return ""
    rows = "".join(
        f'<tr><td class="first text"><code>{escape(e.arch_id)}</code></td><td class="text">{escape(e.rung)}</td>'
        f'<td class="text">{escape(e.failure.kind if e.failure else "")}</td>'
        f'<td class="text wrap">{escape(e.failure.message if e.failure else "no reason recorded")}</td></tr>'
        for e in view.struck
    )
    return f"""<h2>Struck off</h2>
<p class="small">Members of the front that failed when they were built, run, converted or loaded by the target; the next
ones took their places.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Struck off"><table><thead><tr>
<th scope="col" class="first text">network</th><th scope="col" class="text">reached</th>
<th scope="col" class="text">failure</th><th scope="col" class="text">reason</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def run_section(view: RunView) -> str:
    """What was asked, and what ran."""
    s, c = view.settings, view.counts
    asked = [
        ("command", f"<pre>{escape(view.command)}</pre>"),
        ("budget", escape(", ".join(b.text for b in s.budgets))),
        ("target", escape(f"{s.target}: {view.target_note}")),
        ("search space", escape(f"{s.space} ({s.space_hash})")),
        (
            "confidence",
            f"{s.confidence * 100:.0f} %: of the lower bound of top-1, and of a predicted latency meeting its budget",
        ),
        ("seed, resolution", f"{s.seed}, {s.resolution} px"),
        ("proposed", f"{c.proposed:,}: {c.over_budget:,} over the budget by their exact costs, {c.duplicates:,} seen before"),
        ("evaluated", f"{c.evaluated:,}: {c.feasible:,} feasible, {c.failed:,} failed"),
        *([("notes", escape("; ".join(view.notes)))] if view.notes else []),
        ("machine", escape(f"{view.machine}; {view.seconds:.0f} s")),
        ("versions", escape(", ".join(f"{name} {version}" for name, version in view.versions))),
    ]
    facts = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in asked)
    return f'<h2>What was asked, and what ran</h2>\n<dl class="facts">{facts}</dl>'


def meaning_section(view: RunView) -> str:
    """What the kinds mean, and what the numbers rest on."""
    kinds = "".join(f"<dt>{kind}</dt><dd>{escape(text)}</dd>" for kind, text in KIND_MEANINGS.items())
    bases = {}
    for member in view.front[:1]:
        for m in member.evaluation.measurements.values():
            if m.basis or m.protocol:
                basis = "; ".join(filter(None, (m.basis, m.protocol, f"n = {m.n}" if m.n else "")))
                bases[m.metric] = f"<dt>{escape(m.metric)}</dt><dd>{escape(basis)}</dd>"
    measured = any(m.kind == "measured" for member in view.front for m in member.evaluation.measurements.values())
    trained = any(member.evaluation.rung == "trained" for member in view.front)
    target = escape(view.settings.target)
    lacks = [] if measured else [f"Nothing was timed on {target}: {escape(sentence(view.target_note))}"]
    lacks += [] if trained else ["No network was trained here; an exported winner has initial weights."]
    missing = f'<p class="notice">{" ".join(lacks)}</p>' if lacks else ""
    return f"""<h2>What every number means</h2>
{missing}
<dl class="facts">{kinds}</dl>
<p>An interval is meant to hold the truth as often as its level says. The lower bound (<i>at least</i>)
is what the search maximises: far from published networks the estimate grows uncertain, and the bound falls. Numbers of
different kinds are never mixed unmarked. Counts are at batch size 1 and {view.settings.resolution} px; FLOPs are 2 x MACs.</p>
<p><i>P(on front)</i>: {escape(ON_FRONT_MEANING)}. The front itself goes by lower bounds, so that a sure
network may stand on it before one that is perhaps better. Two networks that are built alike are wrong together, and are told
apart more surely than their intervals say; orders of two come true as often as for published networks. What a search keeps
is flattered by its estimates, which no probability here takes into account.</p>
<h3>What the intervals rest on</h3>
<dl class="facts">{"".join(bases.values())}</dl>"""
