"""The one catalogue of targets: `get_target(name)`, `target_names()`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import partial

from mvsearch.errors import TargetError
from mvsearch.targets.coreml.mac import MacTarget
from mvsearch.targets.coreml.phone import phone_target
from mvsearch.targets.host.cpu import CpuTarget
from mvsearch.targets.host.gpu.target import GpuTarget
from mvsearch.targets.target import Target

_TARGETS: dict[str, Callable[[Mapping[str, str]], Target]] = {
    "iphone12": partial(phone_target, "iphone12"),
    "iphone13": partial(phone_target, "iphone13"),
    "iphone14": partial(phone_target, "iphone14"),
    "mac": MacTarget,
    "gpu": GpuTarget,
    "cpu": CpuTarget,
}


def target_names() -> tuple[str, ...]:
    """Every target by name."""
    return tuple(_TARGETS)


def get_target(name: str) -> Target:
    """The target of this name, such as `iphone12`, `cpu` or `gpu@launch=eager,precision=bfloat16`.

    Raises:
        TargetError: unknown, with the nearest names; or an option that it does not have.
    """
    base, at, text = name.strip().lower().partition("@")
    key = base.replace("-", "").replace("_", "").replace(" ", "")
    if key in _TARGETS:
        return _TARGETS[key](_options(name, text) if at else {})
    near = difflib.get_close_matches(key, _TARGETS, n=2, cutoff=0.6)
    known = ", ".join(f"`{n}`" for n in _TARGETS)
    guess = f"did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""
    raise TargetError(f"unknown target `{name}`", f"{guess}targets are {known}; `mvsearch targets` says what works here")


def _options(name: str, text: str) -> dict[str, str]:
    """`key=value,key=value` -> a dictionary; a word without `=` is the option `preset`."""
    options: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        key, value = (key.strip(), value.strip()) if equals else ("preset", key.strip())
        if not key or not value or key in options:
            raise TargetError(f"cannot read `{part}` in target `{name}`", "options are `NAME@key=value,key=value`")
        options[key] = value
    return options
