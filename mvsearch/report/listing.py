"""Plain listings for `spaces`, `targets` and `networks`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from mvsearch.report.table import print_renderable


def print_listing(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to stdout; it folds in a narrow terminal and keeps its lines in a pipe."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*row)
    print_renderable(table)
