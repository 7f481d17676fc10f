"""Networks that a user has trained on ImageNet-1k, read from a CSV file; all that is wrong with it is said at once."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
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
from mvsearch.files import read_bytes

if TYPE_CHECKING:
    from mvsearch.accuracy.validation import OwnNetwork

NETWORK = ("network", "spec")
"""Two names of one column."""
COLUMNS = (*NETWORK, "top1", "resolution", "note")
OTHER_MEASURES = {
    **dict.fromkeys(("top-1", "top_1", "acc", "acc1", "acc@1", "accuracy", "val_acc"), "write top-1 in % in a column `top1`"),
    **dict.fromkeys(("top5", "top-5", "acc5"), "top-5 says too little; write top-1 in % in a column `top1`"),
    **dict.fromkeys(("error", "err", "top1_error"), "write 100 less the error, in a column `top1`"),
}
ABOVE, BELOW = 6.0, 15.0
"""Points by which networks may lie above and below their estimates in the mean: two published recipes differ by 3.3 at
most, a teacher or more data adds a few points, a short training takes more away. Beyond, it is another task."""
ROW_ABOVE, ROW_BELOW = 12.0, 30.0
"""The same for one network alone."""
HINT = (
    "a header and one line per network: `network,top1`, perhaps `resolution`, `note`; `network` is a published name, an "
    "architecture's JSON file or a library entry's folder, `top1` is in % on ImageNet-1k; lines with `#` in front are comments"
)


def read_anchors_csv(path: str | Path) -> tuple[OwnNetwork, ...]:
    """The user's networks in a file; paths in it start from its folder.

    Raises:
        InputError: every fault with its line number, and top-1 that cannot be ImageNet-1k's.
    """
    path = Path(path)
    try:
        content = read_bytes(path)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}", HINT) from None
    lines = read_lines(path, content, HINT)
    header_line, header = lines[0]
    columns = [c.strip().lower() for c in header]
    faults = _header_faults(header_line, columns)
    if faults:
        raise refused(path, faults, HINT)
    found: list[OwnNetwork] = []
    residuals: list[float] = []
    seen: dict[tuple[str, int], int] = {}
    for line, cells in lines[1:]:
        cell = named_cells(line, cells, columns, faults)
        if cell is None:
            continue
        row, estimated, row_faults = _row(line, cell, path.parent)
        faults += [f"line {line}: {f}" for f in row_faults]
        if row is None:
            continue
        key = row.arch_id, row.resolution
        if key in seen:
            faults.append(f"line {line}: `{row.name}` at {row.resolution} pixels is in line {seen[key]} already")
        seen.setdefault(key, line)
        found.append(row)
        residuals.append(row.top1 - estimated)
    if not faults and not found:
        faults.append(f"line {header_line}: no network follows the header")
    if not faults and not -BELOW <= fmean(residuals) <= ABOVE:
        faults.append(_another_task(fmean(residuals)))
    if faults:
        raise refused(path, faults, HINT)
    return tuple(found)


def _another_task(mean: float) -> str:
    side, limit = ("above", ABOVE) if mean > 0 else ("below", BELOW)
    return (
        f"the networks lie {abs(mean):.1f} points {side} their estimates in the mean, more than {limit:.0f}: no recipe "
        "explains that, so that it cannot be top-1 on ImageNet-1k (another data set, other classes, or a training cut short?)"
    )


def _header_faults(line: int, columns: list[str]) -> list[str]:
    faults = []
    named = [n for n in NETWORK if n in columns]
    if not named:
        faults.append(f"line {line}: no column `network`")
    elif len(named) > 1:
        faults.append(f"line {line}: columns `network` and `spec` say the same; keep one")
    if "top1" not in columns:
        faults.append(f"line {line}: no column `top1`")
    faults += repeated_columns(line, columns)
    for name in dict.fromkeys(columns):
        if name in OTHER_MEASURES:
            faults.append(f"line {line}: column `{name}`: {OTHER_MEASURES[name]}")
        elif name not in COLUMNS:
            faults.append(f"line {line}: unknown column `{name}`; there are {', '.join(f'`{c}`' for c in COLUMNS)}")
    return faults


def _row(line: int, cell: dict[str, str], folder: Path) -> tuple[OwnNetwork | None, float, list[str]]:
    """The network, its shipped estimate, and what is wrong with the line."""
    from mvsearch.accuracy.estimate import CLASSES, estimate_top1
    from mvsearch.accuracy.validation import OwnNetwork

    faults: list[str] = []
    top1 = _top1(cell["top1"], faults)
    resolution = read_resolution(cell.get("resolution", ""), faults)
    name = cell["network"] if "network" in cell else cell["spec"]
    spec = read_spec(name, folder, faults)
    if spec is not None and spec.num_classes != CLASSES:
        faults.append(f"`{name}` has {spec.num_classes} classes, ImageNet-1k {CLASSES}")
    if spec is None or resolution is None or top1 is None or faults:
        return None, math.nan, faults
    estimated = estimate_top1(spec, resolution).value
    if not -ROW_BELOW <= top1 - estimated <= ROW_ABOVE:
        faults.append(
            f"`top1` is `{cell['top1']}` for `{name}`, estimated {estimated:.1f}: too far off for ImageNet-1k "
            "(another network, another data set, or a typing error?)"
        )
        return None, math.nan, faults
    return OwnNetwork(line, name, spec, resolution, top1), estimated, faults


def _top1(text: str, faults: list[str]) -> float | None:
    if text.endswith("%"):
        text = text[:-1].strip()
    top1 = read_number("top1", text, faults)
    if top1 is None:
        return None
    if 0 < top1 <= 1:
        faults.append(f"`top1` is `{text}`: a fraction; write it in %, e.g. `{100 * top1:.4g}`")
    elif not 0 < top1 < 100:  # NaN too
        faults.append(f"`top1` is `{text}`: not between 0 and 100 %")
    else:
        return top1
    return None
