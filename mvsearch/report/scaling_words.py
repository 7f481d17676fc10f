"""What a scaled network's page says: one wording for page, picture and terminal."""

from __future__ import annotations

from mvsearch.report.words import bare_value, plural, probability_text
from mvsearch.scaling.view import CompoundFit, CompoundOption, Family, Law, Marginal, Member, Rule, ScalingView, Uncertain
from mvsearch.spec.budget import format_count, format_value

RULE_NAMES: dict[Rule, str] = {"width": "width", "depth": "depth", "resolution": "resolution", "compound": "compound"}
INPUT_NAMES = {"params": "parameters", "macs": "MACs", "activations": "activations", "resolution": "resolution"}
OUTPUT_NAMES = {"error": "error", "latency": "latency"}
SIZE_AXES = ("latency", "params", "macs", "activations")
AXIS_SCALE = {"latency": 1.0, "params": 1e-6, "macs": 1e-6, "activations": 1e-6, "resolution": 1.0}
"""From a measurement's unit to that of an axis."""
SPREAD_MEANING = (
    "A law describes the networks that it was fitted on. Its inner band holds the law itself, its outer lines one more network "
    "of the same family, each as often as its level says, if the errors are as they were among the fitted ones; beyond "
    "these it is extrapolated."
)


def axis_title(view: ScalingView, axis: str) -> str:
    """Title of a cost's axis, with kind and unit."""
    return {
        "latency": f"predicted latency on {view.target}, ms",
        "params": "counted parameters, millions",
        "macs": "counted multiply-accumulates, millions",
        "activations": "counted activations, millions",
        "resolution": "side of the image, pixels",
    }[axis]


def title_of(view: ScalingView) -> str:
    """What the page is about."""
    return f"{view.name}, scaled"


def size_text(member: Member) -> str:
    """In what a member differs from the base: `width 1.25, 288 px`; `the base`."""
    if member.is_base:
        return "the base"
    parts = [f"{name} {value:.3g}" for name, value in (("width", member.width), ("depth", member.depth)) if value != 1]
    if member.resolution != 1:
        parts.append(f"{member.evaluation.resolution} px")
    return ", ".join(parts) or "as the base"


def uncertain_text(found: Uncertain, digits: int = 2) -> str:
    """`1.52 (0.90 to 2.14)`."""
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def exponent_text(found: Uncertain) -> str:
    """`-0.36 ±0.10`; the ends where the value is not their middle."""
    half = (found.high - found.low) / 2
    if abs((found.high + found.low) / 2 - found.value) <= 0.05 * (found.high - found.low):
        return f"{found.value:.2f} ±{half:.2f}" if half >= 0.005 else f"{found.value:.3f} ±{half:.3f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def marginal_text(marginal: Marginal | None) -> str:
    """Points per ms with the interval; says so where no latency is added."""
    if marginal is None:
        return ""
    if marginal.points_per_ms is None:
        return "no slower"
    found = marginal.points_per_ms
    widest = max(abs(found.low), abs(found.high))
    return uncertain_text(found, 2 if widest < 10 else 1 if widest < 100 else 0)


def knee_sentence(family: Family) -> str:
    """What was found of where a family stops paying; empty where nothing could be judged."""
    if family.knee is None:
        return ""
    return f"By {RULE_NAMES[family.rule]}: {family.knee.text[0].lower()}{family.knee.text[1:]}"


def compound_sentences(fit: CompoundFit) -> list[str]:
    """The best exponents, how well they are determined, and how they compare at equal cost."""
    o = fit.found
    said = [
        f"At {fit.budget_text} the best exponents found are {o.alpha:.2f} for depth, {o.beta:.2f} for width and {o.gamma:.2f} "
        f"for resolution per unit of phi, which doubles the {'latency' if fit.metric == 'latency' else 'MACs'}: top-1 is at "
        f"least {o.lower_top1:.1f} %. {plural(fit.tried, 'candidate')} were evaluated."
    ]
    names = {"alpha": "depth", "beta": "width", "gamma": "resolution"}
    wide = [f"{names[key]} {low:.2f} to {high:.2f}" for key, low, high in fit.ranges if high > low]
    if wide:
        said.append(f"The estimate cannot tell these exponents from others: {', '.join(wide)} do as well.")
    ties = [x.label for x in fit.others if x.tied]
    if ties:
        said.append(f"Not told apart from it at the same cost: {', '.join(ties)}.")
    worse = [f"{x.label} (with probability {probability_text(x.probability_worse or 0)})" for x in fit.others if not x.tied]
    if worse:
        said.append(f"Worse at the same cost: {', '.join(worse)}.")
    said += [f"Missing: {label} {why}." for label, why in fit.missing]
    return said


def option_size(option: CompoundOption) -> str:
    """The option's network in words."""
    m = option.member
    return f"depth {m.depth:.3g}, width {m.width:.3g}, {m.evaluation.resolution} px"


def option_note(option: CompoundOption, fit: CompoundFit) -> str:
    """How an option stands to what was found; empty for that itself."""
    if option is fit.found:
        return ""
    one, other = option.member.evaluation, fit.found.member.evaluation
    if (one.arch_id, one.resolution) == (other.arch_id, other.resolution):
        return "the same network"
    return "not told apart from it" if option.tied else ""


def law_name(law: Law) -> str:
    """`error against parameters`."""
    return f"{OUTPUT_NAMES[law.y]} against {INPUT_NAMES[law.x]}"


def formula(law: Law) -> str:
    """The law with its numbers, e.g. `21.9 x (params / 4.90 M)^-0.36 + 9.10`."""
    scale = f"{law.x_scale:.0f} px" if law.x == "resolution" else format_count(law.x_scale)
    offset = f" + {law.offset:.3g}" if law.offset else ""
    return f"{law.coefficient:.3g} x ({INPUT_NAMES[law.x]} / {scale})^{law.exponent.value:.2f}{offset}"


def cost_text(metric: str, value: float) -> str:
    """A cost with its unit: `906 M MACs`, `3.02 ms`."""
    return (
        format_value("latency", value)
        if metric == "latency"
        else f"{format_count(value)} {'MACs' if metric == 'macs' else metric}"
    )


def numbers_of(member: Member) -> list[str]:
    """Top-1, latency and counts with their kinds, a line each."""
    m = member.evaluation.measurements
    top1, latency = m["top1"], m["latency"]
    lines = [f"top-1 {bare_value('top1', top1.value)} % ({_ends('top1', top1.low, top1.high)}), {top1.kind}"]
    lines.append(
        f"latency {bare_value('latency', latency.value)} ms ({_ends('latency', latency.low, latency.high)}), {latency.kind}"
    )
    lines.append(f"{m['params'].value:,.0f} parameters, counted")
    lines.append(f"{m['macs'].value:,.0f} MACs, counted")
    return lines


def _ends(metric: str, low: float | None, high: float | None) -> str:
    return "exact" if low is None or high is None else f"{bare_value(metric, low)} to {bare_value(metric, high)}"
