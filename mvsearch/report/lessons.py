"""Lessons in the terminal: a table per observation, then what differs in each pair and what the paper says of it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from mvsearch.report.terminal import note, plain_table, titled
from mvsearch.report.words import bare_value, sentence
from mvsearch.targets.lessons.lesson import RULE, LessonResult, LessonsView, PairResult, Ratio

MAX_KINDS = 5
"""Kinds of operations that are named for a pair."""


def render_lessons(view: LessonsView) -> RenderableType:
    """All lessons of a target."""
    return Group(
        Text(f"\nLatency on {view.target}, {view.kind}: {view.device}, {view.runtime}", style="bold"),
        *(item for number, result in enumerate(view.results, start=1) for item in _lesson(number, result)),
        Text("\nHow to read this", style="bold"),
        *(note(text) for text in notes(view)),
    )


def notes(view: LessonsView) -> list[str]:
    """What the numbers are, and the rule of the verdicts."""
    ratio = view.results[0].pairs[0].ratio
    said = [
        "The ratio is the first network's latency over the second's; parameters and MACs are counted.",
        f"Its interval, at {100 * ratio.level:.0f} %: {ratio.basis}.",
        f"{sentence(RULE[0].upper() + RULE[1:])}",
    ]
    if view.kind == "predicted":
        said.append("Sure means sure to this predictor, to which more operations are never faster.")
    if view.conditions:
        said.append("Conditions: " + ", ".join(f"{name} {value}" for name, value in view.conditions) + ".")
    return said


def _lesson(number: int, result: LessonResult) -> list[RenderableType]:
    lesson = result.lesson
    table = plain_table(
        ("network", False), ("ms", True), ("params", True), ("MACs", True), ("ratio", True), ("verdict", False)
    )  # fmt: skip
    for pair in result.pairs:
        cells = [_cells(pair, i) for i in (0, 1)]
        table.add_row(*cells[0], ratio_text(pair.ratio), pair.verdict)
        table.add_row(*cells[1], "", "")
        table.add_section()
    about = [note(text) for pair in result.pairs for text in pair_notes(pair)]
    return [
        titled(f"{number}. {lesson.name}: {result.verdict}", table),
        note(f"Finding: {lesson.finding} ({lesson.source}; {lesson.certainty})."),
        *about,
    ]


def _cells(result: PairResult, i: int) -> tuple[str, str, str, str]:
    network = (result.pair.first, result.pair.second)[i]
    costs = result.costs[i]
    ms = f"{result.latencies[i].value:.3g}"
    return network.name, ms, bare_value("params", costs.params), bare_value("macs", costs.macs)


def ratio_text(ratio: Ratio) -> str:
    """`1.03 (0.94 to 1.18)`."""
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def pair_notes(result: PairResult) -> list[str]:
    """What differs, what the paper says, why the verdict, and the operations behind the difference."""
    pair = result.pair
    says = f"The paper: {pair.claim.text}. Here: {result.why}." if pair.claim else f"{sentence(result.why.capitalize())}"
    sure = result.ratio.first_slower
    slower = "" if sure is None else f" The first is slower with a probability {probability(sure)}."
    said = [f"{sentence(pair.differs[0].upper() + pair.differs[1:])} {says}{slower}"]
    if kinds := kinds_text(result):
        said.append(f"Operations that differ, first / second: {kinds}.")
    flags = [f"{n.name}: {flag}" for n, m in zip((pair.first, pair.second), result.latencies, strict=True) for flag in m.flags]
    said += [sentence("; ".join(flags))] if flags else []
    return [*said, pair.caveat] if pair.caveat else said


def kinds_text(result: PairResult) -> str:
    """`transpose 4 / 0: +0.042 ms (88 %), ...`: operations that only one has, predicted ms, and its share of the difference.

    Where some kinds make up for others, shares say nothing and are left out.
    """
    texts = []
    adds_up = all(k.share is not None and 0 <= k.share <= 1 for k in result.kinds)
    for k in result.kinds[:MAX_KINDS]:
        ms = "" if k.ms is None else f": {k.ms:+.3f} ms"
        share = f" ({100 * k.share:.0f} %)" if adds_up and k.share is not None else ""
        texts.append(f"{k.kind} {k.first} / {k.second}{ms}{share}")
    left = len(result.kinds) - MAX_KINDS
    return ", ".join([*texts, *([f"{left} more kinds"] if left > 0 else [])])


def probability(p: float) -> str:
    """`of 0.91`, or `above 0.99`."""
    return "above 0.99" if p > 0.99 else "below 0.01" if p < 0.01 else f"of {p:.2f}"
