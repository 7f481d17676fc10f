"""Rows as columns of short numbers: the explorer's script decodes a network's configuration from them.

A column that is the same in all rows is one number; texts that repeat stand once, in a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from mvsearch.report.explorer_rows import Row
from mvsearch.spec.arch import LAYER_NORM, ArchSpec, ConvStem, Stage
from mvsearch.spec.record import Measurement

Value = int | float | str
Format = Literal["percent", "ms", "count", "megabytes", "points", "probability", "integer"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that an axis can show.

    Attributes:
        key, name: as in the columns, and in words.
        format: how it is written.
        log: whether its axis is logarithmic.
        better: which direction is better: 1 up, -1 down, 0 neither.
        read: the measurement, a plain number, or None.
        about: what it means, in a sentence.
    """

    key: str
    name: str
    format: Format
    log: bool
    better: Literal[-1, 0, 1]
    read: Callable[[Row], Measurement | float | None]
    about: str = ""


def _measured(key: str) -> Callable[[Row], Measurement | None]:
    return lambda row: row.evaluation.measurements.get(key)


METRICS: tuple[Metric, ...] = (
    Metric("top1", "ImageNet top-1", "percent", False, 1, _measured("top1")),
    Metric("lower", "lower bound of top-1", "percent", False, 1, lambda r: r.lower_top1, "what the search maximises"),
    Metric("latency", "latency", "ms", True, -1, _measured("latency")),
    Metric("params", "parameters", "count", True, -1, _measured("params")),
    Metric("macs", "MACs", "count", True, -1, _measured("macs"), "multiply-accumulates; FLOPs are twice as many"),
    Metric("activations", "activations", "count", True, -1, _measured("activations"),
           "elements that convolutions and linear layers write"),
    Metric("peak_memory", "peak activation memory", "megabytes", True, -1, _measured("peak_memory"), "float16, batch 1"),
    Metric("weight_bytes", "weights", "megabytes", True, -1, _measured("weight_bytes"), "float16, batch norm folded"),
    Metric("distance", "distance from evidence", "points", False, -1, lambda r: r.distance,
           "standard deviation in points of top-1 that differences from the nearest published network add to the estimate"),
    Metric("on_front", "P(on front)", "probability", False, 1, lambda r: r.probability_on_front,
           "of the front's members only"),
    Metric("in_budget", "P(in budget)", "probability", False, 1, lambda r: r.probability_in_budget),
    Metric("trial", "trial", "integer", False, 0, lambda r: r.trial),
    Metric("generation", "generation", "integer", False, 0, lambda r: r.generation, "number of the batch of proposals"),
)  # fmt: skip
"""All numbers of a row, in the order in which they are offered."""


class Texts:
    """Texts that repeat, each kept once."""

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self._index: dict[Any, int] = {}

    def index(self, text: Any) -> int:
        """Where it stands in `texts`."""
        if text not in self._index:
            self._index[text] = len(self.texts)
            self.texts.append(text)
        return self._index[text]


def short(value: float | None, digits: int = 5) -> float | int | None:
    """The number with as many significant digits as are read; whole ones stay exact."""
    if value is None:
        return None
    if isinstance(value, int) or value.is_integer():
        return int(value)
    return float(f"{value:.{digits}g}")


def constant(column: Sequence[Any]) -> Any:
    """The one value of a column that has no other, else the column."""
    return column[0] if column and all(v == column[0] for v in column) else list(column)


def metric_columns(rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Columns of numbers with their intervals, and what they rest on.

    Returns:
        Per metric that any row has: `key`, `values`, `source` (index of what it rests on, per row or for all), and
        `low`, `high` where there are intervals; and the sources: (kind, level, target, basis, protocol, n, scale).
    """
    sources = Texts()
    sources.index(None)
    columns = []
    for metric in METRICS:
        found = [metric.read(row) for row in rows]
        if all(v is None for v in found):
            continue
        column: dict[str, Any] = {
            "key": metric.key, "name": metric.name, "format": metric.format, "log": metric.log, "better": metric.better,
            "about": metric.about, "values": [short(v.value if isinstance(v, Measurement) else v) for v in found],
        }  # fmt: skip
        measured = [v if isinstance(v, Measurement) else None for v in found]
        if any(measured):
            column["source"] = constant([sources.index(_source(m) if m else None) for m in measured])
        if any(m and m.low is not None for m in measured):
            column["low"] = [short(m.low) if m else None for m in measured]
            column["high"] = [short(m.high) if m else None for m in measured]
        columns.append(column)
    return columns, sources.texts


def _source(m: Measurement) -> tuple[Any, ...]:
    versions = ", ".join(f"{name} {version}" for name, version in m.versions)
    return (m.kind, m.level, m.target, m.basis, m.protocol, m.n, versions)


def knob_columns(specs: Sequence[ArchSpec]) -> list[dict[str, Any]]:
    """The configurations: per knob `name`, `values` in order, and `data`: their indices, -1 where a network lacks it."""
    knobs = [knobs_of(spec) for spec in specs]
    columns = []
    for name in dict.fromkeys(name for own in knobs for name in own):
        column = [own.get(name) for own in knobs]
        values = sorted({v for v in column if v is not None}, key=lambda v: (isinstance(v, str), v))
        place: dict[Value | None, int] = {None: -1, **{v: i for i, v in enumerate(values)}}
        columns.append({"name": name, "values": values, "data": constant([place[v] for v in column])})
    return columns


def knobs_of(spec: ArchSpec) -> dict[str, Value]:
    """What a network is made of, by the names that search spaces use; a stage has no entry for a knob that it lacks."""
    knobs: dict[str, Value] = {"stem.channels": spec.stem.channels}
    if not isinstance(spec.stem, ConvStem):
        knobs["stem.kind"] = f"{spec.stem.kind} {spec.stem.activation}".strip()
    for number, stage in enumerate(spec.stages, start=1):
        knobs |= _stage_knobs(number, stage)
    return knobs | {
        "head": spec.head.label,
        "activation": spec.activation,
        **({} if spec.norm == LAYER_NORM else {"norm": spec.norm}),
        "num_classes": spec.num_classes,
        "in_channels": spec.in_channels,
    }


@lru_cache(maxsize=16_384)
def _stage_knobs(number: int, stage: Stage) -> dict[str, Value]:
    return {f"stage{number}.{key}": _plain(value) for key, value in stage.knobs.items()}


def _plain(value: Value) -> Value:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_VARIED = {
    "channels", "expansion", "num_blocks", "stride", "dim", "depth", "heads", "ffn_ratio", "patch",
    "attention", "attention_stride", "attention_downsampling", "ffn_ratios", "side",
}  # fmt: skip


def fixed_parts(specs: Iterable[ArchSpec]) -> dict[str, dict[str, dict[str, Any]]]:
    """What a block's short name and a head's stand for: the fields of their JSON that no knob holds."""
    blocks: dict[str, dict[str, Any]] = {}
    heads: dict[str, dict[str, Any]] = {}
    stems: dict[str, dict[str, Any]] = {}
    for spec in specs:
        if not isinstance(spec.stem, ConvStem):
            own = {f.name: getattr(spec.stem, f.name) for f in fields(spec.stem) if f.name != "channels"}
            stems[str(knobs_of(spec)["stem.kind"])] = {"kind": spec.stem.kind, **own}
        for stage in spec.stages:
            if stage.block not in blocks:
                fixed = {f.name: getattr(stage, f.name) for f in fields(stage) if f.name not in _VARIED}
                blocks[stage.block] = {"kind": stage.kind, **fixed}
        label = spec.head.label
        if label not in heads:
            heads[label] = {"kind": spec.head.kind, **{f.name: getattr(spec.head, f.name) for f in fields(spec.head)}}
    return {"blocks": blocks, "heads": heads, "stems": stems}
