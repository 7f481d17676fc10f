"""The one catalogue of targets: `get_target(name)`, `target_names()`."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from mvsearch.errors import TargetError
from mvsearch.targets.cpu import CpuTarget
from mvsearch.targets.phone import IPHONE12, PhoneTarget
from mvsearch.targets.target import Capability, StopPolicy, Target, TargetSpec

_TARGETS: dict[str, Callable[[], Target]] = {
    "iphone12": lambda: PhoneTarget(IPHONE12),
    "cpu": CpuTarget,
}


def target_names() -> tuple[str, ...]:
    """Every target by name."""
    return tuple(_TARGETS)


def get_target(name: str) -> Target:
    """The target of this name.

    Raises:
        TargetError: unknown, with the nearest names.
    """
    key = name.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    if key in _TARGETS:
        return _TARGETS[key]()
    near = difflib.get_close_matches(key, _TARGETS, n=2, cutoff=0.6)
    known = ", ".join(f"`{n}`" for n in _TARGETS)
    guess = f"did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""
    raise TargetError(f"unknown target `{name}`", f"{guess}targets are {known}; `mvsearch targets` says what works here")


__all__ = ["Capability", "StopPolicy", "Target", "TargetSpec", "get_target", "target_names"]
