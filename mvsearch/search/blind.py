"""What a search leaves alone, because nothing says which value is better."""

from __future__ import annotations

from math import log2

from mvsearch.accuracy.evidence import BLIND_KNOBS
from mvsearch.spec.space import SearchSpace, Value


def held_values(space: SearchSpace) -> dict[str, Value]:
    """The dimensions that a search holds, and at which value: the published one, or the choice nearest to it.

    The estimate is blind to these knobs (`evidence.BLIND_KNOBS`): a search would set them by latency alone.

    Args:
        space: the search space; a dimension with one choice is none to hold.
    """
    held: dict[str, Value] = {}
    for d in space.dimensions:
        published = BLIND_KNOBS.get(d.name.partition(".")[2])
        if published is not None and len(d.choices) > 1:
            held[d.name] = min(d.choices, key=lambda c: (abs(log2(float(c) / published)), -float(c)))
    return held


def describe_held(space: SearchSpace) -> str:
    """What is held, in words; empty if nothing is."""
    held = held_values(space)
    names = sorted({(name.partition(".")[2], value) for name, value in held.items()}, key=str)
    return f"{' and '.join(f'{name} held at {value}' for name, value in names)}: the estimate is blind to them" if held else ""
