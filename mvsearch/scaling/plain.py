"""A `ScalingView` as plain data for `json.dumps`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from mvsearch.scaling.view import ScalingView
from mvsearch.spec.record import Evaluation


def to_plain(view: ScalingView) -> dict[str, Any]:
    """Every part under its field's name; evaluations and measurements as they stand in other files."""
    return {"schema_version": 1, **_parts(view)}


def _parts(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Evaluation):
        return value.to_json()
    if is_dataclass(value):
        return _parts(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
