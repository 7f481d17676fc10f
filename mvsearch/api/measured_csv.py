"""Anybody's own measurements, read from a CSV file; all that is wrong with it is said at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.table_csv import (
    named_cells,
    read_lines,
    read_number,
    read_resolution,
    read_spec,
    refused,
    repeated_columns,
)
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
    lines = read_lines(path, content, HINT)
    header_line, header = lines[0]
    columns = [c.strip().lower() for c in header]
    faults = _header_faults(header_line, columns)
    if faults:
        raise refused(path, faults, HINT)
    found: list[MeasuredNetwork] = []
    seen: dict[tuple[str, int], int] = {}
    protocols: dict[str, int] = {}
    for line, cells in lines[1:]:
        cell = named_cells(line, cells, columns, faults)
        if cell is None:
            continue
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
        raise refused(path, faults, HINT)
    return tuple(found)


def _header_faults(line: int, columns: list[str]) -> list[str]:
    faults = [f"line {line}: no column `{name}`" for name in REQUIRED if name not in columns]
    faults += repeated_columns(line, columns)
    for name in dict.fromkeys(columns):
        if name in OTHER_UNITS:
            faults.append(f"line {line}: column `{name}` is in {OTHER_UNITS[name]}; write milliseconds in a column `ms`")
        elif name not in COLUMNS:
            faults.append(f"line {line}: unknown column `{name}`; there are {', '.join(f'`{c}`' for c in COLUMNS)}")
    return faults


def _row(
    line: int, cell: dict[str, str], folder: Path, model: LatencyModel, target: str
) -> tuple[MeasuredNetwork | None, list[str]]:
    from mvsearch.costs import lower

    faults: list[str] = []
    ms = _milliseconds(cell["ms"], faults)
    resolution = read_resolution(cell.get("resolution", ""), faults)
    name = cell["network"]
    spec = read_spec(name, folder, faults)
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
    ms = read_number("ms", text, faults)
    if ms is None:
        return None
    if not (math.isfinite(ms) and ms > 0):
        faults.append(f"`ms` is `{text}`: not a positive number")
        return None
    return ms


def _unit_guess(ratio: float) -> str:
    if ratio < 1:
        return "perhaps seconds"
    return "perhaps microseconds" if ratio < 1e5 else "perhaps nanoseconds"
