"""The largest network of a space, and the moves that make a network smaller by one step. For any space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvsearch.costs import count
from mvsearch.search.blind import held_values
from mvsearch.spec.space import Dimension, Point, SearchSpace, Value

_ROUNDS = 4
_WORDS = {
    "channels": "width",
    "dim": "transformer width",
    "depth": "layers",
    "blocks": "blocks",
    "ffn_ratio": "FFN ratio",
    "attention": "attending blocks",
}
"""What a dimension is called, by the last part of its name; others go by that part itself."""


@dataclass(frozen=True, slots=True)
class Move:
    """One choice of one dimension.

    Attributes:
        dimension: e.g. `stage4.depth`.
        before, after: its values.
    """

    dimension: str
    before: Value
    after: Value

    @property
    def words(self) -> str:
        """`stage 4: layers 5 to 4`."""
        part, _, key = self.dimension.rpartition(".")
        block = key.removeprefix("ffn")
        plain = f"FFN ratio of block {block}," if block.isdecimal() else key.replace("_", " ")
        what = f"{_WORDS.get(key, plain)} {self.before} to {self.after}"
        where = part.replace("stage", "stage ").replace(".", " ")
        return f"{where}: {what}" if where else what

    def of(self, point: Point) -> dict[str, Value]:
        """The point after the move."""
        return {**point, self.dimension: self.after}


def move_between(before: Point, after: Point) -> Move | None:
    """The move that leads from one point to the other; None if it takes none, or more than one."""
    changed = [name for name in before if before[name] != after[name]]
    return Move(changed[0], before[changed[0]], after[changed[0]]) if len(changed) == 1 else None


class Moves:
    """The moves within a space.

    **The largest network** is the one with the most multiply-accumulates, and of these with the most parameters: every
    dimension in turn takes the end (an unordered one: the choice) at which it costs most, until none changes. Knobs to which
    the estimate of accuracy is blind are held where every search holds them.

    **A move** takes an ordered dimension one choice away from the end at which it starts: a layer or a block less, a stage or
    a transformer narrower, a ratio cut, a patch larger. A dimension that counts alike at both ends may go either way, an
    unordered one (a block, a head, an activation) to any other choice. Which moves pay is for the criterion to say.

    Args:
        space: any.
        resolution: at which costs are counted, in pixels.
    """

    def __init__(self, space: SearchSpace, resolution: int) -> None:
        self._space, self._resolution = space, resolution
        held = held_values(space)
        self._free = [d for d in space.dimensions if len(d.choices) > 1 and d.name not in held]
        self.largest: dict[str, Value] = {
            d.name: held.get(d.name, d.choices[-1] if d.ordered else d.choices[0]) for d in space.dimensions
        }
        for _ in range(_ROUNDS):
            before = dict(self.largest)
            for d in self._free:
                self.largest[d.name] = self._costliest(d)
            if self.largest == before:
                break
        self._steps = {d.name: self._steps_of(d) for d in self._free if d.ordered}

    def of(self, point: Point) -> Iterator[Move]:
        """All moves from a point, in the order of the space's dimensions."""
        for d in self._free:
            value = point[d.name]
            if not d.ordered:
                yield from (Move(d.name, value, c) for c in d.choices if c != value)
                continue
            at = d.choices.index(value)
            for step in self._steps[d.name]:
                if 0 <= at + step < len(d.choices):
                    yield Move(d.name, value, d.choices[at + step])

    def _cost(self, d: Dimension, choice: Value) -> tuple[int, int]:
        costs = count(self._space.decode({**self.largest, d.name: choice}), self._resolution)
        return costs.macs, costs.params

    def _costliest(self, d: Dimension) -> Value:
        """Where several cost the same, the one that stands."""
        ends = (self.largest[d.name], d.choices[0], d.choices[-1]) if d.ordered else (self.largest[d.name], *d.choices)
        return max(ends, key=lambda c: self._cost(d, c))

    def _steps_of(self, d: Dimension) -> tuple[int, ...]:
        first, last = self._cost(d, d.choices[0]), self._cost(d, d.choices[-1])
        return (-1, 1) if first == last else (-1,) if last > first else (1,)
