"""Search spaces of the MobileViT family: five stages, of which the last three hold transformers.

Every point decodes to a network that can be built: head counts are lowered until they divide the
transformer width, and patches that do not tile a map take the resize path that the published
networks take.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from mvsearch.errors import SpecError
from mvsearch.spec.arch import (
    LAYER_NORM,
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
from mvsearch.spec.codec import Codec, DimensionType, Named, Point, Value
from mvsearch.spec.plain import shown
from mvsearch.spec.published import DEFAULT_RESOLUTION

if TYPE_CHECKING:
    from mvsearch.spec.space import Dimension

MIN_HEAD_DIM = 8
HEADS: dict[str, Head] = {"expand": ExpandHead(), "pool": PoolHead()}
TRANSFORMER_STAGES = (3, 4, 5)

_TRANSFORMER_KEYS: dict[str, DimensionType] = {
    "block": "block", "dim": "width", "depth": "count", "heads": "count", "ffn_ratio": "ratio", "patch": "patch",
}  # fmt: skip
DIMENSIONS: dict[str, DimensionType] = {
    "stem.channels": "width",
    **{f"stage{i}.channels": "width" for i in range(1, 6)},
    **{f"stage{i}.expansion": "ratio" for i in range(1, 6)},
    "stage2.blocks": "count",
    **{f"stage{i}.{key}": kind for i in TRANSFORMER_STAGES for key, kind in _TRANSFORMER_KEYS.items()},
    "head": "head",
    "activation": "activation",
    "norm": "norm",
}
STAGE_CACHE = 16_384
_STAGE_KEYS = {i: tuple(name for name in DIMENSIONS if name.startswith(f"stage{i}.")) for i in range(1, 6)}
OPTIONAL: dict[str, Value] = {"activation": "silu", "norm": LAYER_NORM, **{f"stage{i}.heads": 4 for i in TRANSFORMER_STAGES}}
"""Dimensions that a space may leave out, and what they are then."""


Context = dict[int, tuple[Value, ...]]
"""Transformer stage -> the numbers of heads that the space has there."""


def context(dimensions: Named, _: int) -> Context:
    """What decoding needs to know of a space."""
    return {i: dimensions[n].choices if (n := f"stage{i}.heads") in dimensions else () for i in TRANSFORMER_STAGES}


def decode(values: Point, heads: Context) -> ArchSpec:
    """The network with these values."""
    return ArchSpec(
        ConvStem(int(values["stem.channels"])),
        tuple(_decode_stage(i, tuple(values.get(name, "") for name in _STAGE_KEYS[i]), heads.get(i, ())) for i in range(1, 6)),
        HEADS[str(values["head"])],
        activation=str(values["activation"]),
        norm=str(values["norm"]),
    )


@lru_cache(maxsize=STAGE_CACHE)
def _decode_stage(i: int, own: tuple[Value, ...], heads_allowed: tuple[Value, ...]) -> Stage:
    """One object for all networks that have the stage: a search holds many networks, and few stages that differ."""
    values = dict(zip(_STAGE_KEYS[i], own, strict=True))

    def get(key: str) -> Value:
        return values[f"stage{i}.{key}"]

    channels, expansion = int(get("channels")), float(get("expansion"))
    if i not in TRANSFORMER_STAGES:
        return InvertedResidualStage(channels, expansion, int(get("blocks")) if i == 2 else 1, stride=1 if i == 1 else 2)
    body, switches = parse_block(str(get("block")))
    dim, depth, ffn_ratio, patch = int(get("dim")), int(get("depth")), float(get("ffn_ratio")), parse_patch(get("patch"))
    if body == "v1":
        heads = legal_heads(dim, int(get("heads")), heads_allowed)
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


def values_of(spec: ArchSpec) -> dict[str, Value]:
    """Dimension values of a five-stage network; a stage of another family leaves its dimensions out."""
    values: dict[str, Value] = {
        "stem.channels": spec.stem.channels,
        "head": next((name for name, head in HEADS.items() if head == spec.head), ""),
        "activation": spec.activation,
        "norm": spec.norm,
    }
    for i, stage in enumerate(spec.stages, start=1):
        values |= {f"stage{i}.{key}": value for key, value in stage.knobs.items()}
        if isinstance(stage, MobileViTStage | MobileViTV2Stage):
            height, width = stage.patch
            values[f"stage{i}.patch"] = height if height == width else f"{height}x{width}"
    return values


def _alias(dimension: Dimension, value: Value, values: Mapping[str, Value]) -> Value:
    """Heads that are lowered to the same number stand for one another."""
    if not dimension.name.endswith(".heads"):
        return value
    dim, choices = int(values.get(dimension.name.replace("heads", "dim"), 0)), dimension.choices
    return next((c for c in choices if legal_heads(dim, int(c), choices) == value), value)


def _check_block(value: Value) -> None:
    parse_block(str(value))


def _check_patch(value: Value) -> None:
    parse_patch(value)


def _needed(given: Named) -> set[str]:
    needed = set(DIMENSIONS) - set(OPTIONAL)
    for dimension in given.values():
        stage, _, key = dimension.name.partition(".")
        # Heads may be left out only where no block has any.
        if key == "block" and any(parse_block(str(c))[0] == "v1" for c in dimension.choices):
            needed.add(f"{stage}.heads")
    return needed


CODEC = Codec(
    dimensions=DIMENSIONS,
    optional=OPTIONAL,
    resolution=DEFAULT_RESOLUTION,
    resolution_step=1,
    checks={"block": _check_block, "patch": _check_patch},
    allowed={
        "patch": "a side such as 2, or HEIGHTxWIDTH such as 4x2",
        "block": "v1, v2, v3-v1, v3-v2, or single switches such as v1+AB",
    },
    heads=HEADS,
    context=context,
    decode=decode,
    values_of=values_of,
    alias=_alias,
    needed=_needed,
)
