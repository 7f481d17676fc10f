"""Numbers and networks in words: one wording for the terminal, the page and the pictures."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from mvsearch.spec.arch import ArchSpec, Stage, attends
from mvsearch.spec.budget import format_count, format_value
from mvsearch.spec.record import Evaluation, Measurement
from mvsearch.spec.run import FrontMember, RunnerUp

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|px|MB|[GMk])\b|%)")
METRIC_NAMES = {
    "params": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "activations": "activations",
    "weight_bytes": "weights, float16",
    "peak_memory": "peak activation memory, float16",
    "latency": "latency",
    "top1": "ImageNet top-1",
}
"""How a metric is called in tables, in the order in which tables show them."""

KIND_MEANINGS = {
    "counted": "exact: added up from the architecture, operation by operation; no uncertainty",
    "predicted": "latency from a model fitted on published measurements of other networks; not measured",
    "estimated": "accuracy from a regression on published networks; this network was not trained",
    "measured": "timed on the target, on this machine or on a device attached to it",
    "published": "reported by the authors of the network; not reproduced here",
}


def bare_value(metric: str, value: float) -> str:
    """The number without its unit, for a column whose head states it; counts keep their prefix."""
    if metric == "latency":
        return f"{value:.2f}" if value < 99.5 else f"{value:.0f}"
    if metric == "top1":
        return f"{value:.1f}"
    if metric in ("weight_bytes", "peak_memory"):
        return f"{value / 1e6:.2f}"
    return format_count(value)


def exact_value(metric: str, value: float) -> str:
    """The number with its unit; counts in full."""
    if metric in ("params", "macs", "flops", "activations"):
        return f"{value:,.0f}"
    return format_value(metric, value)


def has_interval(m: Measurement) -> bool:
    """Whether the number comes with an interval of some width."""
    return m.low is not None and m.high is not None and m.high > m.low


def half_width(m: Measurement) -> float | None:
    """Half the interval if the value is its middle (to 5 % of its width), else None."""
    if m.low is None or m.high is None or m.scale == "log":
        return None
    middle, width = (m.low + m.high) / 2, m.high - m.low
    return width / 2 if abs(m.value - middle) <= 0.05 * width else None


def short_text(m: Measurement) -> str:
    """Value and interval without unit: `72.3 ±2.4` or `3.12 (1.64-5.93)`."""
    value = bare_value(m.metric, m.value)
    if m.low is None or m.high is None or not has_interval(m):
        return value
    half = half_width(m)
    if half is not None:
        return f"{value} ±{half:.1f}"
    return f"{value} ({bare_value(m.metric, m.low)}-{bare_value(m.metric, m.high)})"


def interval_text(m: Measurement) -> str:
    """`1.64 to 5.93`; empty for a number without uncertainty."""
    if m.low is None or m.high is None or not has_interval(m):
        return ""
    return f"{bare_value(m.metric, m.low)} to {bare_value(m.metric, m.high)}"


def level_text(m: Measurement) -> str:
    """`90 %`, or empty."""
    return f"{m.level:.0%}".replace("%", " %") if m.level else ""


def kind_text(m: Measurement) -> str:
    """`predicted on iphone12`, `counted`, `estimated`."""
    return f"{m.kind} on {m.target}" if m.target else m.kind


def full_text(m: Measurement) -> str:
    """Value, unit, interval and kind: `3.12 ms (90 %: 1.64 to 5.93), predicted on iphone12`."""
    value = format_value(m.metric, m.value)
    if has_interval(m):
        value += f" ({level_text(m)}: {interval_text(m)})" if m.level else f" ({interval_text(m)})"
    return f"{value}, {kind_text(m)}"


def common_kind(evaluations: list[Evaluation], metric: str) -> str:
    """The one kind that this metric has in all of them; `mixed` for several, empty for none."""
    kinds = {e.measurements[metric].kind for e in evaluations if metric in e.measurements}
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else ""


def flags_of(evaluation: Evaluation) -> tuple[str, ...]:
    """`metric: flag` for every claim attached to one of its numbers."""
    return tuple(f"{m.metric}: {flag}" for m in evaluation.measurements.values() for flag in m.flags)


def probability_text(p: float) -> str:
    """`0.43`; `<0.01` and `>0.99` beyond what draws can tell."""
    return "<0.01" if p < 0.01 else ">0.99" if p > 0.99 else f"{p:.2f}"


ON_FRONT_MEANING = (
    "probability that no other candidate of this run is as accurate and as fast in truth, and that the budget is kept; "
    "errors that two networks share count for neither"
)


def on_front_text(member: FrontMember) -> str:
    """`on the true front with probability 0.22`; empty where that was not worked out."""
    if member.probability_on_front is None:
        return ""
    return f"on the true front with probability {probability_text(member.probability_on_front)}"


def runner_up_text(runner_up: RunnerUp) -> str:
    """How sure the choice between winner and runner-up is, in words."""
    p = probability_text(runner_up.probability_better)
    said = (
        f"{runner_up.arch_id}, the better choice with probability {p} (more accurate by 0.5 points or more, or less than that "
        "apart and faster)"
    )
    if runner_up.is_coin_flip:
        return f"{said}: between the two it is a coin flip"
    if runner_up.probability_better > 0.5:
        return f"{said}: likely so, but the choice goes by lower bounds of top-1, and by what is measured"
    return said


@dataclass(frozen=True, slots=True)
class PartRow:
    """One stem, stage or head in text; a knob that the part lacks is empty."""

    part: str
    block: str
    channels: str
    expansion: str = ""
    blocks: str = ""
    dim: str = ""
    depth: str = ""
    heads: str = ""
    ffn: str = ""
    patch: str = ""


PART_HEADINGS = ("", "block", "width", "expansion", "blocks", "d", "L", "heads", "FFN", "patch")
"""Column heads that go with the fields of `PartRow`."""


def part_rows(spec: ArchSpec) -> tuple[PartRow, ...]:
    """The whole configuration, part by part from stem to head."""
    rows = [PartRow("stem", spec.stem.summary, str(spec.stem.channels))]
    for number, stage in enumerate(spec.stages, start=1):
        texts = knob_texts(stage)
        known = {name: texts[knob] for knob, name in _PART_FIELDS.items() if knob in texts}
        rows.append(PartRow(f"stage {number}", **known))
    rows.append(PartRow("head", spec.head.label.split()[0], str(spec.head.width(spec.stages[-1].channels))))
    return tuple(rows)


_PART_FIELDS = {
    "block": "block", "channels": "channels", "expansion": "expansion", "blocks": "blocks", "dim": "dim", "depth": "depth",
    "heads": "heads", "ffn_ratio": "ffn", "patch": "patch",
}  # fmt: skip
"""Knob of a stage -> field of `PartRow`."""


def knob_texts(stage: Stage) -> dict[str, str]:
    """The knobs of a stage in text; ratios of single blocks in one, blocks that attend beside all of them."""
    knobs = dict(stage.knobs)
    single = [knobs.pop(name) for name in list(knobs) if name.startswith("ffn") and name[3:].isdigit()]
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in knobs.items()}
    if single:
        texts["ffn_ratio"] = " ".join(f"{v:g}" for v in single) if len(set(single)) > 1 else f"{single[0]:g}"
    if knobs.get("attention"):
        texts["depth"] += f" ({texts['attention']} attend)"
    return texts


FAMILY_NAMES = {"v1": "MobileViT v1", "v2": "MobileViTv2", "v3": "MobileViTv3", "other": "other"}
FAMILIES = (("mobilevitv3_", "v3"), ("mobilevitv2_", "v2"), ("mobilevit_", "v1"))


def family_of(name: str) -> str:
    """`v1`, `v2`, `v3`, or `other`, by the published name."""
    return next((family for prefix, family in FAMILIES if name.startswith(prefix)), "other")


def short_name(name: str) -> str:
    """A label for a plot: `v3-XXS-L2`, `v2-0.5`, `v1-S p8,4,2`; other names stay as they are."""
    for prefix, family in FAMILIES:
        if name.startswith(prefix):
            size, _, patches = name[len(prefix) :].partition("@patch=")
            return f"{family}-{size.upper().replace('_', '-')}" + (f" p{patches}" if patches else "")
    return name


def plural(number: int, one: str, many: str = "") -> str:
    """`1 network`, `2,000 networks`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """The text with a full stop, for where another sentence follows."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def escape(text: object) -> str:
    """Text as it may stand in HTML, between tags or within a quoted attribute; a number keeps its unit on its line."""
    return _BEFORE_UNIT.sub("\u00a0", html.escape(str(text), quote=True))


def config_vectors(spec: ArchSpec) -> tuple[str, ...]:
    """The configuration in one row: blocks, d, L, heads, widths, expansions, FFN, patches, mv2 blocks, stem, head.

    Values of several stages are joined by spaces, first stage first; `-` where a stage lacks the knob.
    """
    texts = [knob_texts(stage) for stage in spec.stages]

    def joined(knob: str) -> str:
        return " ".join(t[knob] for t in texts if knob in t)

    return (
        " ".join(spec.blocks),
        joined("dim"),
        joined("depth"),
        " ".join(t.get("heads", "-") for t, stage in zip(texts, spec.stages, strict=True) if attends(stage)),
        joined("channels"),
        joined("expansion"),
        joined("ffn_ratio"),
        joined("patch"),
        joined("blocks"),
        str(spec.stem.channels),
        spec.head.label,
    )
