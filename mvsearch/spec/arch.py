"""`ArchSpec`: one network of the MobileViT family, as plain frozen data.

A network is a stem, five stages and a head. Each of the three is a closed union of frozen
dataclasses told apart by their `kind`; another family adds members to these unions, a lowering
in `mvsearch.costs` and a block in `mvsearch.models`, and touches nothing that is here.

Sources: MobileViT (arXiv 2110.02178), MobileViTv2 (arXiv 2206.02680), MobileViTv3
(arXiv 2209.15159) and the official code, apple/ml-cvnets and micronDLA/MobileViTv3. Where paper
and code differ, the code is followed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from mvsearch.errors import SpecError
from mvsearch.spec.plain import shown

SCHEMA_VERSION = 1
ACTIVATIONS = ("silu", "relu", "hardswish", "gelu", "relu6")
WIDTH_DIVISOR = 8
MAX_STAGES = 64
PART_CACHE = 4096
"""Texts of stages that are remembered; neighbours in a search share most of theirs."""


def make_divisible(value: float, divisor: int = WIDTH_DIVISOR, minimum: int | None = None) -> int:
    """Round to a multiple of `divisor`, never below 90 % of `value` (the rule of MobileNet and CVNets)."""
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _require(condition: bool, what: str, hint: str) -> None:
    if not condition:
        raise SpecError(what, hint)


def _require_int(name: str, value: object, low: int, high: int) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not ok:
        raise SpecError(f"`{name}` is `{shown(value)}`", f"an integer from {low} to {high}")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not ok:
        raise SpecError(f"`{name}` is `{shown(value)}`", f"a number from {low:g} to {high:g}")


def _require_switches(stage: MobileViTStage | MobileViTV2Stage, *names: str) -> None:
    for name in names:
        if not isinstance(value := getattr(stage, name), bool):
            raise SpecError(f"`{name}` is `{shown(value)}`", "true or false")


def _require_width(name: str, value: object) -> None:
    _require_int(name, value, 1, 4096)


@dataclass(frozen=True, slots=True)
class ConvStem:
    """3x3 convolution with stride 2, batch norm, activation: (3, R, R) -> (channels, R/2, R/2)."""

    channels: int

    kind: ClassVar[str] = "conv"

    def __post_init__(self) -> None:
        _require_width("stem.channels", self.channels)


def expanded_width(in_channels: int, expansion: float) -> int:
    """Hidden width of an inverted residual: the INPUT width times `expansion`, rounded to 8 (CVNets' rule)."""
    return make_divisible(round(in_channels * expansion))


@dataclass(frozen=True, slots=True)
class InvertedResidualStage:
    """`num_blocks` inverted residuals (MobileNetV2 blocks); the first has the stage's stride."""

    channels: int
    expansion: float = 2
    num_blocks: int = 1
    stride: int = 1

    kind: ClassVar[str] = "inverted_residual"

    def __post_init__(self) -> None:
        _require_width("channels", self.channels)
        _require_number("expansion", self.expansion, 1, 16)
        _require_int("num_blocks", self.num_blocks, 1, 64)
        _require_int("stride", self.stride, 1, 2)

    @property
    def block(self) -> str:
        """Short name of the block, as it stands in tables."""
        return "mv2"


def _check_transformer(stage: MobileViTStage | MobileViTV2Stage) -> None:
    _require_width("channels", stage.channels)
    _require_number("expansion", stage.expansion, 1, 16)
    _require_width("dim", stage.dim)
    _require_int("depth", stage.depth, 1, 64)
    _require_number("ffn_ratio", stage.ffn_ratio, 0.25, 16)
    patch = stage.patch
    ok = isinstance(patch, tuple) and len(patch) == 2 and all(type(p) is int and 1 <= p <= 64 for p in patch)
    if not ok:
        hint = "two integers (height, width) from 1 to 64, in pixels of the stage's map"
        raise SpecError(f"`patch` is `{shown(patch)}`", hint)


SWITCHES = ("dw_local", "fuse_1x1", "concat_local", "residual")
"""The four changes of MobileViTv3 over v1 in the order of their letters: A, B, C, D."""


def _switch_letters(**on: bool) -> str:
    return "".join(letter for letter, name in zip("ABCD", SWITCHES, strict=True) if on.get(name))


@dataclass(frozen=True, slots=True)
class MobileViTStage:
    """An inverted residual with stride 2, then a MobileViT block with softmax attention (v1, and v3 on v1).

    The four switches are the changes of MobileViTv3 (arXiv 2209.15159, section 3), each on its own:
    A `dw_local` depthwise instead of dense 3x3 local convolution, B `fuse_1x1` 1x1 instead of 3x3
    fusion, C `concat_local` fuse with the local features instead of the block's input, D `residual`
    add the block's input. All off is v1; all on is v3.
    """

    channels: int
    dim: int
    depth: int
    expansion: float = 4
    heads: int = 4
    ffn_ratio: float = 2
    patch: tuple[int, int] = (2, 2)
    dw_local: bool = False
    fuse_1x1: bool = False
    concat_local: bool = False
    residual: bool = False

    kind: ClassVar[str] = "mobilevit"

    def __post_init__(self) -> None:
        _check_transformer(self)
        _require_int("heads", self.heads, 1, 256)
        _require_switches(self, *SWITCHES)
        _require(
            self.dim % self.heads == 0,
            f"`heads` is `{self.heads}`, which does not divide `dim` `{self.dim}`",
            "choose a number of heads that divides the transformer width",
        )

    @property
    def ffn_dim(self) -> int:
        """Hidden width of the feed-forward network."""
        return int(self.dim * self.ffn_ratio)

    @property
    def block(self) -> str:
        """`v1`, `v3-v1`, or `v1+` and the letters of the switches that are on."""
        letters = _switch_letters(
            dw_local=self.dw_local, fuse_1x1=self.fuse_1x1, concat_local=self.concat_local, residual=self.residual
        )
        return {"": "v1", "ABCD": "v3-v1"}.get(letters, f"v1+{letters}")


@dataclass(frozen=True, slots=True)
class MobileViTV2Stage:
    """An inverted residual with stride 2, then a MobileViT block with separable attention (v2, and v3 on v2).

    The local convolution is depthwise already and there is no 3x3 fusion, so that of MobileViTv3's
    switches only C `concat_local` and D `residual` remain.
    """

    channels: int
    dim: int
    depth: int
    expansion: float = 2
    ffn_ratio: float = 2
    patch: tuple[int, int] = (2, 2)
    concat_local: bool = False
    residual: bool = False

    kind: ClassVar[str] = "mobilevitv2"

    def __post_init__(self) -> None:
        _check_transformer(self)
        _require(
            self.ffn_dim >= 16,
            f"`ffn_ratio` `{self.ffn_ratio:g}` of `dim` `{self.dim}` gives no hidden unit",
            "the hidden width is rounded down to a multiple of 16 and has to be at least 16",
        )
        _require_switches(self, "concat_local", "residual")

    @property
    def ffn_dim(self) -> int:
        """Hidden width of the feed-forward network: rounded down to a multiple of 16 (CVNets' rule)."""
        return int(self.dim * self.ffn_ratio // 16 * 16)

    @property
    def block(self) -> str:
        """`v2`, `v3-v2`, or `v2+` and the letters of the switches that are on."""
        letters = _switch_letters(concat_local=self.concat_local, residual=self.residual)
        return {"": "v2", "CD": "v3-v2"}.get(letters, f"v2+{letters}")


@dataclass(frozen=True, slots=True)
class ExpandHead:
    """1x1 convolution to min(ratio * C, max_channels), batch norm, activation, mean, linear (v1 and v3 on v1)."""

    ratio: int = 4
    max_channels: int = 960

    kind: ClassVar[str] = "expand"

    def __post_init__(self) -> None:
        _require_int("head.ratio", self.ratio, 1, 64)
        _require_int("head.max_channels", self.max_channels, 1, 8192)

    def width(self, in_channels: int) -> int:
        """Channels that the classifier sees."""
        return min(self.ratio * in_channels, self.max_channels)


@dataclass(frozen=True, slots=True)
class PoolHead:
    """Mean over the map, then linear (v2 and v3 on v2)."""

    kind: ClassVar[str] = "pool"

    def width(self, in_channels: int) -> int:
        """Channels that the classifier sees."""
        return in_channels


Stem = ConvStem
Stage = InvertedResidualStage | MobileViTStage | MobileViTV2Stage
Head = ExpandHead | PoolHead

_STEMS: dict[str, type[Any]] = {c.kind: c for c in (ConvStem,)}
_STAGES: dict[str, type[Any]] = {c.kind: c for c in (InvertedResidualStage, MobileViTStage, MobileViTV2Stage)}
_HEADS: dict[str, type[Any]] = {c.kind: c for c in (ExpandHead, PoolHead)}


@dataclass(frozen=True)
class ArchSpec:
    """One network. Frozen and hashable; change it with `dataclasses.replace`.

    Attributes:
        stem: the first layer.
        stages: the stages in order; a MobileViT has five.
        head: from the last map to the logits.
        activation: one of `ACTIVATIONS`, everywhere that the family has an activation.
        num_classes: outputs of the classifier.
        in_channels: channels of the image.

    Raises:
        SpecError: a value that no network can have, with what is allowed.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    activation: str = "silu"
    num_classes: int = 1000
    in_channels: int = 3

    def __post_init__(self) -> None:
        _require(isinstance(self.stages, tuple) and len(self.stages) > 0, "`stages` is empty", "at least one stage")
        _require(len(self.stages) <= MAX_STAGES, f"{len(self.stages):,} stages", f"at most {MAX_STAGES}")
        _require(
            self.activation in ACTIVATIONS, f"unknown activation `{shown(self.activation)}`", f"one of {', '.join(ACTIVATIONS)}"
        )
        _require_int("num_classes", self.num_classes, 1, 1_000_000)
        _require_int("in_channels", self.in_channels, 1, 256)

    def __hash__(self) -> int:
        return hash(self.arch_id)

    @cached_property
    def arch_id(self) -> str:
        """Content hash: two spellings of one network (2 and 2.0; two ratios that round to one width) share it."""
        return hashlib.sha256(canonical_text(self).encode()).hexdigest()[:12]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block names of the transformer stages, e.g. `("v1", "v1", "v3-v1")`."""
        return tuple(s.block for s in self.transformer_stages)

    @property
    def transformer_stages(self) -> tuple[MobileViTStage | MobileViTV2Stage, ...]:
        """The stages that hold a MobileViT block."""
        return tuple(s for s in self.stages if isinstance(s, MobileViTStage | MobileViTV2Stage))

    def with_classes(self, num_classes: int) -> ArchSpec:
        """The same network with another classifier."""
        return replace(self, num_classes=num_classes)


def canonical_text(spec: ArchSpec) -> str:
    """What determines the function that the network computes, with every rule (rounding, caps) applied: compact JSON.

    Put together from the texts of the parts, which neighbours in a search share.
    """
    channels = (spec.stem.channels, *(s.channels for s in spec.stages))
    stages = ",".join(map(_stage_text, spec.stages, channels))
    head = _json([spec.head.kind, spec.head.width(channels[-1])])
    return (
        f'{{"activation":{_json(spec.activation)},"head":{head},"in_channels":{spec.in_channels},'
        f'"num_classes":{spec.num_classes},"stages":[{stages}],"stem":{_stem_text(spec.stem)}}}'
    )


@lru_cache(maxsize=PART_CACHE)
def _stage_text(stage: Stage, in_channels: int) -> str:
    values = _values(stage)
    expansion = values.pop("expansion")
    # With several blocks the later ones expand the stage's own width.
    values["hidden"] = [
        0 if expansion == 1 else expanded_width(width, expansion)
        for width in (in_channels, stage.channels)[: 1 + (values.get("num_blocks", 1) > 1)]
    ]
    if "ffn_ratio" in values:
        del values["ffn_ratio"]
        values["ffn_dim"] = stage.ffn_dim  # type: ignore[union-attr]
    return _json(values)


@lru_cache(maxsize=PART_CACHE)
def _stem_text(stem: Stem) -> str:
    return _json(_values(stem))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _values(part: Stem | Stage | Head) -> dict[str, Any]:
    return {"kind": part.kind, **{f.name: getattr(part, f.name) for f in fields(part)}}


def to_json(spec: ArchSpec) -> dict[str, Any]:
    """Plain data for `json.dumps`; `from_json` gives the same `ArchSpec` back."""
    return {
        "schema_version": SCHEMA_VERSION,
        "arch_id": spec.arch_id,
        "stem": _values(spec.stem),
        "stages": [{**_values(s), **({"patch": list(s.patch)} if hasattr(s, "patch") else {})} for s in spec.stages],
        "head": _values(spec.head),
        "activation": spec.activation,
        "num_classes": spec.num_classes,
        "in_channels": spec.in_channels,
    }


def from_json(data: Any) -> ArchSpec:
    """Read what `to_json` wrote.

    Raises:
        SpecError: not an architecture, an unknown schema or kind, an unknown, missing or impossible value,
            or an `arch_id` that does not belong to the values (the file was edited).
    """
    _require(isinstance(data, dict), "not an architecture: a JSON object is expected", "see `mvsearch describe NAME --json`")
    version = data.get("schema_version")
    _require(
        version == SCHEMA_VERSION, f"architecture schema `{shown(version)}`", f"this version reads schema {SCHEMA_VERSION}"
    )
    keys = {"schema_version", "arch_id", *(f.name for f in fields(ArchSpec))}
    unknown = sorted(set(data) - keys)
    _require(
        not unknown,
        f"unknown key `{', '.join(map(shown, unknown[:5]))}` in an architecture",
        f"known: {', '.join(sorted(keys))}",
    )
    stages = data.get("stages")
    _require(isinstance(stages, list), "`stages` is missing or no list", "a list of stages, each with its `kind`")
    spec = ArchSpec(
        stem=_part(data.get("stem"), _STEMS, "stem"),
        stages=tuple(_part(s, _STAGES, f"stages[{i}]") for i, s in enumerate(stages)),
        head=_part(data.get("head"), _HEADS, "head"),
        **{k: data[k] for k in ("activation", "num_classes", "in_channels") if k in data},
    )
    stated = data.get("arch_id")
    _require(
        stated in (None, spec.arch_id),
        f"`arch_id` `{shown(stated)}` does not belong to these values (they give `{spec.arch_id}`)",
        "leave `arch_id` out of a file that was edited by hand",
    )
    return spec


def _part(data: Any, kinds: dict[str, type[Any]], where: str) -> Any:
    _require(isinstance(data, dict), f"`{where}` is missing or no object", f"an object with `kind`: {', '.join(kinds)}")
    kind = data.get("kind")
    _require(isinstance(kind, str) and kind in kinds, f"`{where}.kind` is `{shown(kind)}`", f"one of {', '.join(kinds)}")
    cls = kinds[kind]
    names = {f.name for f in fields(cls)}
    values = {k: v for k, v in data.items() if k != "kind"}
    unknown = sorted(set(values) - names)
    _require(not unknown, f"unknown key `{where}.{', '.join(map(shown, unknown[:5]))}`", f"known: {', '.join(sorted(names))}")
    if isinstance(values.get("patch"), list):
        values["patch"] = tuple(values["patch"])
    try:
        return cls(**values)
    except TypeError as error:
        raise SpecError(f"`{where}` is incomplete: {error}", f"keys: {', '.join(sorted(names))}") from None
    except SpecError as error:
        raise SpecError(f"{where}: {error.message}", error.hint) from None
