"""Where costs go, line by line: a line per stage, per kind of operation or per module, of one network or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mvsearch.report.words import PART_HEADINGS, part_rows
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.anatomy import Anatomy, OpShare

By = Literal["stage", "kind", "op"]
BY: tuple[By, ...] = ("stage", "kind", "op")
CONSTANT = "constant"
"""Key of what the runtime takes for any network."""
MEMORY: dict[By, tuple[str, str]] = {
    "stage": ("peak_memory", "peak memory"),
    "kind": ("bytes_moved", "moved"),
    "op": ("memory", "memory"),
}
"""Column name and heading of the bytes that a line gives: what is alive at its hungriest moment, or all that is read and
written, which alone adds up."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one stage, kind or module costs.

    Attributes:
        key: `stage 3`, `conv`, or a module's path and a kind; lines of two networks pair by it.
        about: what is known of it: block and output; number of operations; kind and number.
        params, macs: counted.
        bytes: see `MEMORY`.
        ms: predicted; None where there is no split.
    """

    key: str
    about: tuple[str, ...]
    params: int
    macs: int
    bytes: int
    ms: float | None


ABOUT: dict[By, tuple[str, ...]] = {"stage": ("block", "output"), "kind": ("ops",), "op": ("kind", "ops")}
"""Headings of `Line.about`."""


def lines(anatomy: Anatomy, by: By) -> tuple[Line, ...]:
    """Where the costs go.

    Stages come in the network's order, kinds and modules with the slowest first (the one with most MACs without a
    prediction). Operations of one kind in one module, and in all alike layers (`*`), are one line.
    """
    if by == "stage":
        return tuple(
            Line(p.title, (p.block, "x".join(map(str, p.output[1:]))), p.params, p.macs, p.peak_memory, p.ms)
            for p in anatomy.parts
        )
    if by == "kind":
        found = [Line(k.kind, (str(k.count),), k.params, k.macs, k.bytes_moved, k.ms) for k in anatomy.kinds]
    else:
        modules: dict[tuple[str, str], list[OpShare]] = {}
        for op in anatomy.ops:
            modules.setdefault((op.name, op.kind), []).append(op)
        found = [_module(name, kind, ops) for (name, kind), ops in modules.items()]
    return tuple(sorted(found, key=_weight, reverse=True))


def _weight(line: Line) -> tuple[float, int, int]:
    return (line.ms or 0.0, line.macs, line.params)


def _module(name: str, kind: str, ops: Sequence[OpShare]) -> Line:
    ms = [op.ms for op in ops if op.ms is not None]
    return Line(
        f"{name} {kind}", (kind, str(len(ops))), sum(op.params for op in ops), sum(op.macs for op in ops),
        max(op.memory for op in ops), sum(ms) if ms else None,
    )  # fmt: skip


def paired(anatomies: Sequence[Anatomy], by: By) -> list[tuple[str, list[Line | None]]]:
    """The lines of several networks by their keys; None where a network has no such line.

    Stages keep their order, the head last; kinds come with the slowest of any network first.
    """
    by_key = [{line.key: line for line in lines(a, by)} for a in anatomies]
    keys = list(dict.fromkeys(key for found in by_key for key in found))
    if by == "stage":
        keys.sort(key=lambda key: (key == "head", key != "stem", len(key), key))
    else:
        keys.sort(key=lambda key: max(_weight(found[key]) for found in by_key if key in found), reverse=True)
    return [(key, [found.get(key) for found in by_key]) for key in keys]


@dataclass(frozen=True, slots=True)
class Change:
    """One knob that two networks set differently.

    Attributes:
        part: `stem`, `stage 1` .., `head`, `network`.
        knob: e.g. `width`, `d`, `L`.
        values: as text, of the one and the other; `-` where one lacks the knob.
    """

    part: str
    knob: str
    values: tuple[str, str]


def changes(one: ArchSpec, other: ArchSpec) -> tuple[Change, ...]:
    """Every knob in which two configurations differ, from stem to head; empty for the same network."""
    sides = [{row.part: row for row in part_rows(spec)} for spec in (one, other)]
    parts = list(dict.fromkeys([*sides[0], *sides[1]]))
    parts.sort(key=lambda part: part == "head")
    found = []
    for part in parts:
        rows = [side.get(part) for side in sides]
        for heading, name in zip(PART_HEADINGS[1:], _KNOBS, strict=True):
            left, right = (getattr(row, name) or "-" if row else "-" for row in rows)
            if left != right:
                found.append(Change(part, heading, (left, right)))
        if part.startswith("stage "):
            strides = [_stride(spec, int(part.removeprefix("stage "))) for spec in (one, other)]
            if strides[0] != strides[1] and None not in rows:
                found.append(Change(part, "stride", (strides[0], strides[1])))
    for name in ("activation", "norm", "num_classes", "in_channels"):
        left, right = (str(getattr(spec, name)) for spec in (one, other))
        if left != right:
            found.append(Change("network", name, (left, right)))
    return tuple(found)


def _stride(spec: ArchSpec, number: int) -> str:
    stage = spec.stages[number - 1] if number <= len(spec.stages) else None
    return str(getattr(stage, "stride", 2)) if stage else "-"


_KNOBS = ("block", "channels", "expansion", "blocks", "dim", "depth", "heads", "ffn", "patch")
"""Fields of `PartRow` in the order of `PART_HEADINGS`."""
