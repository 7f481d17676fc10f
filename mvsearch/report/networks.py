"""Several networks side by side in the terminal: their numbers, where these come from, and what differs in them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.accuracy import probability_better
from mvsearch.report.anatomy import By
from mvsearch.report.anatomy_pairs import letters_of, render_changes, render_side_by_side
from mvsearch.report.anatomy_table import FirstThatFits, notes
from mvsearch.report.terminal import note, plain_table
from mvsearch.report.words import bare_value, common_kind, level_text, probability_text, short_text
from mvsearch.spec.record import Evaluation
from mvsearch.targets.anatomy import Anatomy

NAME_WIDTH = 20
METRICS = (
    ("top1", "top-1 %"), ("latency", "latency ms"), ("params", "params"), ("macs", "MACs"),
    ("activations", "activ."), ("weight_bytes", "weights\nMB"), ("peak_memory", "peak\nMB"),
)  # fmt: skip


def render_networks(
    names: Sequence[str], evaluations: Sequence[Evaluation], anatomies: Sequence[Anatomy | None], by: By
) -> RenderableType:
    """Their numbers with the difference of two, their configurations, and where the costs go.

    Args:
        names: as the user gave them.
        evaluations: in the same order, at one resolution and for one target.
        anatomies: None for a network that could not be estimated.
        by: `stage` or `kind`.
    """
    sections: list[RenderableType] = [_numbers(names, evaluations), *(note(n) for n in _number_notes(names, evaluations))]
    sections.append(render_changes(names, [e.spec for e in evaluations]))
    known = [a for a in anatomies if a is not None]
    if len(known) == len(names):
        sections += [render_side_by_side(names, known, by), *(note(n) for n in notes(known[0], by))]
    return Group(*sections)


def _numbers(names: Sequence[str], evaluations: Sequence[Evaluation]) -> RenderableType:
    return FirstThatFits([_table(names, list(evaluations), METRICS[:n]) for n in range(len(METRICS), 1, -1)])


def _table(names: Sequence[str], evaluations: list[Evaluation], metrics: Sequence[tuple[str, str]]) -> Table:
    kinds = [common_kind(evaluations, metric) for metric, _ in metrics]
    headings = [
        (f"{title}\n{kind}" if "\n" not in title else title, True) for (_, title), kind in zip(metrics, kinds, strict=True)
    ]
    table = plain_table((f"at {evaluations[0].resolution} px", False), *headings)
    table.columns[0].max_width = NAME_WIDTH
    for letter, name, e in zip(letters_of(len(names)), names, evaluations, strict=True):
        cells = [short_text(e.measurements[metric]) if metric in e.measurements else "" for metric, _ in metrics]
        table.add_row(Text(f"{letter} {name}"), *cells)
    if len(names) == 2 and all(metric in e.measurements for e in evaluations for metric, _ in metrics):
        table.add_section()
        table.add_row("B - A", *(_gap(metric, *(e.measurements[metric].value for e in evaluations)) for metric, _ in metrics))
    return table


def _gap(metric: str, one: float, other: float) -> str:
    gap = other - one
    return "=" if not gap else f"{'+' if gap > 0 else '-'}{bare_value(metric, abs(gap))}"


def _number_notes(names: Sequence[str], evaluations: Sequence[Evaluation]) -> list[str]:
    said = []
    tops = [e.measurements.get("top1") for e in evaluations]
    latencies = [m for e in evaluations if (m := e.measurements.get("latency"))]
    levels = {level_text(m) for e in evaluations for m in e.measurements.values() if m.level}
    if levels:
        said.append(f"Intervals at {', '.join(sorted(levels))}.")
    if latencies:
        said.append(f"Latency {latencies[0].kind} on {latencies[0].target}: {latencies[0].protocol}.")
    if len(names) == 2 and tops[0] and tops[1] and {tops[0].kind, tops[1].kind} == {"estimated"}:
        p = probability_text(probability_better(tops[1], tops[0]))
        said.append(f"As far as the estimates go, B is the more accurate one with probability {p}.")
    for letter, e in zip(letters_of(len(names)), evaluations, strict=True):
        flags = sorted({flag for m in e.measurements.values() for flag in m.flags})
        said += [f"{letter}: {', '.join(flags)}."] if flags else []
        said += [f"{letter} failed ({e.failure.kind}): {e.failure.message}"] if e.failure else []
    return said
