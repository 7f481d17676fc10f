"""What the dimensions of a family's search spaces are, and what its points stand for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mvsearch.errors import SpecError
from mvsearch.spec.arch import ACTIVATIONS, NORMS, ArchSpec
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from mvsearch.spec.space import Dimension

Value = int | float | str
Point = Mapping[str, Value]
DimensionType = Literal["width", "count", "ratio", "patch", "block", "head", "activation", "norm"]
Named = Mapping[str, "Dimension"]
"""Dimensions by their names."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One family's dimensions, and the way between points and networks.

    Attributes:
        dimensions: all that a space of the family can have, with their types, in the order of the network.
        optional: those that a space may leave out, and what they are then.
        resolution: side of the image in pixels, where a space says none.
        resolution_step: sides are multiples of this.
        checks: what is checked of a value, by type, for types that only this family has.
        allowed: the same in words; also of dimensions (by name) with choices of their own.
        heads: names of the classifier's variants.
        context: (dimensions, resolution) of a space -> what `decode` needs to know of it.
        decode: (values of all dimensions, context) -> network.
        values_of: values of a network, as far as it has them.
        alias: (dimension, value, all values) -> the choice that decodes to the same network; the value if there is none.
        needed: (dimensions given) -> names that have to be there as well.
    """

    dimensions: Mapping[str, DimensionType]
    optional: Mapping[str, Value]
    resolution: int
    resolution_step: int
    checks: Mapping[str, Callable[[Any], None]]
    allowed: Mapping[str, str]
    heads: Collection[str]
    context: Callable[[Named, int], Any]
    decode: Callable[[Point, Any], ArchSpec]
    values_of: Callable[[ArchSpec], dict[str, Value]]
    alias: Callable[[Dimension, Value, Mapping[str, Value]], Value]
    needed: Callable[[Named], set[str]]

    def check_value(self, dimension: str, value: object) -> None:
        """Raise `SpecError` unless some network can have this value in this dimension."""
        kind = self.dimensions[dimension]
        allowed = self.allowed.get(dimension) or self.allowed.get(kind) or _ALLOWED[kind]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise SpecError(f"`{shown(value)}` is no plain value", allowed)
        if check := self.checks.get(dimension) or self.checks.get(kind):
            check(value)
            return
        if kind == "head":
            ok, allowed = value in self.heads, ", ".join(self.heads)
        elif kind == "activation":
            ok = value in ACTIVATIONS
        elif kind == "norm":
            ok = value in NORMS
        elif kind == "ratio":
            ok = isinstance(value, int | float) and 1 <= value <= 16
        elif kind == "width":
            ok = isinstance(value, int) and 8 <= value <= 4096 and value % 8 == 0
        else:
            ok = isinstance(value, int) and 1 <= value <= 64
        if not ok:
            raise SpecError(f"`{shown(value)}` is not allowed", allowed)


_ALLOWED: dict[str, str] = {
    "width": "multiples of 8 from 8 to 4096",
    "count": "integers from 1 to 64",
    "ratio": "numbers from 1 to 16",
    "head": "the name of a head",
    "activation": ", ".join(ACTIVATIONS),
    "norm": ", ".join(NORMS),
}
