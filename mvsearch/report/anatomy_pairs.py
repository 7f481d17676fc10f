"""Several networks side by side: where their costs go, and where their configurations differ."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.report.anatomy import CONSTANT, MEMORY, By, Line, changes, paired
from mvsearch.report.anatomy_table import TITLES, FirstThatFits, number, total
from mvsearch.report.terminal import note, plain_table, titled
from mvsearch.report.words import plural
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.anatomy import Anatomy


def render_side_by_side(names: Sequence[str], anatomies: Sequence[Anatomy], by: By) -> RenderableType:
    """Several networks: a line per stage or kind, a column per network, and for two of them the difference."""
    rows = paired(anatomies, by)
    quantities = [("MACs", "macs"), ("params", "params"), (f"{MEMORY[by][1]}, MB", "bytes")]
    if all(a.total_ms is not None for a in anatomies):
        quantities.insert(0, ("ms", "ms"))
    if len(names) == 2:
        title = Text(f"\n{TITLES[by]}: A {names[0]}, B {names[1]}", style="bold")
        return Group(title, FirstThatFits([_pair_table(rows, anatomies, by, quantities[:n]) for n in (3, 2, 1)]))
    letters = letters_of(len(names))
    legend = ", ".join(f"{letter} {name}" for letter, name in zip(letters, names, strict=True))
    tables = []
    for heading, field in quantities[:3]:
        table = plain_table(("", False), *((letter, True) for letter in letters))
        for key, found in rows:
            table.add_row(key, *(_value(field, line) for line in found))
        if field == "ms":
            table.add_row(CONSTANT, *(number("ms", a.constant_ms or 0.0) for a in anatomies))
        table.add_section()
        table.add_row("total", *(number(field, total(a, by, field)) for a in anatomies))
        tables.append(titled(heading, table))
    return Group(Text(f"\n{TITLES[by]}: {legend}", style="bold"), *tables)


def letters_of(number: int) -> str:
    """`ABC`: how tables call networks whose names are long."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:number]


def _pair_table(
    rows: Sequence[tuple[str, list[Line | None]]], anatomies: Sequence[Anatomy], by: By, quantities: Sequence[tuple[str, str]]
) -> Table:
    columns = [(column, True) for heading, _ in quantities for column in (f"{heading}\nA", "\nB", "\nB - A")]
    table = plain_table(("", False), *columns)
    for key, found in rows:
        cells = []
        for _, field in quantities:
            cells += [_value(field, line) for line in found]
            cells.append(_difference(field, *(getattr(line, field) if line else 0 for line in found)))
        table.add_row(key, *cells)
    if quantities[0][1] == "ms":
        constants = [a.constant_ms or 0.0 for a in anatomies]
        table.add_row(CONSTANT, *(number("ms", c) for c in constants), _difference("ms", *constants))
    table.add_section()
    cells = []
    for _, field in quantities:
        totals = [total(a, by, field) for a in anatomies]
        cells += [*(number(field, t) for t in totals), _difference(field, *totals)]
    table.add_row("total", *cells)
    return table


def _value(field: str, line: Line | None) -> str:
    return "-" if line is None else number(field, getattr(line, field) or 0)


def _difference(field: str, one: float, other: float) -> str:
    gap = other - one
    if not gap:
        return "="
    if field == "ms" and abs(gap) < 0.0005:
        return "0.00"
    return f"{'+' if gap > 0 else '-'}{number(field, abs(gap))}"


def render_changes(names: Sequence[str], specs: Sequence[ArchSpec]) -> RenderableType:
    """Where the others' configurations differ from the first one's, in words."""
    said: list[RenderableType] = []
    letters = letters_of(len(names))
    for letter, spec in list(zip(letters, specs, strict=True))[1:]:
        found = changes(specs[0], spec)
        by_part: dict[str, list[str]] = {}
        for c in found:
            by_part.setdefault(c.part, []).append(f"{c.knob} {c.values[0]} -> {c.values[1]}")
        said.append(Text(f"\nConfiguration, A -> {letter}: {plural(len(found), 'difference')}", style="bold"))
        said += [note(f"{part}: {', '.join(knobs)}") for part, knobs in by_part.items()]
    return Group(*said)
