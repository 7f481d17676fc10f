"""Search spaces: named dimensions with their choices, and the way from a point to an `ArchSpec`.

Every point decodes to a network that can be built: a sampler never meets an illegal point. What the
dimensions of a family are, and what they stand for, is in a module per family; `CODECS` lists them.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mvsearch.errors import SpecError
from mvsearch.spec import efficientformer_space, mobilevit_space
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.codec import Codec, DimensionType, Point, Value
from mvsearch.spec.published import MOBILEVIT, published_networks

__all__ = ["CODECS", "Dimension", "DimensionType", "Point", "SearchSpace", "Value"]

CODECS: dict[str, Codec] = {
    MOBILEVIT: mobilevit_space.CODEC,
    "efficientformer": efficientformer_space.V1,
    "efficientformerv2": efficientformer_space.V2,
}
"""By family, as in `published.FAMILIES`."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of a space.

    Attributes:
        name: e.g. `stage3.channels`.
        choices: the values, ascending where they are numbers.
        ordered: whether neighbours in `choices` are neighbours in effect.
    """

    name: str
    choices: tuple[Value, ...]
    ordered: bool


@dataclass(frozen=True)
class SearchSpace:
    """A set of candidates.

    Attributes:
        name: as it is asked for.
        description: one line.
        dimensions: in the order of the network, stem to head.
        resolution: side in pixels of the image that its candidates are compared at, by default.
        family: of its networks, a key of `CODECS`.
    """

    name: str
    description: str
    dimensions: tuple[Dimension, ...]
    resolution: int = 256
    family: str = MOBILEVIT

    @property
    def codec(self) -> Codec:
        """What its dimensions stand for."""
        return CODECS[self.family]

    @property
    def types(self) -> Mapping[str, DimensionType]:
        """Type of every dimension that a space of this family can have."""
        return self.codec.dimensions

    @cached_property
    def by_name(self) -> dict[str, Dimension]:
        """The dimensions by their names."""
        return {d.name: d for d in self.dimensions}

    @cached_property
    def content_hash(self) -> str:
        """Hash of what determines the candidates; the name and the description do not matter."""
        own = [] if self.family == MOBILEVIT else [self.family]
        text = json.dumps([[d.name, d.choices] for d in self.dimensions] + [self.resolution, *own])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def num_points(self) -> int:
        """Number of points; several may decode to one network."""
        return math.prod(len(d.choices) for d in self.dimensions)

    def random_point(self, rng: random.Random) -> dict[str, Value]:
        """A point drawn uniformly."""
        return {d.name: rng.choice(d.choices) for d in self.dimensions}

    def decode(self, point: Point) -> ArchSpec:
        """The network of a point.

        Raises:
            SpecError: the point is not of this space.
        """
        for name, allowed in self._choices.items():
            if not isinstance(point.get(name), int | float | str) or point[name] not in allowed:
                raise SpecError(f"`{name}` is `{point.get(name)}`", f"one of {', '.join(map(str, self.by_name[name].choices))}")
        codec = self.codec
        return codec.decode({**codec.optional, **point}, self._context)

    def encode(self, spec: ArchSpec) -> dict[str, Value]:
        """The point of a network.

        Raises:
            SpecError: the network is not in this space, with the dimension that it leaves.
        """
        values = self.codec.values_of(spec)
        point: dict[str, Value] = {}
        for d in self.dimensions:
            # What a network does not have (heads in v2, a block beyond the last) is free: the first choice stands for all.
            value = values.get(d.name, d.choices[0])
            if d.name in values:
                value = self.codec.alias(d, value, values)
            if value not in d.choices:
                allowed = ", ".join(map(str, d.choices)) if len(d.choices) < 12 else f"{d.choices[0]} to {d.choices[-1]}"
                raise SpecError(f"`{d.name}` is `{value}`, outside of space `{self.name}`", f"the space has {allowed}")
            point[d.name] = d.choices[d.choices.index(value)]
        if self.decode(point).arch_id != spec.with_classes(1000).arch_id:
            raise SpecError(f"the network is not in space `{self.name}`", "it differs in something that the space holds fixed")
        return point

    def __contains__(self, spec: object) -> bool:
        try:
            return isinstance(spec, ArchSpec) and bool(self.encode(spec))
        except SpecError:
            return False

    def published_points(self) -> dict[str, dict[str, Value]]:
        """Points of the published networks that lie in this space, by name."""
        return {name: self.encode(spec) for name, spec in published_networks(self.family).items() if spec in self}

    @cached_property
    def _choices(self) -> dict[str, frozenset[Value]]:
        return {d.name: frozenset(d.choices) for d in self.dimensions}

    @cached_property
    def _context(self) -> Any:
        return self.codec.context(self.by_name, self.resolution)
