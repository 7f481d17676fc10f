"""Where costs go as terminal tables of at most 100 columns, of one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mvsearch.report.anatomy import ABOUT, CONSTANT, By, Line, lines
from mvsearch.report.table import MAX_WIDTH
from mvsearch.spec.budget import format_count
from mvsearch.targets.anatomy import Anatomy

BAR_WIDTH = 10
MAX_MODULES = 20
"""Modules in a table; all of them are in the CSV."""
TITLES: dict[By, str] = {
    "stage": "Where it goes, by stage",
    "kind": "Where it goes, by kind of operation",
    "op": "Where it goes, by module and kind of operation",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A share as a bar: blocks in a terminal that has them, `#` in a pipe."""

    share: float

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(BAR_WIDTH, BAR_WIDTH)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        length = self.share * BAR_WIDTH
        if console.is_terminal and not options.ascii_only:
            eighths = round(8 * length)
            yield Text("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip())
        else:
            yield Text("#" * round(length))


@dataclass(frozen=True, slots=True)
class FirstThatFits:
    """The first of these tables that is no wider than the terminal, else the last."""

    tables: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.update(width=10 * MAX_WIDTH)
        fitting = (t for t in self.tables if Measurement.get(console, free, t).maximum <= options.max_width)
        yield next(fitting, self.tables[-1])


def render_breakdown(anatomy: Anatomy, by: By) -> RenderableType:
    """One network: a line per stage, kind or module, with shares of the whole."""
    return Group(Text(f"\n{TITLES[by]}", style="bold"), FirstThatFits(_Breakdown(anatomy, by).tables()))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of numbers.

    Attributes:
        heading: over it.
        field: of `Line`.
        whole: of which the shares are; 0 for none.
        with_share: whether the share stands behind the number.
    """

    heading: str
    field: str
    whole: float
    with_share: bool


@dataclass(frozen=True, slots=True)
class _Breakdown:
    """Leaves out the bars, then what is known of the lines, then the shares, where the terminal is too narrow for them."""

    anatomy: Anatomy
    by: By

    def tables(self) -> list[Table]:
        """The widest first."""
        return [self._table(), self._table(False), self._table(False, False), self._table(False, False, False)]

    def _table(self, with_bars: bool = True, with_about: bool = True, with_shares: bool = True) -> Table:
        found, anatomy, by = lines(self.anatomy, self.by), self.anatomy, self.by
        shown = found[:MAX_MODULES] if by == "op" else found
        columns = self._columns(found, with_shares)
        table = _narrow_table()
        table.add_column({"stage": "part", "kind": "kind", "op": "module"}[by], overflow="fold", no_wrap=by != "op")
        if with_about:
            for heading in ABOUT[by]:
                table.add_column(heading, justify="right" if heading == "ops" else "left", no_wrap=True)
        for i, column in enumerate(columns):
            table.add_column(column.heading, justify="right", no_wrap=True)
            if i == 0 and with_bars:
                table.add_column("")

        def add(key: str, about: Sequence[str], values: Sequence[float | None], largest: float = 0.0) -> None:
            cells: list[RenderableType] = [key, *(about if with_about else ())]
            for i, (column, value) in enumerate(zip(columns, values, strict=True)):
                cells.append(_cell(column, value))
                if i == 0 and with_bars:
                    cells.append(Bar(min(1.0, (value or 0.0) / largest)) if largest else "")
            table.add_row(*cells)

        rows = [(_name(line, by), line.about, [getattr(line, c.field) for c in columns]) for line in shown]
        if rest := found[len(shown) :]:
            left_out = str(sum(int(line.about[-1]) for line in rest))
            rows.append((f"{len(rest)} others", ("", left_out), [sum(getattr(r, c.field) or 0 for r in rest) for c in columns]))
        largest = max(values[0] or 0.0 for _, _, values in rows[: len(shown)])
        for key, about, values in rows:
            add(key, about, values, largest or 1.0)
        if anatomy.constant_ms is not None:
            blanks: list[float | None] = [None] * (len(columns) - 1)
            add(CONSTANT, [""] * len(ABOUT[by]), [anatomy.constant_ms, *blanks], largest or 1.0)
        table.add_section()
        ops = "" if by == "stage" else str(sum(int(line.about[-1]) for line in found))
        add("total", [*("" for _ in ABOUT[by][1:]), ops], [total(anatomy, by, c.field) for c in columns])
        return table

    def _columns(self, found: Sequence[Line], with_shares: bool) -> list[_Column]:
        by, with_share = self.by, with_shares and self.by != "op"
        columns = [
            _Column("MACs", "macs", sum(line.macs for line in found), with_share),
            _Column("params", "params", sum(line.params for line in found), with_share),
        ]
        if self.anatomy.total_ms is not None:
            columns.insert(0, _Column("ms", "ms", self.anatomy.total_ms, with_shares))
        if by != "op":
            columns.append(_Column("peak MB" if by == "stage" else "moved MB", "bytes", 0.0, False))
        return columns


def _narrow_table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="", show_edge=False)


def _name(line: Line, by: By) -> str:
    return line.key.rpartition(" ")[0] if by == "op" else line.key


def _cell(column: _Column, value: float | None) -> str:
    if value is None:
        return ""
    said = number(column.field, value)
    if not column.with_share:
        return said
    return f"{said} {100 * value / column.whole if column.whole else 0:>3.0f} %"


def notes(anatomy: Anatomy, by: By) -> list[str]:
    """What kind of numbers the tables hold."""
    memory = {
        "stage": "Peak: live activations at float16 in a part's hungriest operation; the largest is the whole's.",
        "kind": "Moved: activations read and written at float16, without fusion.",
        "op": "`*` is each of the alike layers.",
    }[by]
    said = [f"Params, MACs and bytes are counted, and exact. {memory}"]
    if anatomy.total_ms is not None:
        said.append(
            "Milliseconds are predicted, and add up to the predicted latency; `constant` is what the runtime takes for any "
            "network, and a family's correction multiplies all lines alike. They are shares of a fit to whole networks: no "
            "single operation was timed."
        )
    else:
        said.append("The target cannot split a latency: it predicts none (yet), or only measures.")
    return said


def total(anatomy: Anatomy, by: By, field: str) -> float:
    """Of a column: the sum of its lines, for peak memory the largest."""
    if field == "ms":
        return anatomy.total_ms or 0.0
    found = lines(anatomy, by)
    if field == "bytes" and by != "kind":
        return max(line.bytes for line in found)
    return float(sum(getattr(line, field) for line in found))


def number(field: str, value: float) -> str:
    """A number of a column, short: `0.34` ms, `1.23` MB, `59.8 M`."""
    if field == "ms":
        return f"{value:.2f}" if value >= 0.01 or not value else f"{value:.3f}"
    return f"{value / 1e6:.2f}" if field == "bytes" else format_count(value)
