"""A trial as a row of the store, and back: checked value by value, and with what many trials share kept once."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from mvsearch.errors import printable
from mvsearch.files import parse_json
from mvsearch.spec.plain import read_plain, read_value
from mvsearch.spec.record import Evaluation, Failure, Measurement, Trial
from mvsearch.spec.space import SearchSpace, Value

COLUMNS = ("number", "arch_id", "origin", "feasible", "point", "metrics", "failure", "seconds", "generation", "ended",
           "checksum")  # fmt: skip
_PROVENANCE = ("unit", "kind", "level", "scale", "target", "protocol", "n", "versions")
"""Of a measurement: alike in thousands of trials, so that the store writes them once."""
_encode = json.JSONEncoder(allow_nan=False).encode
_ARCH_ID = re.compile(r"[0-9a-f]{12}")


def checksum(*values: Any) -> int:
    """CRC-32 of a row's other columns: SQLite does not notice a number that a disk has changed."""
    return zlib.crc32("\x1f".join(map(str, values)).encode("utf-8", "surrogatepass"))


def provenance_of(m: Measurement) -> tuple[Any, ...]:
    """What a measurement shares with others."""
    return m.unit, m.kind, m.level, m.scale, m.target, m.protocol, m.n, m.versions


def read_provenance(text: str) -> tuple[Any, ...]:
    """What `json.dumps` made of a `provenance_of`.

    Raises:
        ValueError: of something else.
    """
    values = parse_json(text)
    if not isinstance(values, list) or len(values) != len(_PROVENANCE):
        raise ValueError("it is none")
    return provenance_of(read_plain(Measurement, {"metric": "", "value": 1.0, **dict(zip(_PROVENANCE, values, strict=True))}))


def pack_trial(trial: Trial, ids: Mapping[tuple[Any, ...], int]) -> tuple[Any, ...]:
    """The row of a trial, in the order of `COLUMNS`.

    Args:
        trial: a finished one.
        ids: by `provenance_of`.

    Raises:
        ValueError: a number is not finite.
    """
    e = trial.evaluation
    metrics = {name: [m.value, m.low, m.high, ids[provenance_of(m)], m.basis, m.flags] for name, m in e.measurements.items()}
    row = (
        trial.number,
        e.arch_id,
        trial.origin,
        int(trial.feasible),
        _encode(dict(trial.point)),
        _encode(metrics),
        _encode([e.failure.kind, e.failure.message]) if e.failure else None,
        float(e.seconds),
        trial.generation,
        trial.ended,
    )
    return (*row, checksum(*row))


class TrialReader:
    """Makes trials of rows.

    Args:
        space: that the points are of.
        resolution: of the run, in pixels.
        provenance: `provenance_of` by id.
    """

    def __init__(self, space: SearchSpace, resolution: int, provenance: Mapping[int, tuple[Any, ...]]) -> None:
        self._space = space
        self._resolution = resolution
        self._choices = {d.name: {c: c for c in d.choices} for d in space.dimensions}
        self._provenance = provenance
        self._stages: dict[Any, Any] = {}
        self._shared: dict[Any, Any] = {}

    def trial(self, row: tuple[Any, ...]) -> Trial:
        """The trial of a row.

        Raises:
            ValueError: a value that is not what was written there.
        SpecError: a network that cannot be.
        """
        number, arch_id, origin, feasible, point, metrics, failure, seconds, generation, ended, stated = row
        if checksum(*row[:-1]) != stated:
            raise ValueError("its checksum is another")
        if not (isinstance(arch_id, str) and _ARCH_ID.fullmatch(arch_id)):
            raise ValueError("its `arch_id` is none")
        own_point = self._point(parse_json(point))
        spec = self._space.decode(own_point)
        # Told, not computed again: that costs more than all the rest, and the checksum vouches for it.
        object.__setattr__(spec, "arch_id", arch_id)
        own_metrics = parse_json(metrics)
        if not isinstance(own_metrics, dict):
            raise ValueError("it has no metrics")
        evaluation = Evaluation(
            spec,
            self._resolution,
            {self._same(metric): self._measurement(self._same(metric), packed) for metric, packed in own_metrics.items()},
            failure=None if failure is None else _failure(parse_json(failure)),
            seconds=read_value(float, seconds, "seconds"),
        )
        return Trial(
            number,
            own_point,
            evaluation,
            bool(feasible),
            self._same(read_value(str, origin, "origin")),
            self._same(read_value(int, generation, "generation")),
            None if ended is None else read_value(float, ended, "ended"),
        )

    def _point(self, given: Any) -> dict[str, Value]:
        if not isinstance(given, dict) or given.keys() != self._choices.keys():
            raise ValueError("its point is not one of the space")
        point = {}
        for name, choices in self._choices.items():
            value = given[name]
            if not isinstance(value, int | float | str) or value not in choices:
                raise ValueError(f"its `{name}` is not one of the space's")
            point[name] = choices[value]
        return point

    def _measurement(self, metric: str, packed: Any) -> Measurement:
        if not isinstance(packed, list) or len(packed) != 6:
            raise ValueError(f"`{metric}` is none")
        value, low, high, provenance, basis, flags = packed
        known = self._provenance.get(provenance) if type(provenance) is int else None
        if known is None or not isinstance(basis, str) or not isinstance(flags, list):
            raise ValueError(f"`{metric}` lacks where it is from")
        unit, kind, level, scale, target, protocol, n, versions = known
        for number in (value, low, high):
            if type(number) is not float and number is not None:  # Of a float, `parse_json` has seen to it.
                read_value(float, number, metric)
        if value is None:
            raise ValueError(f"`{metric}` has no value")
        m = Measurement(
            metric, value, unit, kind, low, high, level, scale, self._same(basis), target, protocol, n, versions,
            self._same(tuple([self._same(read_value(str, f, "flags")) for f in flags])) if flags else (),
        )  # fmt: skip
        m.check()
        return m

    def _same(self, value: Any) -> Any:
        """The first value equal to this one, printable."""
        found = self._shared.get(value)
        if found is None:
            found = printable(value) if isinstance(value, str) else value
            self._shared[value] = found
        return found


def _failure(values: Any) -> Failure:
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError("its failure is none")
    return read_plain(Failure, {"kind": values[0], "message": values[1]}, "failure")
