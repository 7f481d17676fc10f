"""The winners of several runs side by side, with all their numbers, as a table for the page."""

from __future__ import annotations

from collections.abc import Sequence

from mvsearch.report.compare_data import ComparedRun, Comparison, Group
from mvsearch.report.compare_words import (
    winners_sentence,
)
from mvsearch.report.document import table
from mvsearch.report.words import (
    METRIC_NAMES,
    bare_value,
    common_kind,
    config_vectors,
    escape,
    exact_value,
    flags_of,
    half_width,
    interval_text,
    kind_text,
    level_text,
    probability_text,
)
from mvsearch.spec.record import Evaluation, Measurement

_CONFIG = ("blocks", "d", "L", "heads", "width", "expansion", "FFN", "patch", "mv2 blocks", "stem", "head")
MIXED = ("mixed", "of several kinds")
_COUNTED = ("params", "macs", "flops", "activations", "weight_bytes", "peak_memory")


def winners_section(comparison: Comparison) -> str:
    """A row per run; of a run without a winner its name alone."""
    won = [(g, r) for g, r in comparison.runs if r.winner is not None]
    if not won:
        return "<h2>The winners</h2><p>No run has a winner yet.</p>"
    evaluations = [r.winner.evaluation for _, r in won if r.winner is not None]
    kinds = {m: common_kind(evaluations, m) for m in ("top1", "latency", *_COUNTED)}
    if len(targets := {e.measurements["latency"].target for e in evaluations}) == 1 and kinds["latency"] != "mixed":
        kinds["latency"] = f"{kinds['latency']} on {targets.pop()}"
    else:
        kinds["latency"] = "of several kinds"
    counted = [m for m in _COUNTED if any(m in e.measurements for e in evaluations)]
    heads = [
        ("run", "group, seed"), ("winner", ""), ("top-1, %", kinds["top1"]),
        ("at least", f"{100 * comparison.confidence:.0f} % sure"), ("latency, ms", kinds["latency"]),
        ("P(in budget)", ""), ("P(on front)", "of its run"),
        *((METRIC_NAMES[m], f"{kinds[m]}{', MB' if m in ('weight_bytes', 'peak_memory') else ''}") for m in counted),
        ("nearest published", ""), *((h, "") for h in _CONFIG), ("about its numbers", ""),
    ]  # fmt: skip
    rows = [_winner_row(comparison, g, r, counted, kinds) for g, r in comparison.runs]
    texts = (0, 1, *range(7 + len(counted), len(heads)))
    sentences = "".join(f"<p>{escape(s)}</p>" for g in comparison.groups if (s := winners_sentence(g)))
    levels = "/".join(sorted({level_text(m) for e in evaluations for m in e.measurements.values() if m.level}))
    return f"""<h2>The winners</h2>
{sentences}
<p class="small">Small print under a number: its {escape(levels)} interval, and its kind where kinds differ. Values of several
stages stand in their order, first to last.</p>
{table(heads, rows, "Winners side by side", texts)}"""


def _winner_row(
    comparison: Comparison, group: Group, run: ComparedRun, counted: Sequence[str], kinds: dict[str, str]
) -> list[str]:
    unfinished = "" if run.view.finished else ", not finished"
    name = (
        f"<code>{escape(run.name)}</code><small>{escape(f'{group.letter}, seed {run.view.settings.seed}{unfinished}')}</small>"
    )
    if run.winner is None:
        return [name, "none" if run.view.finished else "none yet", *[""] * (5 + len(counted) + 2 + len(_CONFIG))]
    member = run.winner
    e = member.evaluation
    m = e.measurements
    on_front = member.probability_on_front
    return [
        name, f"<code>{escape(e.arch_id)}</code><small>{escape(e.rung)}, {e.resolution} px</small>",
        _uncertain(m["top1"], kinds), bare_value("top1", m["top1"].quantile(1 - comparison.confidence)),
        _uncertain(m["latency"], kinds), f"{member.probability_in_budget:.2f}",
        "" if on_front is None else escape(probability_text(on_front)),
        *(_exact(e, metric) for metric in counted), f"<code>{escape(member.nearest)}</code>",
        *map(escape, config_vectors(e.spec)), f'<span class="wrap">{escape("; ".join(flags_of(e)))}</span>',
    ]  # fmt: skip


def _exact(evaluation: Evaluation, metric: str) -> str:
    m = evaluation.measurements.get(metric)
    if m is None:
        return ""
    return bare_value(metric, m.value) if metric in ("weight_bytes", "peak_memory") else escape(exact_value(metric, m.value))


def _uncertain(m: Measurement, kinds: dict[str, str]) -> str:
    half = half_width(m)
    interval = f"±{half:.1f}" if half else interval_text(m)
    said = ", ".join(filter(None, (interval, kind_text(m) if kinds[m.metric] in MIXED else "")))
    return f"{escape(bare_value(m.metric, m.value))}<small>{escape(said)}</small>"
