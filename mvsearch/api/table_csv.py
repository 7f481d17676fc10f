"""A user's table of networks, read from a CSV file; what every such table has in common."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.files import kind_of
from mvsearch.spec.arch import ArchSpec

MAX_BYTES = 1_000_000
COMMENT = "#"
"""At the beginning of a line that is not read."""


def read_lines(path: Path, content: bytes, hint: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is neither blank nor a comment; the first is the header.

    Args:
        path: of the file, for messages.
        content: of the file.
        hint: what the table looks like.

    Raises:
        InputError: not a CSV file, empty, or too long.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"`{path}` has {len(content):,} bytes, too many for a table of networks", hint)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"`{path}` is not a text file in UTF-8", hint) from None
    if "\0" in text:
        raise InputError(f"`{path}` is not a text file", hint)
    # Blanked, not dropped, so that line numbers stay those of the file.
    text = "".join("\n" if line.lstrip().startswith(COMMENT) else line for line in text.splitlines(keepends=True))
    head = next((line for line in text.splitlines() if line.strip()), "")
    if not head:
        raise InputError(f"`{path}` is empty", hint)
    # Spreadsheets write semicolons or tabs in some languages; a header has no other use for them.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = []
    try:
        for cells in reader:
            if any(c.strip() for c in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise InputError(f"`{path}` is not a CSV file, line {reader.line_num}: {error}", hint) from None
    return lines


def refused(path: Path, faults: Sequence[str], hint: str) -> InputError:
    """All faults of a file as one error."""
    plural = "fault" if len(faults) == 1 else "faults"
    return InputError(f"{len(faults)} {plural} in `{path}`:\n" + "\n".join(f"  {f}" for f in faults), hint)


def named_cells(line: int, cells: Sequence[str], columns: Sequence[str], faults: list[str]) -> dict[str, str] | None:
    """Column -> value of one line; None, and a fault, where their numbers differ."""
    if len(cells) == len(columns):
        return {c: v.strip() for c, v in zip(columns, cells, strict=True)}
    hint = "; a name that holds commas goes in quotes" if len(cells) > len(columns) else ""
    faults.append(f"line {line}: {len(cells)} values for {len(columns)} columns{hint}")
    return None


def repeated_columns(line: int, columns: Sequence[str]) -> list[str]:
    """A fault per column that is there more than once."""
    return [
        f"line {line}: column `{name}` is there {columns.count(name)} times"
        for name in dict.fromkeys(columns)
        if columns.count(name) > 1
    ]


def read_resolution(text: str, faults: list[str]) -> int | None:
    """Image side in pixels, 256 for an empty cell; None, and a fault, where it is none."""
    from mvsearch.costs import image_size
    from mvsearch.spec.published import DEFAULT_RESOLUTION

    if not text:
        return DEFAULT_RESOLUTION
    try:
        return image_size(int(text))[0]
    except (ValueError, InputError):
        faults.append(f"`resolution` is `{text}`: 32 to 2048 pixels, e.g. `256`")
        return None


def read_spec(name: str, folder: Path, faults: list[str]) -> ArchSpec | None:
    """The network that a cell names; None, and a fault, where there is none. Paths start from `folder`."""
    from mvsearch.api.read import read_network

    if not name:
        faults.append("no `network`")
        return None
    try:
        return read_network(folder / name if kind_of(folder / name) else name)
    except InputError as error:
        faults.append(": ".join(filter(None, (error.message, error.hint))).replace("\n", " "))
        return None


def read_number(column: str, text: str, faults: list[str]) -> float | None:
    """A number as it stands in a cell; None, and a fault, where there is none."""
    try:
        return float(text)
    except ValueError:
        comma = "; write a point, not a comma" if "," in text else ""
        faults.append(f"`{column}` is `{text}`: not a number{comma}")
        return None
