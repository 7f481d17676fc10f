"""Search spaces of EfficientFormer and EfficientFormerV2: four stages of blocks, of which the last ones attend.

A point that asks for more blocks with attention than its stage has gets as many as there are. Feed-forward ratios of v2
are a dimension per block (`stage3.ffn7`); those of blocks beyond a stage's depth are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mvsearch.errors import SpecError
from mvsearch.spec.arch import ArchSpec, Head, Stage
from mvsearch.spec.codec import Codec, DimensionType, Named, Point, Value
from mvsearch.spec.efficientformer import (
    TOTAL_STRIDE,
    DoubleConvStem,
    EfficientFormerStage,
    NormHead,
    TokenHead,
)
from mvsearch.spec.efficientformer_published import RESOLUTION, side_of, v2_stage
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from mvsearch.spec.space import Dimension

STAGES = (1, 2, 3, 4)
MAX_BLOCKS = 24
"""Of a stage of v2 in a space: every one has a dimension of its own."""
STAGE_CACHE = 16_384
_DEPTHS = tuple(f"stage{i}.depth" for i in STAGES)


def _stages(attending: tuple[int, ...], ffn_ratios: tuple[str, ...]) -> dict[str, DimensionType]:
    dimensions: dict[str, DimensionType] = {}
    for i in STAGES:
        dimensions |= {f"stage{i}.channels": "width", f"stage{i}.depth": "count"}
        if i in attending:
            dimensions[f"stage{i}.attention"] = "count"
        for name in ffn_ratios:
            dimensions[f"stage{i}.{name}"] = "ratio"
    return dimensions


_V1_STAGES = _stages((4,), ("ffn_ratio",))
_V2_STAGES = _stages((3, 4), tuple(f"ffn{b}" for b in range(1, MAX_BLOCKS + 1)))
V1_HEADS: dict[str, Head] = {"single": TokenHead(), "distilled": TokenHead(distilled=True)}
V2_HEADS: dict[str, Head] = {"single": NormHead(), "distilled": NormHead(distilled=True)}
_OPTIONAL: dict[str, Value] = {"head": "single", "activation": "gelu"}
V1_OPTIONAL: dict[str, Value] = {**_OPTIONAL, **{f"stage{i}.ffn_ratio": 4 for i in STAGES}}
V2_OPTIONAL: dict[str, Value] = {**_OPTIONAL, **{n: 4 for n, kind in _V2_STAGES.items() if kind == "ratio"}}


def _side(_: Named, resolution: int) -> int:
    return side_of(resolution)


def _decode_v1(values: Point, side: int) -> ArchSpec:
    stages = tuple(
        _v1_stage(
            i, int(values[f"stage{i}.channels"]), int(values[f"stage{i}.depth"]),
            int(values.get(f"stage{i}.attention", 0)), float(values[f"stage{i}.ffn_ratio"]), side,
        )
        for i in STAGES
    )  # fmt: skip
    stem = DoubleConvStem(stages[0].channels, "relu")
    return ArchSpec(stem, stages, V1_HEADS[str(values["head"])], activation=str(values["activation"]))


def _decode_v2(values: Point, side: int) -> ArchSpec:
    stages = tuple(
        _v2_stage(
            i, int(values[f"stage{i}.channels"]),
            tuple([float(values[f"stage{i}.ffn{b}"]) for b in range(1, int(values[f"stage{i}.depth"]) + 1)]),
            int(values.get(f"stage{i}.attention", 0)), side,
        )
        for i in STAGES
    )  # fmt: skip
    stem = DoubleConvStem(stages[0].channels)
    return ArchSpec(stem, stages, V2_HEADS[str(values["head"])], activation=str(values["activation"]))


# One object for all networks that have the stage: a search holds many networks, and few stages that differ.
@lru_cache(maxsize=STAGE_CACHE)
def _v1_stage(i: int, channels: int, depth: int, attention: int, ffn_ratio: float, side: int) -> Stage:
    return EfficientFormerStage(channels, depth, min(attention, depth), 2 if i > 1 else 1, ffn_ratio, side)


@lru_cache(maxsize=STAGE_CACHE)
def _v2_stage(i: int, channels: int, ffn_ratios: tuple[float, ...], attention: int, side: int) -> Stage:
    return v2_stage(i - 1, channels, ffn_ratios, min(attention, len(ffn_ratios)), side)


def _values_of(spec: ArchSpec, heads: Mapping[str, Head]) -> dict[str, Value]:
    """Dimension values of a network; a stage of another family leaves its dimensions out."""
    values: dict[str, Value] = {
        "head": next((name for name, head in heads.items() if head == spec.head), ""),
        "activation": spec.activation,
    }
    for i, stage in enumerate(spec.stages, start=1):
        values |= {f"stage{i}.{key}": value for key, value in stage.knobs.items()}
    return values


def _v1_values(spec: ArchSpec) -> dict[str, Value]:
    return _values_of(spec, V1_HEADS)


def _v2_values(spec: ArchSpec) -> dict[str, Value]:
    return _values_of(spec, V2_HEADS)


def _alias(dimension: Dimension, value: Value, values: Mapping[str, Value]) -> Value:
    """A number of blocks with attention above the stage's depth stands for all of them."""
    if not dimension.name.endswith(".attention") or value in dimension.choices:
        return value
    depth = values.get(dimension.name.replace("attention", "depth"), 0)
    return next((c for c in dimension.choices if min(int(c), int(depth)) == value), value)


def _check_attention(value: Value) -> None:
    if not (isinstance(value, int) and 0 <= value <= 64):
        raise SpecError(f"`{shown(value)}` is not allowed", _ATTENTION)


def _check_even(value: Value) -> None:
    if not (isinstance(value, int) and 2 <= value <= 4096 and value % 2 == 0):
        raise SpecError(f"`{shown(value)}` is not allowed", "even numbers from 2 to 4096")


def _check_v2_depth(value: Value) -> None:
    if not (isinstance(value, int) and 1 <= value <= MAX_BLOCKS):
        raise SpecError(f"`{shown(value)}` is not allowed", f"integers from 1 to {MAX_BLOCKS}")


_ATTENTION = "integers from 0 to 64"


def _codec(stages: Mapping[str, DimensionType], optional: Mapping[str, Value], heads: Mapping[str, Head], **ways: Any) -> Codec:
    dimensions: dict[str, DimensionType] = {**stages, "head": "head", "activation": "activation"}
    needed = set(dimensions) - set(optional)
    return Codec(
        dimensions=dimensions,
        optional=optional,
        resolution=RESOLUTION,
        resolution_step=TOTAL_STRIDE,
        heads=heads,
        context=_side,
        alias=_alias,
        needed=lambda _: needed,
        allowed={f"stage{i}.attention": _ATTENTION for i in STAGES},
        **ways,
    )


_CHECKS = {f"stage{i}.attention": _check_attention for i in STAGES} | {"width": _check_even}
V1 = _codec(_V1_STAGES, V1_OPTIONAL, V1_HEADS, checks=_CHECKS, decode=_decode_v1, values_of=_v1_values)
V2 = _codec(
    _V2_STAGES, V2_OPTIONAL, V2_HEADS, decode=_decode_v2, values_of=_v2_values,
    checks=_CHECKS | dict.fromkeys(_DEPTHS, _check_v2_depth),
)  # fmt: skip
