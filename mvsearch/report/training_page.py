"""The page's section about the trainings, as HTML text; every value that is put in is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mvsearch.accuracy.marriage import Marriage, Married
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.report.training import (
    count_text,
    flag_text,
    loss_text,
    next_rung,
    order_text,
    residual_lines,
    seed_text,
    slope_text,
    validation_lines,
)
from mvsearch.report.training_figures import HEAD, ROW, sorted_networks
from mvsearch.report.words import bare_value, escape, half_width, interval_text, plural
from mvsearch.spec.record import Measurement


def training_section(marriage: Marriage, records: Sequence[TrainingRecord], names: Mapping[str, str]) -> str:
    """Whether training is believed, before and after, the rungs, the curves; figures come from `training_figures`.

    Args:
        marriage: estimates and trainings.
        records: all trainings.
        names: arch_id -> what the network is called; one that is missing is called by its arch_id.
    """
    shown = [n for n in sorted_networks(marriage) if n.losses or n.failures]
    head = f'<h2>What training says</h2>\n<p class="notice">{_words(marriage.sentence)}</p>'
    if not shown:
        return head
    lines = "".join(f"<p>{escape(line)}</p>" for line in (*validation_lines(marriage), *residual_lines(marriage)))
    height = HEAD + ROW * len(shown)
    scatter = "".join(
        f'<div id="training-rung-{s.rung}" class="plot" role="figure" aria-label="Loss and top-1 at rung {s.rung}"></div>'
        for s in marriage.scales
        if s.candidates + s.anchors
    )
    curves = ""
    if records:
        curves = """<h3>Learning curves</h3>
<p class="small">One line per training, each with its own whole schedule: ends compare with ends of the same rung, nothing
else does. A cross is where a training failed.</p>
<div id="training-curves" class="plot" role="figure" aria-label="Validation loss over steps"></div>"""
    return f"""{head}
{lines}
<p class="small">{escape(count_text(records))}</p>
<h3>{"Before and after" if marriage.used else "Estimates, and what training would make of them"}</h3>
<div id="training-change" class="plot" style="height:{height}px" role="figure" aria-label="Top-1 before and after"></div>
{_networks(shown, marriage, names)}
<h3>Training against estimate, rung by rung</h3>
<p class="small">Every rung has a scale of its own from loss to top-1, set by published top-1 of published networks and by
the estimates of candidates. What a training implies for a network is read off the line through the others; the band holds
90 % by the rung's own error. Bars: 90 % intervals of estimates and losses.</p>
<div class="plots">{scatter}</div>
{_rungs(marriage)}
{curves}"""


def _networks(shown: Sequence[Married], marriage: Marriage, names: Mapping[str, str]) -> str:
    heads = ["network", "rung", "seeds", "loss, nats", "training implies, %", "before, %"]
    heads += ["after, %"] if marriage.used else []
    rows = []
    for n in shown:
        name = names.get(n.arch_id, n.arch_id)
        below = "" if name == n.arch_id else n.arch_id
        below += f"{', ' if below else ''}published {n.published:.1f} %" if n.published is not None else ""
        implied = (
            f"{n.trained.top1:.1f}<small>±{1.645 * n.trained.sigma:.1f}, rung {n.trained.rung}</small>" if n.trained else ""
        )
        cells = [
            f"<code>{escape(name)}</code><small>{escape(below)}</small>", "" if n.rung is None else str(n.rung),
            str(n.loss.seeds) if n.loss else "", escape(loss_text(n)), implied, _number(n.before),
            *([_number(n.after)] if marriage.used else []),
        ]  # fmt: skip
        notes = "; ".join(filter(None, (flag_text(n), *n.failures)))
        rows.append(_row(cells) + f'<td class="text wrap">{escape(notes)}</td></tr>')
    head = "".join(f'<th scope="col"{_first(i)}>{escape(h)}</th>' for i, h in enumerate(heads))
    return f"""<details><summary>{plural(len(shown), "network")} in numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Trained networks as a table"><table>
<thead><tr>{head}<th scope="col" class="text">notes</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div></details>"""


def _rungs(marriage: Marriage) -> str:
    heads = (
        ("rung", ""), ("steps", ""), ("candidates", "trained"), ("published", "trained"), ("top-1", "points per 0.1 nats"),
        ("seed SD", "nats"), ("Kendall", "with the estimate"), ("Kendall", "with the next rung"), ("Kendall", "seed to seed"),
    )  # fmt: skip
    rows = []
    for s in marriage.scales:
        cells = [
            str(s.rung), f"{s.steps:,}", str(s.candidates), str(s.anchors), escape(slope_text(s)), escape(seed_text(s)),
            order_text(s.with_estimate), order_text(next_rung(marriage, s.rung)), order_text(s.between_seeds),
        ]  # fmt: skip
        rows.append(_row(cells) + "</tr>")
    head = "".join(f'<th scope="col"{_first(i)}>{escape(h)}<small>{escape(b)}</small></th>' for i, (h, b) in enumerate(heads))
    worth = "".join(f"<li>rung {s.rung}: {escape(s.why)}.</li>" for s in marriage.scales)
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Rungs as a table"><table>
<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
<ul class="small">{worth}</ul>"""


def _words(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td{_first(i)}>{cell}</td>" for i, cell in enumerate(cells))


def _first(index: int) -> str:
    return ' class="first text"' if index == 0 else ""


def _number(m: Measurement) -> str:
    half = half_width(m)
    interval = f"±{half:.1f}" if half else interval_text(m)
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(interval)}</small>"
