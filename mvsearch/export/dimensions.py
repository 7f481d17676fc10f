"""Where a network leaves what a library can express: its dimensions by name, and MobileViTv2's one dimension, its width."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any

from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import V2_MULTIPLIERS, mobilevitv2

MIN_MULTIPLIER, MAX_MULTIPLIER = 0.1, 4.0
_BREAKPOINTS = 384
"""Every width of MobileViTv2 changes at a multiple of 1/384 (of 256, 384 and 512 channels, of which eight are one step)."""


def dimension_values(spec: ArchSpec) -> dict[str, Any]:
    """What determines a network by the names of a search space, in the order of the network: `stage3.expansion`, ..."""
    values: dict[str, Any] = {"stages": len(spec.stages), "stem": spec.stem.kind} | _fields("stem", spec.stem)
    for i, stage in enumerate(spec.stages, start=1):
        values |= {f"stage{i}.{name}": value for name, value in stage.knobs.items()}
    values |= {"head": spec.head.kind} | _fields("head", spec.head)
    return values | {"activation": spec.activation, "norm": spec.norm, "in_channels": spec.in_channels}


def first_difference(spec: ArchSpec, other: ArchSpec) -> tuple[str, Any, Any] | None:
    """The first dimension in which two networks differ, and both values; None if they are one but for their classes."""
    if spec.with_classes(1000).arch_id == other.with_classes(1000).arch_id:
        return None
    ours, theirs = dimension_values(spec), dimension_values(other)
    for name, value in ours.items():
        if theirs.get(name) != value:
            return name, value, theirs.get(name)
    name = next(iter(theirs.keys() - ours.keys()), "block")
    return name, None, theirs.get(name)


def num_differences(spec: ArchSpec, other: ArchSpec) -> int:
    """How many dimensions of a network another one has otherwise."""
    ours, theirs = dimension_values(spec), dimension_values(other)
    return sum(theirs.get(name) != value for name, value in ours.items())


def _fields(name: str, part: Any) -> dict[str, Any]:
    return {f"{name}.{field.name}": getattr(part, field.name) for field in fields(part)}


def width_multiplier(spec: ArchSpec) -> float | None:
    """The multiplier by which MobileViTv2's rule gives stem and stages these widths; None if there is none.

    The published one where there is one, else the one with the fewest digits that were looked at.
    """
    return _multipliers().get(_widths(spec))


def nearest_multiplier(spec: ArchSpec) -> float:
    """The multiplier, in steps of 0.01, whose widths come nearest by their summed relative difference."""
    own = _widths(spec)

    def distance(widths: tuple[int, ...]) -> float:
        return sum(abs(a - b) / b for a, b in zip(widths, own, strict=False)) + abs(len(widths) - len(own))

    return _multipliers()[min(_multipliers(), key=distance)]


def _widths(spec: ArchSpec) -> tuple[int, ...]:
    return (spec.stem.channels, *(stage.channels for stage in spec.stages))


@lru_cache(maxsize=1)
def _multipliers() -> dict[tuple[int, ...], float]:
    """Widths -> multiplier, for every combination of widths that the rule can give."""
    hundredths = range(round(100 * MIN_MULTIPLIER), round(100 * MAX_MULTIPLIER) + 1)
    # Between two neighbouring breakpoints nothing changes, so that their middles stand for all multipliers.
    middles = range(round(_BREAKPOINTS * MIN_MULTIPLIER), round(_BREAKPOINTS * MAX_MULTIPLIER))
    tried = (*V2_MULTIPLIERS, *(n / 100 for n in hundredths), *(round((n + 0.5) / _BREAKPOINTS, 6) for n in middles))
    found: dict[tuple[int, ...], float] = {}
    for multiplier in tried:
        found.setdefault(_widths(mobilevitv2(multiplier)), multiplier)
    return found
