"""What the trainings brought, as tables for the terminal; the words that the page uses too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mvsearch.accuracy.marriage import Marriage, Married, Orders, RungScale
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.report.training_figures import sorted_networks
from mvsearch.report.words import plural, short_text

MAX_ROWS = 16


def render_training(
    marriage: Marriage, records: Sequence[TrainingRecord], names: Mapping[str, str], limit: int = MAX_ROWS
) -> RenderableType:
    """Whether training is believed and why, what it did to every network's top-1, and what each rung is worth.

    Args:
        marriage: estimates and trainings.
        records: all trainings.
        names: arch_id -> what the network is called; one that is missing is called by its arch_id.
        limit: networks shown at most, best first.
    """
    shown = [n for n in sorted_networks(marriage) if n.losses or n.failures]
    parts: list[RenderableType] = [Text("What training says", style="bold"), _note(marriage.sentence)]
    if shown:
        parts += [_networks(shown[:limit], marriage, names), _note(count_text(records))]
        if len(shown) > limit:
            parts.append(_note(f"{limit} of {len(shown)} networks, best first; all of them are in training.csv."))
        parts += [Text("\nThe rungs", style="bold"), _rungs(marriage)]
        parts += [_note(f"rung {s.rung}: {s.why}.") for s in marriage.scales]
    parts += [_note(line) for line in (*validation_lines(marriage), *residual_lines(marriage))]
    failures = [(n, f) for n in shown for f in n.failures]
    if failures:
        parts.append(Text("\nFailed trainings", style="bold"))
        parts += [_note(f"{names.get(n.arch_id, n.arch_id)}, {f}") for n, f in failures]
    return Group(*parts)


def count_text(records: Sequence[TrainingRecord]) -> str:
    """How many trainings, of what, on what."""
    if not records:
        return "Nothing was trained."
    ids, failed = {r.arch_id for r in records}, sum(r.failure is not None for r in records)
    if failed == len(records):
        every = "it" if failed == 1 else "all of them"
        return f"{plural(len(records), 'training')} of {plural(len(ids), 'network')}, and {every} failed."
    devices = ", ".join(sorted({r.device for r in records if r.device}))
    seconds = sum(r.seconds for r in records)
    time = f"{seconds / 3600:.1f} hours" if seconds >= 1800 else f"{seconds:.0f} seconds"
    return (
        f"{plural(len(records), 'training')} of {plural(len(ids), 'network')}, {failed or 'none'} failed, "
        f"{time} in all on {devices}. Losses are of averaged weights on {max(r.num_val for r in records):,} "
        "validation images, lower is better. Top-1 is ImageNet's, estimated."
    )


def validation_lines(marriage: Marriage) -> list[str]:
    """What trained published networks say of training, in sentences; none if none was trained."""
    v = marriage.validation
    if v.rung is None:
        return []
    lines = [
        f"Published networks trained at rung {v.rung}: {v.anchors}. Of {plural(v.pairs, 'pair')} of about equal size, training "
        f"orders {v.right} as published, the estimate, fitted without the networks of that size, {v.estimator_right}."
    ]
    if v.kendall is not None and v.estimator_kendall is not None:
        interval = "" if v.kendall_low is None else f" (90 %: {v.kendall_low:.2f} to {v.kendall_high:.2f})"
        lines.append(
            f"Kendall against published top-1: training {v.kendall:.2f}{interval}, the estimate {v.estimator_kendall:.2f}."
        )
    if v.advantage_low is not None and v.advantage_high is not None:
        lines.append(
            f"Training's advantage in pairs, 90 % interval over anchors drawn again: {100 * v.advantage_low:+.0f} to "
            f"{100 * v.advantage_high:+.0f} % of the pairs."
        )
    return lines


def residual_lines(marriage: Marriage) -> list[str]:
    """What trained networks say of untrained ones, in a sentence; none if too few were trained."""
    model = marriage.residuals
    if model is None:
        return []
    used = model.used and marriage.used
    note = "" if used or not model.used else " But training is not used."
    return [f"Other networks, by their knobs, from {model.n} trained candidates at rung {model.rung}: {model.why}.{note}"]


def order_text(order: Orders) -> str:
    """`0.84 (n = 12)`; empty where there are too few."""
    return "" if order.kendall is None else f"{order.kendall:.2f} (n = {order.n})"


def slope_text(scale: RungScale) -> str:
    """Points per 0.1 nats: `-2.1 ±0.3`."""
    return "" if scale.slope is None or scale.slope_se is None else f"{scale.slope / 10:.1f} ±{scale.slope_se / 10:.1f}"


def next_rung(marriage: Marriage, rung: int) -> Orders:
    """A rung's order against the next one's."""
    return next((o.order for o in marriage.rung_orders if o.lower == rung), Orders(None, 0))


def loss_text(network: Married) -> str:
    """`0.913 ±0.015`, of the highest rung; empty if no training ended well."""
    return f"{network.loss.loss:.3f} ±{network.loss.se:.3f}" if network.loss else ""


def flag_text(network: Married) -> str:
    """What the reader must know of the trainings, in short."""
    flags = [f for f in network.after.flags if f.startswith("training")]
    return "; ".join(f.removeprefix("training ") for f in flags)


def _networks(shown: Sequence[Married], marriage: Marriage, names: Mapping[str, str]) -> Table:
    table = _table(
        ("network", False), ("rung", True), ("seeds", True), ("loss, nats\n± std. error", True),
        ("training\nimplies", True), *((("before", True), ("after", True)) if marriage.used else (("estimate", True),)),
        ("published", True), ("training", False),
    )  # fmt: skip
    for n in shown:
        table.add_row(
            names.get(n.arch_id, n.arch_id), "" if n.rung is None else str(n.rung), str(n.loss.seeds) if n.loss else "",
            loss_text(n), f"{n.trained.top1:.1f} ±{1.645 * n.trained.sigma:.1f}" if n.trained else "",
            short_text(n.before), *([short_text(n.after)] if marriage.used else []),
            "" if n.published is None else f"{n.published:.1f}", flag_text(n),
        )  # fmt: skip
    return table


def _rungs(marriage: Marriage) -> Table:
    table = _table(
        ("rung", True), ("steps", True), ("candi-\ndates", True), ("pub-\nlished", True), ("points per\n0.1 nats ±se", True),
        ("seed SD,\nnats", True), ("Kendall with\nestimate", True), ("with the\nnext rung", True), ("seed\nto seed", True),
    )  # fmt: skip
    for s in marriage.scales:
        table.add_row(
            str(s.rung), f"{s.steps:,}", str(s.candidates), str(s.anchors), slope_text(s), seed_text(s),
            order_text(s.with_estimate), order_text(next_rung(marriage, s.rung)), order_text(s.between_seeds),
        )  # fmt: skip
    return table


def seed_text(scale: RungScale) -> str:
    """`0.021`, or `0.030 assumed` where nothing was trained twice."""
    return f"{scale.seed_sd:.3f}" + ("" if scale.replicates else "\nassumed")


def _note(text: str) -> RenderableType:
    return Padding(Text(text), (0, 1))


def _table(*columns: tuple[str, bool]) -> Table:
    """Columns as (title, whether they hold numbers)."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="", show_edge=False)
    for title, is_number in columns:
        table.add_column(title, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table
