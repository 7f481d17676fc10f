"""Pieces of reports in a terminal: titled tables with plain heads, and notes."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def percent(share: float) -> str:
    """`90 %`."""
    return f"{100 * share:.0f} %"


def note(text: str) -> RenderableType:
    """A paragraph, set in a little."""
    return Padding(Text(text), (0, 1))


def titled(title: str, table: Table) -> RenderableType:
    """A table under its title."""
    return Group(Text(f"\n{title}", style="bold"), table)


def plain_table(*columns: tuple[str, bool]) -> Table:
    """An empty table; columns as (title, whether they hold numbers)."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="", show_edge=False)
    for title, is_number in columns:
        table.add_column(title, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table
