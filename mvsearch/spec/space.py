"""Search spaces: named dimensions with their choices, and the way from a point to an `ArchSpec`.

Every point decodes to a network that can be built: head counts are lowered until they divide the
transformer width, and patches that do not tile a map take the resize path that the published
networks take. A sampler never meets an illegal point.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from mvsearch.errors import SpecError
from mvsearch.spec.arch import (
    ACTIVATIONS,
    SWITCHES,
    ArchSpec,
    ConvStem,
    ExpandHead,
    Head,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
)
from mvsearch.spec.plain import shown
from mvsearch.spec.published import published_networks

Value = int | float | str
Point = Mapping[str, Value]

MIN_HEAD_DIM = 8
HEADS: dict[str, Head] = {"expand": ExpandHead(), "pool": PoolHead()}
TRANSFORMER_STAGES = (3, 4, 5)

DimensionType = Literal["width", "count", "ratio", "patch", "block", "head", "activation"]
_TRANSFORMER_KEYS: dict[str, DimensionType] = {
    "block": "block", "dim": "width", "depth": "count", "heads": "count", "ffn_ratio": "ratio", "patch": "patch",
}  # fmt: skip
DIMENSION_TYPES: dict[str, DimensionType] = {
    "stem.channels": "width",
    **{f"stage{i}.channels": "width" for i in range(1, 6)},
    **{f"stage{i}.expansion": "ratio" for i in range(1, 6)},
    "stage2.blocks": "count",
    **{f"stage{i}.{key}": kind for i in TRANSFORMER_STAGES for key, kind in _TRANSFORMER_KEYS.items()},
    "head": "head",
    "activation": "activation",
}
STAGE_CACHE = 16_384
_STAGE_KEYS = {i: tuple(name for name in DIMENSION_TYPES if name.startswith(f"stage{i}.")) for i in range(1, 6)}
_STAGE_DIMENSIONS = {i: tuple(name for name in DIMENSION_TYPES if name.startswith(f"stage{i}.")) for i in range(1, 6)}
OPTIONAL: dict[str, Value] = {"activation": "silu", **{f"stage{i}.heads": 4 for i in TRANSFORMER_STAGES}}
"""Dimensions that a space may leave out, and what they are then."""


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
    """

    name: str
    description: str
    dimensions: tuple[Dimension, ...]
    resolution: int = 256

    @cached_property
    def by_name(self) -> dict[str, Dimension]:
        """The dimensions by their names."""
        return {d.name: d for d in self.dimensions}

    @cached_property
    def content_hash(self) -> str:
        """Hash of what determines the candidates; the name and the description do not matter."""
        text = json.dumps([[d.name, d.choices] for d in self.dimensions] + [self.resolution])
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
        values = {**OPTIONAL, **point}
        return ArchSpec(
            ConvStem(_int(values["stem.channels"])),
            tuple(
                _decode_stage(i, tuple(values.get(name, "") for name in _STAGE_KEYS[i]), self._heads.get(i, ()))
                for i in range(1, 6)
            ),
            HEADS[str(values["head"])],
            activation=str(values["activation"]),
        )

    def encode(self, spec: ArchSpec) -> dict[str, Value]:
        """The point of a network.

        Raises:
            SpecError: the network is not in this space, with the dimension that it leaves.
        """
        values = _values_of(spec)
        point: dict[str, Value] = {}
        for d in self.dimensions:
            # What a kind of block does not have (heads in v2) is free: the first choice stands for all.
            value = values.get(d.name, d.choices[0])
            if d.name.endswith(".heads"):
                dim = _int(values.get(d.name.replace("heads", "dim"), 0))
                value = next((c for c in d.choices if legal_heads(dim, _int(c), d.choices) == value), value)
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
        return {name: self.encode(spec) for name, spec in published_networks().items() if spec in self}

    @cached_property
    def _choices(self) -> dict[str, frozenset[Value]]:
        return {d.name: frozenset(d.choices) for d in self.dimensions}

    @cached_property
    def _heads(self) -> dict[int, tuple[Value, ...]]:
        return {i: self.by_name[n].choices if (n := f"stage{i}.heads") in self.by_name else () for i in TRANSFORMER_STAGES}


@lru_cache(maxsize=STAGE_CACHE)
def _decode_stage(i: int, own: tuple[Value, ...], heads_allowed: tuple[Value, ...]) -> Stage:
    """One object for all networks that have the stage: a search holds many networks, and few stages that differ."""
    values = dict(zip(_STAGE_KEYS[i], own, strict=True))

    def get(key: str) -> Value:
        return values[f"stage{i}.{key}"]

    channels, expansion = _int(get("channels")), float(get("expansion"))
    if i not in TRANSFORMER_STAGES:
        return InvertedResidualStage(channels, expansion, _int(get("blocks")) if i == 2 else 1, stride=1 if i == 1 else 2)
    body, switches = parse_block(str(get("block")))
    dim, depth, ffn_ratio, patch = _int(get("dim")), _int(get("depth")), float(get("ffn_ratio")), parse_patch(get("patch"))
    if body == "v1":
        heads = legal_heads(dim, _int(get("heads")), heads_allowed)
        return MobileViTStage(channels, dim, depth, expansion, heads, ffn_ratio, patch, **switches)
    return MobileViTV2Stage(channels, dim, depth, expansion, ffn_ratio, patch, **switches)


def legal_heads(dim: int, heads: int, choices: tuple[Value, ...] = ()) -> int:
    """The largest number of heads, at most `heads`, that divides `dim` and leaves 8 or more channels to each.

    It is one of `choices` if any of them will do, else any number.
    """
    legal = [h for h in range(heads, 0, -1) if h == 1 or (dim % h == 0 and dim // h >= MIN_HEAD_DIM)]
    return next((h for h in legal if h in choices), legal[0])


def parse_block(label: str) -> tuple[str, dict[str, bool]]:
    """`v1`, `v2`, `v3-v1`, `v3-v2`, `v1+AB`, `v2+C` -> (body, switches).

    Raises:
        SpecError: not the name of a block.
    """
    body, _, letters = {"v3-v1": "v1+ABCD", "v3-v2": "v2+CD"}.get(label, label).partition("+")
    known = {"v1": "ABCD", "v2": "CD"}.get(body)
    ordered = known is not None and letters == "".join(c for c in known if c in letters) and label != f"{body}+"
    if known is None or not ordered:
        raise SpecError(
            f"unknown block `{shown(label)}`",
            "`v1`, `v2`, `v3-v1`, `v3-v2`, or single switches: `v1+A` to `v1+BCD`, `v2+C`, `v2+D`",
        )
    return body, {name: letter in letters for letter, name in zip("ABCD", SWITCHES, strict=True) if letter in known}


def parse_patch(value: Value) -> tuple[int, int]:
    """`4` or `8x4` -> (height, width) in pixels of the stage's map.

    Raises:
        SpecError: neither a side nor HEIGHTxWIDTH.
    """
    sides = str(value).split("x")
    if isinstance(value, float) or len(sides) > 2 or not all(s.isascii() and s.isdigit() and 1 <= int(s) <= 64 for s in sides):
        raise SpecError(f"patch `{shown(value)}`", "a side such as `2`, or HEIGHTxWIDTH such as `4x2`, from 1 to 64")
    return int(sides[0]), int(sides[-1])


def check_value(dimension: str, value: object) -> None:
    """Raise `SpecError` unless some network can have this value in this dimension."""
    kind = DIMENSION_TYPES[dimension]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SpecError(f"`{shown(value)}` is no plain value", _ALLOWED[kind])
    if kind == "block":
        parse_block(str(value))
    elif kind == "patch":
        parse_patch(value)
    elif kind == "head":
        ok = value in HEADS
    elif kind == "activation":
        ok = value in ACTIVATIONS
    elif kind == "ratio":
        ok = isinstance(value, int | float) and 1 <= value <= 16
    elif kind == "width":
        ok = isinstance(value, int) and 8 <= value <= 4096 and value % 8 == 0
    else:
        ok = isinstance(value, int) and 1 <= value <= 64
    if kind not in ("block", "patch") and not ok:
        raise SpecError(f"`{shown(value)}` is not allowed", _ALLOWED[kind])


_ALLOWED: dict[DimensionType, str] = {
    "width": "multiples of 8 from 8 to 4096",
    "count": "integers from 1 to 64",
    "ratio": "numbers from 1 to 16",
    "patch": "a side such as 2, or HEIGHTxWIDTH such as 4x2",
    "block": "v1, v2, v3-v1, v3-v2, or single switches such as v1+AB",
    "head": ", ".join(HEADS),
    "activation": ", ".join(ACTIVATIONS),
}


def _int(value: Value) -> int:
    return int(value)


def _values_of(spec: ArchSpec) -> dict[str, Value]:
    """Dimension values of a five-stage network; a stage of another family leaves its dimensions out."""
    values: dict[str, Value] = {
        "stem.channels": spec.stem.channels,
        "head": next((name for name, head in HEADS.items() if head == spec.head), ""),
        "activation": spec.activation,
    }
    for i, stage in enumerate(spec.stages, start=1):
        values |= {f"stage{i}.channels": stage.channels, f"stage{i}.expansion": stage.expansion}
        if isinstance(stage, InvertedResidualStage):
            values |= {f"stage{i}.blocks": stage.num_blocks}
            continue
        height, width = stage.patch
        values |= {
            f"stage{i}.block": stage.block,
            f"stage{i}.dim": stage.dim,
            f"stage{i}.depth": stage.depth,
            f"stage{i}.ffn_ratio": stage.ffn_ratio,
            f"stage{i}.patch": height if height == width else f"{height}x{width}",
        }
        if isinstance(stage, MobileViTStage):
            values[f"stage{i}.heads"] = stage.heads
    return values
