"""`ArchSpec`: one network, as plain frozen data; and the parts of the MobileViT family.

A network is a stem, stages and a head. Each of the three is a closed union of frozen
dataclasses told apart by their `kind`; another family adds members to these unions, a lowering
in `mvsearch.costs` and a block in `mvsearch.models`.

Sources: MobileViT (arXiv 2110.02178), MobileViTv2 (arXiv 2206.02680), MobileViTv3
(arXiv 2209.15159) and the official code, apple/ml-cvnets and micronDLA/MobileViTv3. Where paper
and code differ, the code is followed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, get_args

from mvsearch.errors import SpecError
from mvsearch.spec.checks import require, require_int, require_number, require_switch, require_width
from mvsearch.spec.efficientformer import (
    DoubleConvStem,
    EfficientFormerStage,
    EfficientFormerV2Stage,
    NormHead,
    TokenHead,
    check_joint,
)
from mvsearch.spec.plain import shown

SCHEMA_VERSION = 1
ACTIVATIONS = ("silu", "relu", "hardswish", "gelu", "relu6")
LAYER_NORM, BATCH_NORM = NORMS = ("layer_norm", "batch_norm")
"""Norms of the transformers: the family's own (layer norm; group norm of one group in v2), or a batch norm in its place."""
WIDTH_DIVISOR = 8
MAX_STAGES = 64
PART_CACHE = 4096
"""Texts of stages that are remembered; neighbours in a search share most of theirs."""


def make_divisible(value: float, divisor: int = WIDTH_DIVISOR, minimum: int | None = None) -> int:
    """Round to a multiple of `divisor`, never below 90 % of `value` (the rule of MobileNet and CVNets)."""
    rounded = max(minimum or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True, slots=True)
class ConvStem:
    """3x3 convolution with stride 2, batch norm, activation: (3, R, R) -> (channels, R/2, R/2)."""

    channels: int

    kind: ClassVar[str] = "conv"
    summary: ClassVar[str] = "conv 3x3"

    def __post_init__(self) -> None:
        require_width("stem.channels", self.channels)

    def computed(self, activation: str) -> dict[str, Any]:
        """What determines its function, in a network with this activation."""
        return _values(self)


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
    bound_side: ClassVar[None] = None

    def __post_init__(self) -> None:
        require_width("channels", self.channels)
        require_number("expansion", self.expansion, 1, 16)
        require_int("num_blocks", self.num_blocks, 1, 64)
        require_int("stride", self.stride, 1, 2)

    @property
    def block(self) -> str:
        """Short name of the block, as it stands in tables."""
        return "mv2"

    @property
    def knobs(self) -> dict[str, Any]:
        """Its numbers by the names that search spaces use."""
        own = {"block": self.block, "channels": self.channels, "expansion": self.expansion}
        return own | {"blocks": self.num_blocks, "stride": self.stride}

    def computed(self, in_channels: int) -> dict[str, Any]:
        """What determines its function."""
        # With several blocks the later ones expand the stage's own width.
        return _with_hidden(self, (in_channels, self.channels)[: 1 + (self.num_blocks > 1)])


def _check_transformer(stage: MobileViTStage | MobileViTV2Stage) -> None:
    require_width("channels", stage.channels)
    require_number("expansion", stage.expansion, 1, 16)
    require_width("dim", stage.dim)
    require_int("depth", stage.depth, 1, 64)
    require_number("ffn_ratio", stage.ffn_ratio, 0.25, 16)
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
    bound_side: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check_transformer(self)
        require_int("heads", self.heads, 1, 256)
        for name in SWITCHES:
            require_switch(name, getattr(self, name))
        require(
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

    @property
    def knobs(self) -> dict[str, Any]:
        """Its numbers by the names that search spaces use."""
        return {**_transformer_knobs(self), "heads": self.heads, "patch": patch_text(self.patch)}

    def computed(self, in_channels: int) -> dict[str, Any]:
        """What determines its function."""
        return _transformer_values(self, in_channels)


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
    bound_side: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check_transformer(self)
        require(
            self.ffn_dim >= 16,
            f"`ffn_ratio` `{self.ffn_ratio:g}` of `dim` `{self.dim}` gives no hidden unit",
            "the hidden width is rounded down to a multiple of 16 and has to be at least 16",
        )
        require_switch("concat_local", self.concat_local)
        require_switch("residual", self.residual)

    @property
    def ffn_dim(self) -> int:
        """Hidden width of the feed-forward network: rounded down to a multiple of 16 (CVNets' rule)."""
        return int(self.dim * self.ffn_ratio // 16 * 16)

    @property
    def block(self) -> str:
        """`v2`, `v3-v2`, or `v2+` and the letters of the switches that are on."""
        letters = _switch_letters(concat_local=self.concat_local, residual=self.residual)
        return {"": "v2", "CD": "v3-v2"}.get(letters, f"v2+{letters}")

    @property
    def knobs(self) -> dict[str, Any]:
        """Its numbers by the names that search spaces use."""
        return {**_transformer_knobs(self), "patch": patch_text(self.patch)}

    def computed(self, in_channels: int) -> dict[str, Any]:
        """What determines its function."""
        return _transformer_values(self, in_channels)


@dataclass(frozen=True, slots=True)
class ExpandHead:
    """1x1 convolution to min(ratio * C, max_channels), batch norm, activation, mean, linear (v1 and v3 on v1)."""

    ratio: int = 4
    max_channels: int = 960

    kind: ClassVar[str] = "expand"

    def __post_init__(self) -> None:
        require_int("head.ratio", self.ratio, 1, 64)
        require_int("head.max_channels", self.max_channels, 1, 8192)

    @property
    def label(self) -> str:
        """As it stands in tables: `expand 4 max 960`."""
        return f"{self.kind} {self.ratio} max {self.max_channels}"

    def width(self, in_channels: int) -> int:
        """Channels that the classifier sees."""
        return min(self.ratio * in_channels, self.max_channels)

    def computed(self, in_channels: int) -> list[Any]:
        """What determines its function."""
        return [self.kind, self.width(in_channels)]


@dataclass(frozen=True, slots=True)
class PoolHead:
    """Mean over the map, then linear (v2 and v3 on v2)."""

    kind: ClassVar[str] = "pool"
    label: ClassVar[str] = "pool"

    def width(self, in_channels: int) -> int:
        """Channels that the classifier sees."""
        return in_channels

    def computed(self, in_channels: int) -> list[Any]:
        """What determines its function."""
        return [self.kind, in_channels]


Stem = ConvStem | DoubleConvStem
Stage = InvertedResidualStage | MobileViTStage | MobileViTV2Stage | EfficientFormerStage | EfficientFormerV2Stage
Head = ExpandHead | PoolHead | TokenHead | NormHead

_STEMS: dict[str, type[Any]] = {c.kind: c for c in get_args(Stem)}
_STAGES: dict[str, type[Any]] = {c.kind: c for c in get_args(Stage)}
_HEADS: dict[str, type[Any]] = {c.kind: c for c in get_args(Head)}
_JOINTS: dict[type, Callable[[Any, Any, Any], None]] = {EfficientFormerStage: check_joint, EfficientFormerV2Stage: check_joint}
"""Stages that cannot stand between any two parts, and what says between which."""
_TUPLES = ("patch", "ffn_ratios")
"""Fields of stages that are tuples, and lists in JSON."""


@dataclass(frozen=True)
class ArchSpec:
    """One network. Frozen and hashable; change it with `dataclasses.replace`.

    Attributes:
        stem: the first layer.
        stages: the stages in order; a MobileViT has five, an EfficientFormer four.
        head: from the last map to the logits.
        activation: one of `ACTIVATIONS`, everywhere that the family has an activation.
        num_classes: outputs of the classifier.
        in_channels: channels of the image.
        norm: of the transformers of MobileViT blocks, one of `NORMS`. A batch norm is part of what follows it once trained.

    Raises:
        SpecError: a value that no network can have, with what is allowed.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    activation: str = "silu"
    num_classes: int = 1000
    in_channels: int = 3
    norm: str = LAYER_NORM

    def __post_init__(self) -> None:
        require(isinstance(self.stages, tuple) and len(self.stages) > 0, "`stages` is empty", "at least one stage")
        require(len(self.stages) <= MAX_STAGES, f"{len(self.stages):,} stages", f"at most {MAX_STAGES}")
        require(
            self.activation in ACTIVATIONS, f"unknown activation `{shown(self.activation)}`", f"one of {', '.join(ACTIVATIONS)}"
        )
        require_int("num_classes", self.num_classes, 1, 1_000_000)
        require_int("in_channels", self.in_channels, 1, 256)
        require(self.norm in NORMS, f"unknown norm `{shown(self.norm)}`", f"one of {', '.join(NORMS)}")
        require(
            self.norm == LAYER_NORM
            or not any(isinstance(s, EfficientFormerStage | EfficientFormerV2Stage) for s in self.stages),
            f"norm `{self.norm}` in an EfficientFormer, whose blocks have norms of their own",
            f"leave it at `{LAYER_NORM}`; `{BATCH_NORM}` is for MobileViTs",
        )
        for i, stage in enumerate(self.stages):
            if joint := _JOINTS.get(type(stage)):
                joint(stage, self.stages[i - 1] if i else self.stem, (*self.stages, self.head)[i + 1])

    def __hash__(self) -> int:
        return hash(self.arch_id)

    @cached_property
    def arch_id(self) -> str:
        """Content hash: two spellings of one network (2 and 2.0; two ratios that round to one width) share it."""
        return hashlib.sha256(canonical_text(self).encode()).hexdigest()[:12]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block names of the stages that attend, e.g. `("v1", "v1", "v3-v1")`."""
        return tuple(s.block for s in self.stages if attends(s))

    @property
    def transformer_stages(self) -> tuple[MobileViTStage | MobileViTV2Stage, ...]:
        """The stages that hold a MobileViT block."""
        return tuple(s for s in self.stages if isinstance(s, MobileViTStage | MobileViTV2Stage))

    def with_classes(self, num_classes: int) -> ArchSpec:
        """The same network with another classifier."""
        return replace(self, num_classes=num_classes)


def attends(stage: Stage) -> bool:
    """Whether any block of the stage attends."""
    return isinstance(stage, MobileViTStage | MobileViTV2Stage) or getattr(stage, "attention", 0) > 0


def canonical_text(spec: ArchSpec) -> str:
    """What determines the function that the network computes, with every rule (rounding, caps) applied: compact JSON.

    Put together from the texts of the parts, which neighbours in a search share.
    """
    channels = (spec.stem.channels, *(s.channels for s in spec.stages))
    stages = ",".join(map(_stage_text, spec.stages, channels))
    head = _json(spec.head.computed(channels[-1]))
    return (
        f'{{"activation":{_json(spec.activation)},"head":{head},"in_channels":{spec.in_channels},{_norm_text(spec)}'
        f'"num_classes":{spec.num_classes},"stages":[{stages}],"stem":{_stem_text(spec.stem, spec.activation)}}}'
    )


def _norm_text(spec: ArchSpec) -> str:
    """Nothing for the families' own, nor where no transformer has a norm."""
    return "" if spec.norm == LAYER_NORM or not spec.transformer_stages else f'"norm":{_json(spec.norm)},'


@lru_cache(maxsize=PART_CACHE)
def _stage_text(stage: Stage, in_channels: int) -> str:
    return _json(stage.computed(in_channels))


@lru_cache(maxsize=PART_CACHE)
def _stem_text(stem: Stem, activation: str) -> str:
    return _json(stem.computed(activation))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _values(part: Stem | Stage | Head) -> dict[str, Any]:
    return {"kind": part.kind, **{f.name: getattr(part, f.name) for f in fields(part)}}


def _with_hidden(stage: InvertedResidualStage | MobileViTStage | MobileViTV2Stage, widths: tuple[int, ...]) -> dict[str, Any]:
    """The stage's values, the expansion as the hidden widths of the inverted residuals that start from these widths."""
    values = _values(stage)
    expansion = values.pop("expansion")
    values["hidden"] = [0 if expansion == 1 else expanded_width(width, expansion) for width in widths]
    return values


def _transformer_values(stage: MobileViTStage | MobileViTV2Stage, in_channels: int) -> dict[str, Any]:
    values = _with_hidden(stage, (in_channels,))
    del values["ffn_ratio"]
    return {**values, "ffn_dim": stage.ffn_dim}


def _transformer_knobs(stage: MobileViTStage | MobileViTV2Stage) -> dict[str, Any]:
    own = {"block": stage.block, "channels": stage.channels, "expansion": stage.expansion}
    return {**own, "dim": stage.dim, "depth": stage.depth, "ffn_ratio": stage.ffn_ratio}


def patch_text(patch: tuple[int, int]) -> str:
    """`2x2`: height x width."""
    return f"{patch[0]}x{patch[1]}"


def to_json(spec: ArchSpec) -> dict[str, Any]:
    """Plain data for `json.dumps`; `from_json` gives the same `ArchSpec` back."""
    return {
        "schema_version": SCHEMA_VERSION,
        "arch_id": spec.arch_id,
        "stem": _values(spec.stem),
        "stages": [_plain_values(s) for s in spec.stages],
        "head": _values(spec.head),
        "activation": spec.activation,
        "num_classes": spec.num_classes,
        "in_channels": spec.in_channels,
        **({} if spec.norm == LAYER_NORM else {"norm": spec.norm}),
    }


def _plain_values(stage: Stage) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _values(stage).items()}


def from_json(data: Any) -> ArchSpec:
    """Read what `to_json` wrote.

    Raises:
        SpecError: not an architecture, an unknown schema or kind, an unknown, missing or impossible value,
            or an `arch_id` that does not belong to the values (the file was edited).
    """
    require(isinstance(data, dict), "not an architecture: a JSON object is expected", "see `mvsearch describe NAME --json`")
    version = data.get("schema_version")
    require(version == SCHEMA_VERSION, f"architecture schema `{shown(version)}`", f"this version reads schema {SCHEMA_VERSION}")
    keys = {"schema_version", "arch_id", *(f.name for f in fields(ArchSpec))}
    unknown = sorted(set(data) - keys)
    require(
        not unknown,
        f"unknown key `{', '.join(map(shown, unknown[:5]))}` in an architecture",
        f"known: {', '.join(sorted(keys))}",
    )
    stages = data.get("stages")
    require(isinstance(stages, list), "`stages` is missing or no list", "a list of stages, each with its `kind`")
    spec = ArchSpec(
        stem=_part(data.get("stem"), _STEMS, "stem"),
        stages=tuple(_part(s, _STAGES, f"stages[{i}]") for i, s in enumerate(stages)),
        head=_part(data.get("head"), _HEADS, "head"),
        **{k: data[k] for k in ("activation", "num_classes", "in_channels", "norm") if k in data},
    )
    stated = data.get("arch_id")
    require(
        stated in (None, spec.arch_id),
        f"`arch_id` `{shown(stated)}` does not belong to these values (they give `{spec.arch_id}`)",
        "leave `arch_id` out of a file that was edited by hand",
    )
    return spec


def _part(data: Any, kinds: dict[str, type[Any]], where: str) -> Any:
    require(isinstance(data, dict), f"`{where}` is missing or no object", f"an object with `kind`: {', '.join(kinds)}")
    kind = data.get("kind")
    require(isinstance(kind, str) and kind in kinds, f"`{where}.kind` is `{shown(kind)}`", f"one of {', '.join(kinds)}")
    cls = kinds[kind]
    names = {f.name for f in fields(cls)}
    values = {k: v for k, v in data.items() if k != "kind"}
    unknown = sorted(set(values) - names)
    require(not unknown, f"unknown key `{where}.{', '.join(map(shown, unknown[:5]))}`", f"known: {', '.join(sorted(names))}")
    values |= {k: tuple(values[k]) for k in _TUPLES if isinstance(values.get(k), list)}
    try:
        return cls(**values)
    except TypeError as error:
        raise SpecError(f"`{where}` is incomplete: {error}", f"keys: {', '.join(sorted(names))}") from None
    except SpecError as error:
        raise SpecError(f"{where}: {error.message}", error.hint) from None
