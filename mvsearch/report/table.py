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
NAME_WIDTH = 19
"""Of `0123456789ab winner`, where there is room."""
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
    """Leaves out columns where the terminal is too narrow for all of them, rather than cutting numbers short."""

    view: RunView
    members: tuple[FrontMember, ...]
    rivals: tuple[PublishedPoint, ...]
    kinds: dict[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rivals = sorted(self.rivals, key=lambda p: p.evaluation.measurements["latency"].value)
        rows = [*(_member_row(m, self.view, self.kinds) for m in self.members)]
        published = [_published_row(p, self.view, self.kinds) for p in rivals]
        headings = _headings(self.view, self.kinds)
        shown = _widths(headings, [*rows, *published], options.max_width)
        # One space between the columns, which is the box's own: two leave no room for the blocks.
        table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, header_style="", show_edge=False)
        for key in shown:
            if key in _FOLDING:
                table.add_column(headings[key], width=shown[key], overflow="fold")
            else:
                table.add_column(headings[key], justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(row[key]) for key in shown), style="bold" if row["network"].endswith(" winner") else "")
        if published:
            table.add_section()
            table.add_row("published networks:")
        for row in published:
            table.add_row(*(Text(row[key]) for key in shown), style="dim")
        yield table
        if left_out := [" ".join(headings[key].split()) for key in headings if key not in shown]:
            yield Text(f" Too narrow for: {', '.join(left_out)}; front.csv has all of it.")


_Row = dict[str, str]
_FOLDING = {"network": 12, "blocks": 10}
"""Columns that may fold, and the least width of each: an `arch_id`, and the heading."""
_GIVEN_UP = ("blocks", "macs", "on_front", "params", "in_budget", "lower")
"""Columns in the order in which a narrow terminal does without them."""


def _headings(view: RunView, kinds: dict[str, str]) -> _Row:
    confidence = f"{view.settings.confidence * 100:.0f} %"
    return {
        "network": "\nnetwork",
        "top1": f"top-1 %\n{kinds['top1']}",
        "lower": f"at least\n({confidence})",
        "latency": f"latency ms\n{kinds['latency']}",
        **({"in_budget": "P(in\nbudget)"} if _limits_latency(view) else {}),
        **({"on_front": "P(on\nfront)"} if _knows_doubt(view) else {}),
        "params": f"params\n{kinds['params']}",
        "macs": f"MACs\n{kinds['macs']}",
        "blocks": "blocks of\nstages 3-5",
    }


def _widths(headings: _Row, rows: Sequence[_Row], width: int) -> dict[str, int]:
    """The columns that fit, each with its width."""
    longest = {
        key: max(len(line) for text in (headings[key], *(row[key] for row in rows)) for line in text.split("\n"))
        for key in headings
    }
    shown = {**longest, **_FOLDING}
    for given_up in _GIVEN_UP:
        name = NAME_WIDTH if "blocks" in shown else _FOLDING["network"]
        if sum(shown.values()) - shown["network"] + name + len(shown) - 1 <= width:
            break
        shown.pop(given_up, None)
    room = width - (sum(shown.values()) + len(shown) - 1)
    for key, most in (("network", NAME_WIDTH if "blocks" in shown else longest["network"]), ("blocks", longest["blocks"])):
        if key in shown:
            more = min(max(0, most - shown[key]), max(0, room))
            shown[key] += more
            room -= more
    return shown


def _member_row(member: FrontMember, view: RunView, kinds: dict[str, str]) -> _Row:
    e, p = member.evaluation, member.probability_on_front
    role = " winner" if _is_winner(member, view) else " tied" if member.tied else ""
    return {
        "network": f"{e.arch_id}{role}",
        **_numbers(e, member.lower_top1, kinds),
        "in_budget": f"{member.probability_in_budget:.2f}",
        "on_front": "" if p is None else probability_text(p),
        "blocks": " ".join(e.spec.blocks),
    }


def _published_row(point: PublishedPoint, view: RunView, kinds: dict[str, str]) -> _Row:
    e, said = point.evaluation, point.published_top1
    limits = [b.limit for b in view.settings.budgets if not b.is_counted]
    latency = e.measurements["latency"]
    return {
        "network": point.name.replace("@", "\n@"),
        **_numbers(e, e.measurements["top1"].quantile(1 - view.settings.confidence), kinds),
        "in_budget": f"{min((latency.probability_at_most(limit) for limit in limits), default=1.0):.2f}",
        "on_front": "",
        "blocks": f"authors: {said.value:.1f} %" if said else " ".join(e.spec.blocks),
    }


def _limits_latency(view: RunView) -> bool:
    return any(not b.is_counted for b in view.settings.budgets)


def _knows_doubt(view: RunView) -> bool:
    return any(m.probability_on_front is not None for m in view.front)


def _is_winner(member: FrontMember, view: RunView) -> bool:
    return member.evaluation.arch_id == view.winner


def _numbers(evaluation: Evaluation, lower: float, kinds: dict[str, str]) -> _Row:
    def cell(metric: str) -> str:
        m = evaluation.measurements[metric]
        return short_text(m) + (f" {_mark(m)}" if kinds[metric] == "mixed" else "")

    return {**{metric: cell(metric) for metric in _METRICS}, "lower": bare_value("top1", lower)}


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
