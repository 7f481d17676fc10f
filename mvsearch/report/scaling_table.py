"""A scaled network as terminal tables of at most 100 columns."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.report.scaling_words import (
    INPUT_NAMES,
    SPREAD_MEANING,
    compound_sentences,
    exponent_text,
    marginal_text,
    option_note,
    size_text,
    title_of,
)
from mvsearch.report.terminal import note, plain_table, titled
from mvsearch.report.words import bare_value, level_text, probability_text, sentence, short_text
from mvsearch.scaling.view import CompoundFit, Family, Law, ScalingView
from mvsearch.search.pareto import spread

MAX_ROWS = 16


def render_scaling(view: ScalingView) -> RenderableType:
    """Members per rule, where they stop paying, the laws of what was asked, and compound scaling at equal cost."""
    parts: list[RenderableType] = [
        Text(f"{title_of(view)}: {view.asked} on {view.target}, {view.resolution} px as it is", style="bold")
    ]
    for family in view.families:
        if family.members:
            parts.append(titled(f"By {family.label}", _members(family, view)))
            if len(family.members) > MAX_ROWS:
                rows = len(shown_members(family))
                parts.append(note(f"{rows} of {len(family.members)} sizes, evenly; all of them are in scale.csv (--out)."))
            if family.knee is not None:
                parts.append(note(sentence(family.knee.text)))
        else:
            parts.append(note(f"\nBy {family.rule} there is none: {sentence(family.why_empty)}"))
    rules = dict.fromkeys(f.knee.rule for f in view.families if f.knee)
    parts.append(note(" ".join((*rules, _kinds(view)))))
    laws = shown_laws(view)
    if laws:
        parts.append(titled("Power laws, with 90 % intervals of the exponent", _laws(laws)))
        hidden = len(view.laws) - len(laws)
        more = f" {hidden} more laws, with curves and bands, are on the page (--out)." if hidden else ""
        parts.append(note(SPREAD_MEANING + more))
    if view.compound is not None:
        parts.append(titled(f"Ways to spend {view.compound.budget_text}", _compound(view.compound)))
        parts += [note(text) for text in (*compound_sentences(view.compound), *view.compound.limits)]
    parts += [note(text) for text in (*view.notes, sentence(view.target_note))]
    return Group(*parts)


def shown_members(family: Family) -> list[int]:
    """Which of a family's members have a row: evenly, the base and the last that pays among them."""
    kept = set(spread(len(family.members), MAX_ROWS))
    kept |= {i for i, m in enumerate(family.members) if m.is_base}
    if family.knee is not None and family.knee.index is not None:
        kept.add(family.knee.index)
    return sorted(kept)


def _members(family: Family, view: ScalingView) -> Table:
    table = plain_table(
        ("\nsize", False), ("params\ncounted", True), ("MACs\ncounted", True), ("latency ms\npredicted", True),
        ("top-1 %\nestimated", True), (f"at least\n({100 * view.confidence:.0f} %)", True), ("points per ms\ngained", True),
        ("\npays", False),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    table.columns[0].no_wrap = True
    for index in shown_members(family):
        member = family.members[index]
        m = member.evaluation.measurements
        step = member.marginal
        last = family.knee is not None and family.knee.index == index
        pays = "" if step is None else "last" if last else "yes" if step.pays else "no"
        table.add_row(
            size_text(member), short_text(m["params"]), short_text(m["macs"]), short_text(m["latency"]), short_text(m["top1"]),
            bare_value("top1", m["top1"].quantile(1 - view.confidence)), marginal_text(step), pays,
            style="bold" if member.is_base else "",
        )  # fmt: skip
    return table


def _kinds(view: ScalingView) -> str:
    levels = "/".join(sorted({level_text(m) for m in view.base.measurements.values() if m.level}))
    return (
        f"Intervals: {levels}. `points per ms`: top-1 gained over the size before, by the predicted milliseconds added; its "
        "interval is that of the gain."
    )


def shown_laws(view: ScalingView) -> list[Law]:
    """The laws against what was asked for (MACs for a range of latencies), and against resolution."""
    asked = "macs" if view.metric == "latency" else view.metric
    return [law for law in view.laws if law.x in (asked, "resolution")]


def _laws(laws: list[Law]) -> Table:
    table = plain_table(
        ("law of", False), ("fitted on", False), ("exponent", True), ("R2", True), ("n", True), ("scatter", True),
        ("offset", True),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for law in laws:
        table.add_row(
            f"{law.y}, {INPUT_NAMES[law.x]}", law.of, exponent_text(law.exponent), "" if law.r2 is None else f"{law.r2:.3f}",
            str(law.n), "" if law.residual_sd is None else f"{100 * law.residual_sd:.2g} %", f"{law.offset:.3g}",
        )  # fmt: skip
    return table


def _compound(fit: CompoundFit) -> Table:
    table = plain_table(
        ("\nway", False), ("alpha\ndepth", True), ("beta\nwidth", True), ("gamma\npixels", True),
        ("depth, width,\npixels", False),
        ("top-1 %\nestimated", True), ("at\nleast", True), ("ms, pre-\ndicted", True), ("P(is\nworse)", True),
        ("told\napart", False),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for option in (fit.found, *fit.others):
        m = option.member.evaluation.measurements
        p = option.probability_worse
        size = f"{option.member.depth:.2g}, {option.member.width:.2g}, {option.member.evaluation.resolution}"
        same = option_note(option, fit) == "the same network"
        apart = "" if option is fit.found else "same" if same else "no" if option.tied else "yes"
        table.add_row(
            option.label, f"{option.alpha:.2f}", f"{option.beta:.2f}", f"{option.gamma:.2f}",
            size, short_text(m["top1"]), f"{option.lower_top1:.1f}", bare_value("latency", m["latency"].value),
            "" if p is None else probability_text(p), apart,
        )  # fmt: skip
    return table
