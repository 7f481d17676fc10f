"""Refusals that every part of an architecture shares."""

from __future__ import annotations

from mvsearch.errors import SpecError
from mvsearch.spec.plain import shown

MAX_WIDTH = 4096


def require(condition: bool, what: str, hint: str) -> None:
    """Raise `SpecError(what, hint)` unless the condition holds."""
    if not condition:
        raise SpecError(what, hint)


def require_int(name: str, value: object, low: int, high: int) -> None:
    """Raise `SpecError` unless the value is an integer within these bounds."""
    ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not ok:
        raise SpecError(f"`{name}` is `{shown(value)}`", f"an integer from {low} to {high}")


def require_number(name: str, value: object, low: float, high: float) -> None:
    """Raise `SpecError` unless the value is a number within these bounds."""
    ok = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not ok:
        raise SpecError(f"`{name}` is `{shown(value)}`", f"a number from {low:g} to {high:g}")


def require_switch(name: str, value: object) -> None:
    """Raise `SpecError` unless the value is true or false."""
    if not isinstance(value, bool):
        raise SpecError(f"`{name}` is `{shown(value)}`", "true or false")


def require_width(name: str, value: object) -> None:
    """Raise `SpecError` unless the value is a number of channels."""
    require_int(name, value, 1, MAX_WIDTH)
