"""Every size of a scaled network as a table for the page."""

from __future__ import annotations

from mvsearch.report.scaling_words import marginal_text, size_text, uncertain_text
from mvsearch.report.words import bare_value, escape, exact_value, flags_of, interval_text, short_name
from mvsearch.scaling.view import Family, Member, PublishedMember, ScalingView
from mvsearch.spec.record import Measurement

_COUNTED = (("params", "params"), ("macs", "MACs"), ("activations", "activations"))


def members_section(view: ScalingView) -> str:
    """All members, family by family, and the published networks in range."""
    heads = [
        ("network", "arch_id"), ("size", ""), ("top-1, %", "estimated"), ("at least", f"{100 * view.confidence:.0f} % sure"),
        ("latency, ms", f"predicted on {view.target}"), *((name, "counted") for _, name in _COUNTED),
        ("gain, points", "over the one before"), ("points per ms", ""), ("pays", ""), ("about its numbers", ""),
    ]  # fmt: skip
    head = "".join(
        f'<th scope="col"{_css(i, len(heads))}>{escape(name)}<small>{escape(small)}</small></th>'
        for i, (name, small) in enumerate(heads)
    )
    rows = []
    for family in view.families:
        if family.members:
            rows.append(f'<tr class="band"><th colspan="{len(heads)}">{escape(family.label)}</th></tr>')
            rows += [_member_row(member, i, family, view, len(heads)) for i, member in enumerate(family.members)]
    published = [p for p in view.published if p.in_range]
    if published:
        rows.append(
            f'<tr class="band"><th colspan="{len(heads)}">published networks in the range, by the same models</th></tr>'
        )
        rows += [_published_row(p, view, len(heads)) for p in published]
    return f"""<h2>Every number</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Every size as a table"><table>
<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
<p class="small">Small print under a number: its interval. A stroke at the left marks the last size that pays. All of this
and more is in scale.csv.</p>"""


def _css(index: int, count: int) -> str:
    names = (["first"] if index == 0 else []) + (["text"] if index in (0, 1, count - 2, count - 1) else [])
    return f' class="{" ".join(names)}"' if names else ""


def _member_row(member: Member, index: int, family: Family, view: ScalingView, count: int) -> str:
    step = member.marginal
    name = f"<small>{escape(short_name(member.name))}</small>" if member.name else "<small></small>"
    cells = [
        f"<code>{escape(member.arch_id)}</code>{name}", escape(size_text(member)),
        *_numbers(member.evaluation.measurements, view),
        escape(uncertain_text(step.points)) if step else "", escape(marginal_text(step)),
        "" if step is None else "yes" if step.pays else "no",
        f'<span class="wrap">{escape("; ".join(flags_of(member.evaluation)))}</span>',
    ]  # fmt: skip
    knee = family.knee is not None and family.knee.index == index
    return _row(cells, " ".join(filter(None, ("base" if member.is_base else "", "knee" if knee else ""))), count)


def _published_row(p: PublishedMember, view: ScalingView, count: int) -> str:
    said = f"{p.top1.value:.1f} % {p.top1.kind}" if p.top1 else "none published"
    cells = [
        f"<code>{escape(p.evaluation.arch_id)}</code><small>{escape(short_name(p.name))}</small>", escape(said),
        *_numbers(p.evaluation.measurements, view), "", "", "",
        f'<span class="wrap">{escape("; ".join(flags_of(p.evaluation)))}</span>',
    ]  # fmt: skip
    return _row(cells, "", count)


def _numbers(m: dict[str, Measurement], view: ScalingView) -> list[str]:
    return [
        _uncertain(m["top1"]), bare_value("top1", m["top1"].quantile(1 - view.confidence)), _uncertain(m["latency"]),
        *(exact_value(metric, m[metric].value) for metric, _ in _COUNTED),
    ]  # fmt: skip


def _uncertain(m: Measurement) -> str:
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(interval_text(m))}</small>"


def _row(cells: list[str], css: str, count: int) -> str:
    html = "".join(f"<td{_css(i, count)}>{cell}</td>" for i, cell in enumerate(cells))
    return f'<tr class="{css}">{html}</tr>' if css else f"<tr>{html}</tr>"
