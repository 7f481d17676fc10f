"""Options of the Core ML targets: `NAME@key=value,key=value`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mvsearch.errors import TargetError

UNITS = ("all", "cpu_and_ne", "cpu_and_gpu", "cpu_only")
RUNNERS = ("swift", "coremltools")
_WORDS = {
    "all": "all (Neural Engine preferred)",
    "cpu_and_ne": "CPU and Neural Engine",
    "cpu_and_gpu": "CPU and GPU",
    "cpu_only": "CPU",
}


def unit_words(units: str) -> str:
    """Compute units in words."""
    return _WORDS[units]


def read_options(name: str, options: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Options with the defaults, which are the first allowed values.

    Args:
        name: of the target, for messages.
        options: what was asked for.
        allowed: values by key; an empty list takes any, its default is an empty text.

    Raises:
        TargetError: an unknown option or value.
    """
    chosen = {key: values[0] if values else "" for key, values in allowed.items()}
    for key, value in options.items():
        if key not in allowed:
            raise TargetError(f"`{name}` has no option `{key}`", f"it has {', '.join(f'`{k}`' for k in allowed)}")
        if allowed[key] and value not in allowed[key]:
            raise TargetError(f"`{key}` of `{name}` is `{value}`", f"one of {', '.join(f'`{v}`' for v in allowed[key])}")
        chosen[key] = value
    return chosen


def target_name(name: str, options: Mapping[str, str]) -> str:
    """The name with what was asked for beyond the default (non-empty values), as `get_target` reads it."""
    asked = ",".join(f"{key}={value}" for key, value in options.items() if value)
    return f"{name}@{asked}" if asked else name
