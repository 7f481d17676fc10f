"""The front as a terminal table of at most 100 columns that needs no colour to be understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mvsearch.report.select import MAX_FRONT_ROWS, shown_members
from mvsearch.report.words import (
    ON_FRONT_MEANING,
    bare_value,
    common_kind,
    full_text,
    level_text,
    on_front_text,
    plural,
    probability_text,
    runner_up_text,
    sentence,
    short_text,
)
from mvsearch.spec.record import Evaluation, Measurement
from mvsearch.spec.run import FrontMember, PublishedPoint, RunView

MAX_WIDTH = 100
_METRICS = ("top1", "latency", "params", "macs")


def print_front(view: RunView, console: Console | None = None) -> None:
    """Print the front; in a pipe plain text, with `+-` for `±` where the encoding lacks it."""
    print_renderable(render_front(view), console)


def print_renderable(renderable: RenderableType, console: Console | None = None) -> None:
    """Print at most 100 columns wide; never fails on a character that the stream cannot write."""
    console = console or Console()
    before, is_unicode = console.width, console.encoding.lower().startswith("utf")
    console.width = min(MAX_WIDTH, before) if console.is_terminal else MAX_WIDTH
    try:
        if is_unicode:
            console.print(renderable)
            return
        with console.capture() as capture:
            console.print(renderable)
    finally:
        console.width = before
    text = capture.get().replace("±", "+-").replace("─", "-")
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def render_front(view: RunView, limit: int = MAX_FRONT_ROWS) -> RenderableType:
    """Front, published networks that keep the same budget, and what kind every column is.

    Args:
        view: the run.
        limit: front rows at most; the winner is always among them.
    """
    budget = ", ".join(b.text for b in view.settings.budgets)
    title = f"Front within {budget} on {view.settings.target} at {view.settings.resolution} px"
    if not view.front:
        return Text(f"{title}: empty so far ({plural(view.counts.evaluated, 'candidate')} evaluated)")
    rivals = tuple(p for p in view.published if p.feasible)
    evaluations = [m.evaluation for m in view.front] + [p.evaluation for p in rivals]
    kinds = {metric: common_kind(evaluations, metric) for metric in _METRICS}
    members = shown_members(view, limit)
    table = _FrontTable(view, members, rivals, kinds)
    notes = _notes(view, len(members), rivals, kinds)
    return Group(Text(title, style="bold"), table, *(Padding(Text(n), (0, 1)) for n in notes))


@dataclass(frozen=True, slots=True)
class _FrontTable:
    """Leaves out the last column, the blocks, where the terminal is too narrow for it."""

    view: RunView
    members: tuple[FrontMember, ...]
    rivals: tuple[PublishedPoint, ...]
    kinds: dict[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, kinds, with_probability = self.view, self.kinds, _limits_latency(self.view)
        with_front = _knows_doubt(self.view)
        with_blocks = options.max_width >= MAX_WIDTH - 2
        table = _table(view, kinds, (with_probability, with_front), with_blocks)
        for member in self.members:
            role = "winner" if _is_winner(member, view) else "tied" if member.tied else ""
            cells = _number_cells(member.evaluation, member.lower_top1, kinds)
            if with_probability:
                cells.insert(3, f"{member.probability_in_budget:.2f}")
            if with_front:
                p = member.probability_on_front
                cells.insert(3 + with_probability, "" if p is None else probability_text(p))
            if with_blocks:
                cells.append(" ".join(member.evaluation.spec.blocks))
            table.add_row(f"{member.evaluation.arch_id} {role}", *cells, style="bold" if role == "winner" else "")
        if self.rivals:
            table.add_section()
            table.add_row("published networks:")
        for point in sorted(self.rivals, key=lambda p: p.evaluation.measurements["latency"].value):
            table.add_row(point.name.replace("@", "\n@"), *_published_cells(point, view, kinds, with_blocks), style="dim")
        yield table


def _table(view: RunView, kinds: dict[str, str], with_probability: tuple[bool, bool], with_blocks: bool) -> Table:
    confidence = f"{view.settings.confidence * 100:.0f} %"
    # One space between the columns, which is the box's own: two leave no room for the blocks.
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, header_style="", show_edge=False)
    table.add_column("\nnetwork", min_width=19 if with_blocks else 12, overflow="fold")
    table.add_column(f"top-1 %\n{kinds['top1']}", justify="right", no_wrap=True)
    table.add_column(f"at least\n({confidence})", justify="right", no_wrap=True)
    table.add_column(f"latency ms\n{kinds['latency']}", justify="right", no_wrap=True)
    for shown, title in zip(with_probability, ("P(in\nbudget)", "P(on\nfront)"), strict=True):
        if shown:
            table.add_column(title, justify="right", no_wrap=True)
    table.add_column(f"params\n{kinds['params']}", justify="right", no_wrap=True)
    table.add_column(f"MACs\n{kinds['macs']}", justify="right", no_wrap=True)
    if with_blocks:
        table.add_column("blocks of\nstages 3-5", overflow="fold")
    return table


def _limits_latency(view: RunView) -> bool:
    return any(not b.is_counted for b in view.settings.budgets)


def _knows_doubt(view: RunView) -> bool:
    return any(m.probability_on_front is not None for m in view.front)


def _is_winner(member: FrontMember, view: RunView) -> bool:
    return member.evaluation.arch_id == view.winner


def _published_cells(point: PublishedPoint, view: RunView, kinds: dict[str, str], with_blocks: bool) -> list[str]:
    lower = point.evaluation.measurements["top1"].quantile(1 - view.settings.confidence)
    cells = _number_cells(point.evaluation, lower, kinds)
    limits = [b.limit for b in view.settings.budgets if not b.is_counted]
    if limits:
        latency = point.evaluation.measurements["latency"]
        cells.insert(3, f"{min(latency.probability_at_most(limit) for limit in limits):.2f}")
    if _knows_doubt(view):
        cells.insert(3 + bool(limits), "")
    if with_blocks:
        said = point.published_top1
        cells.append(f"authors: {said.value:.1f} %" if said else " ".join(point.evaluation.spec.blocks))
    return cells


def _number_cells(evaluation: Evaluation, lower: float, kinds: dict[str, str]) -> list[str]:
    def cell(metric: str) -> str:
        m = evaluation.measurements[metric]
        return short_text(m) + (f" {_mark(m)}" if kinds[metric] == "mixed" else "")

    return [cell("top1"), bare_value("top1", lower), cell("latency"), cell("params"), cell("macs")]


def _mark(m: Measurement) -> str:
    return {"counted": "c", "predicted": "p", "estimated": "e", "measured": "m", "published": "a"}[m.kind]


def _notes(view: RunView, shown: int, rivals: tuple[PublishedPoint, ...], kinds: dict[str, str]) -> list[str]:
    shown_here = [m.evaluation for m in view.front] + [p.evaluation for p in rivals]
    notes = []
    if len(view.front) > shown:
        notes.append(f"{shown} of {len(view.front)} front members, spread along the front; all of them are in front.csv.")
    winner = view.winning_member
    if winner:
        numbers = winner.evaluation.measurements
        notes.append(
            f"winner: {winner.evaluation.arch_id}, top-1 {full_text(numbers['top1'])}; "
            f"latency {full_text(numbers['latency'])}; "
            f"nearest published network: {winner.nearest}."
        )
        sure = [on_front_text(winner), f"runner-up: {runner_up_text(view.runner_up)}" if view.runner_up else ""]
        if said := "; ".join(filter(None, sure)):
            notes.append(sentence(said))
    ties = sum(m.tied and not _is_winner(m, view) for m in view.front)
    if ties:
        notes.append(
            f"tied: {plural(ties, 'member')} in one tie with the winner, which the estimates cannot tell apart from the most "
            "accurate one; the fastest of a tie wins."
        )
    notes.append(
        f"Kinds: params and MACs {kinds['params']} (exact); top-1 {_kinds_note(shown_here, 'top1')}; "
        f"latency for {view.settings.target} {_kinds_note(shown_here, 'latency')}. "
        + ("Letters: c counted, p predicted, e estimated, m measured. " if "mixed" in kinds.values() else "")
        + f"`at least`: lower bound of top-1, {view.settings.confidence * 100:.0f} % confidence; the search maximises it."
    )
    if _knows_doubt(view):
        notes.append(f"`P(on front)`: {ON_FRONT_MEANING}.")
    notes.append(view.target_note)
    if rivals:
        notes.append(
            "published networks: those that keep the same budget, for reference, judged by the same models; "
            "`authors`: the top-1 that their authors report."
        )
    if view.struck:
        notes.append(
            f"{plural(len(view.struck), 'front member was', 'front members were')} struck off; reasons are in report.html."
        )
    return notes


def _kinds_note(evaluations: Sequence[Evaluation], metric: str) -> str:
    """Every kind that occurs with the level of its interval, e.g. `measured with 95 % interval, predicted with ...`."""
    found = dict.fromkeys((m.kind, level_text(m)) for e in evaluations if (m := e.measurements.get(metric)))
    return ", ".join(f"{kind} with {level} interval" if level else kind for kind, level in found)
