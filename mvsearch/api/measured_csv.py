"""Anybody's own measurements, read from a CSV file; all that is wrong with it is said at once."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import InputError

if TYPE_CHECKING:
    from mvsearch.costs import Part
    from mvsearch.targets.predictor.latency_model import LatencyModel

COLUMNS = ("network", "ms", "resolution", "protocol", "note")
REQUIRED = ("network", "ms")
OTHER_UNITS = {
    **dict.fromkeys(("s", "sec", "seconds", "latency_s", "time_s"), "seconds"),
    **dict.fromkeys(("us", "µs", "μs", "usec", "microseconds", "latency_us"), "microseconds"),
    **dict.fromkeys(("ns", "nanoseconds", "latency_ns"), "nanoseconds"),
}
FAR_OFF = 20.0
"""A value off its prediction by more than this is in another unit, or of another network: even an operation
that leaves the Neural Engine costs 5 to 15 times."""
MAX_BYTES = 1_000_000
HINT = (
    "a header and one line per network: `network,ms`, perhaps `resolution`, `protocol`, `note`; `network` is a published name, "
    "an architecture's JSON file or a library entry's folder, `ms` milliseconds for one image"
)


@dataclass(frozen=True)
class MeasuredNetwork:
    """One line of the file.

    Attributes:
        line: number, the header being line 1.
        network: as written.
        arch_id: of the architecture.
        resolution: side of the image in pixels.
        ms: latency of one image.
        parts: the network's operations.
        predicted_ms: by the shipped predictor.
    """

    line: int
    network: str
    arch_id: str
    resolution: int
    ms: float
    parts: tuple[Part, ...]
    predicted_ms: float


def read_measured_csv(path: Path, content: bytes, model: LatencyModel, target: str) -> tuple[MeasuredNetwork, ...]:
    """The measurements in a file.

    Args:
        path: of the file, for messages, and the folder that paths in it start from.
        content: of the file.
        model: shipped predictor, that values are held against.
        target: its name.

    Raises:
        InputError: every fault with its line number.
    """
    lines = _lines(path, content)
    header_line, header = lines[0]
    columns = [c.strip().lower() for c in header]
    faults = _header_faults(header_line, columns)
    if faults:
        raise _refused(path, faults)
    found: list[MeasuredNetwork] = []
    seen: dict[tuple[str, int], int] = {}
    protocols: dict[str, int] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            hint = "; a name that holds commas goes in quotes" if len(cells) > len(columns) else ""
            faults.append(f"line {line}: {len(cells)} values for {len(columns)} columns{hint}")
            continue
        cell = {c: v.strip() for c, v in zip(columns, cells, strict=True)}
        row, row_faults = _row(line, cell, path.parent, model, target)
        faults += [f"line {line}: {f}" for f in row_faults]
        if row is not None:
            key = row.arch_id, row.resolution
            if key in seen:
                faults.append(f"line {line}: `{row.network}` at {row.resolution} pixels is in line {seen[key]} already")
            seen.setdefault(key, line)
            found.append(row)
        protocols.setdefault(cell.get("protocol", ""), line)
    if len(protocols) > 1:
        names = ", ".join(f"`{p}` (line {n})" for p, n in protocols.items())
        faults.append(f"{len(protocols)} protocols in one file: {names}; latencies of two protocols are never mixed")
    if not faults and not found:
        faults.append(f"line {header_line}: no measurement follows the header")
    if faults:
        raise _refused(path, faults)
    return tuple(found)


def _refused(path: Path, faults: list[str]) -> InputError:
    plural = "fault" if len(faults) == 1 else "faults"
    return InputError(f"{len(faults)} {plural} in `{path}`:\n" + "\n".join(f"  {f}" for f in faults), HINT)


def _lines(path: Path, content: bytes) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank."""
    if len(content) > MAX_BYTES:
        raise InputError(f"`{path}` has {len(content):,} bytes, too many for a table of measurements", HINT)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"`{path}` is not a text file in UTF-8", HINT) from None
    if "\0" in text:
        raise InputError(f"`{path}` is not a text file", HINT)
    head = next((line for line in text.splitlines() if line.strip()), "")
    if not head:
        raise InputError(f"`{path}` is empty", HINT)
    # Spreadsheets write semicolons or tabs in some languages; a header has no other use for them.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = []
    try:
        for cells in reader:
            if any(c.strip() for c in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise InputError(f"`{path}` is not a CSV file, line {reader.line_num}: {error}", HINT) from None
    return lines


def _header_faults(line: int, columns: list[str]) -> list[str]:
    faults = [f"line {line}: no column `{name}`" for name in REQUIRED if name not in columns]
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            faults.append(f"line {line}: column `{name}` is there {columns.count(name)} times")
        if name in OTHER_UNITS:
            faults.append(f"line {line}: column `{name}` is in {OTHER_UNITS[name]}; write milliseconds in a column `ms`")
        elif name not in COLUMNS:
            faults.append(f"line {line}: unknown column `{name}`; there are {', '.join(f'`{c}`' for c in COLUMNS)}")
    return faults


def _row(
    line: int, cell: dict[str, str], folder: Path, model: LatencyModel, target: str
) -> tuple[MeasuredNetwork | None, list[str]]:
    from mvsearch.api.read import read_network
    from mvsearch.costs import image_size, lower
    from mvsearch.spec.published import DEFAULT_RESOLUTION

    faults: list[str] = []
    ms = _milliseconds(cell["ms"], faults)
    resolution: int | None = DEFAULT_RESOLUTION
    if text := cell.get("resolution", ""):
        try:
            resolution = image_size(int(text))[0]
        except (ValueError, InputError):
            faults.append(f"`resolution` is `{text}`: 32 to 2048 pixels, e.g. `256`")
            resolution = None
    spec = None
    name = cell["network"]
    if not name:
        faults.append("no `network`")
    else:
        try:
            spec = read_network(folder / name if (folder / name).exists() else name)
        except InputError as error:
            faults.append(": ".join(filter(None, (error.message, error.hint))).replace("\n", " "))
    if spec is None or resolution is None:
        return None, faults
    try:
        parts = lower(spec, resolution)
    except InputError as error:
        return None, [*faults, error.message]
    predicted = model.predict(parts, target=target).value
    if ms is not None and not predicted / FAR_OFF <= ms <= predicted * FAR_OFF:
        faults.append(
            f"`{cell['ms']}` ms for `{name}`, predicted {predicted:.2f} ms: {_unit_guess(ms / predicted)}, "
            f"or another network (more than {FAR_OFF:.0f} times off)"
        )
    value = math.nan if ms is None else ms
    return MeasuredNetwork(line, name, spec.arch_id, resolution, value, parts, predicted), faults


def _milliseconds(text: str, faults: list[str]) -> float | None:
    try:
        ms = float(text)
    except ValueError:
        comma = "; write a point, not a comma" if "," in text else ""
        faults.append(f"`ms` is `{text}`: not a number{comma}")
        return None
    if not (math.isfinite(ms) and ms > 0):
        faults.append(f"`ms` is `{text}`: not a positive number")
        return None
    return ms


def _unit_guess(ratio: float) -> str:
    if ratio < 1:
        return "perhaps seconds"
    return "perhaps microseconds" if ratio < 1e5 else "perhaps nanoseconds"
