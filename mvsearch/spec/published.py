"""The published networks as data, and their names; those of EfficientFormer are in a module of their own.

Sources: MobileViT, Table 4 of arXiv 2110.02178 and apple/ml-cvnets; MobileViTv2, section 3 of
arXiv 2206.02680 and apple/ml-cvnets; MobileViTv3, Tables 1 and 2 of arXiv 2209.15159 and
micronDLA/MobileViTv3. The numbers are those of the official code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from mvsearch.errors import InputError
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
    make_divisible,
)
from mvsearch.spec.efficientformer import TOTAL_STRIDE, EfficientFormerStage, EfficientFormerV2Stage
from mvsearch.spec.efficientformer_published import RESOLUTION, efficientformers, efficientformersv2
from mvsearch.spec.efficientformer_published import with_suffix as efficientformer_with_suffix

DEFAULT_RESOLUTION = 256
"""Of the MobileViT family, and wherever a number has to hold for every network."""
CONFIG_B = (8, 4, 2)
"""Patch sizes of stages 3 to 5 in MobileViT's Config B (arXiv 2110.02178, section 4.3)."""


@dataclass(frozen=True, slots=True)
class _V1Widths:
    expansion: int
    channels: tuple[int, int, int, int, int]
    dims: tuple[int, int, int]


_V1 = {
    "xxs": _V1Widths(2, (16, 24, 48, 64, 80), (64, 80, 96)),
    "xs": _V1Widths(4, (32, 48, 64, 80, 96), (96, 120, 144)),
    "s": _V1Widths(4, (32, 64, 96, 128, 160), (144, 192, 240)),
}
_V3 = {
    "xxs": _V1Widths(2, (16, 24, 64, 80, 128), (64, 80, 96)),
    "xs": _V1Widths(4, (32, 48, 96, 160, 160), (96, 120, 144)),
    "s": _V1Widths(4, (32, 64, 128, 256, 320), (144, 192, 240)),
}
V2_MULTIPLIERS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
V3_ON_V2_MULTIPLIERS = (0.5, 0.75, 1.0)


def _v1_body(widths: _V1Widths, depths: tuple[int, int, int], switches: bool) -> ArchSpec:
    c1, c2, *attention_channels = widths.channels
    convolutional: tuple[Stage, ...] = (
        InvertedResidualStage(c1, widths.expansion, 1, 1),
        InvertedResidualStage(c2, widths.expansion, 3, 2),
    )
    attention = tuple(
        MobileViTStage(
            channels, dim, depth, widths.expansion,
            dw_local=switches, fuse_1x1=switches, concat_local=switches, residual=switches,
        )
        for channels, dim, depth in zip(attention_channels, widths.dims, depths, strict=True)
    )  # fmt: skip
    return ArchSpec(ConvStem(16), convolutional + attention, ExpandHead())


def mobilevit(size: str) -> ArchSpec:
    """MobileViT v1 `xxs`, `xs` or `s`, patch 2 everywhere (Config A)."""
    return _v1_body(_V1[size], (2, 4, 3), switches=False)


def mobilevitv3(size: str, layer4_depth: int = 4) -> ArchSpec:
    """MobileViTv3 on v1: `xxs`, `xs` or `s`; `layer4_depth=2` gives the faster L2 versions."""
    return _v1_body(_V3[size], (2, layer4_depth, 3), switches=True)


def mobilevitv2(multiplier: float, v3: bool = False) -> ArchSpec:
    """MobileViTv2 at any width multiplier; `v3` gives MobileViTv3 on v2."""
    w = multiplier
    stages: tuple[Stage, ...] = (
        InvertedResidualStage(make_divisible(64 * w, 16), 2, 1, 1),
        InvertedResidualStage(make_divisible(128 * w), 2, 2, 2),
    ) + tuple(
        MobileViTV2Stage(make_divisible(c * w), make_divisible(d * w), depth, 2, concat_local=v3, residual=v3)
        for c, d, depth in ((256, 128, 2), (384, 192, 4), (512, 256, 3))
    )
    return ArchSpec(ConvStem(make_divisible(max(16, min(64, 32 * w)), 8, 16)), stages, PoolHead())


def _mobilevits() -> dict[str, ArchSpec]:
    """MobileViT v1, v2 and v3, patch Config B of v1 included."""
    networks: dict[str, ArchSpec] = {}
    for size in _V1:
        networks[f"mobilevit_{size}"] = mobilevit(size)
        networks[f"mobilevit_{size}@patch=8,4,2"] = with_patches(mobilevit(size), CONFIG_B)
    for w in V2_MULTIPLIERS:
        networks[f"mobilevitv2_{w:g}" if w % 1 else f"mobilevitv2_{w:.1f}"] = mobilevitv2(w)
    for size in _V3:
        networks[f"mobilevitv3_{size}"] = mobilevitv3(size)
        networks[f"mobilevitv3_{size}_l2"] = mobilevitv3(size, layer4_depth=2)
    for w in V3_ON_V2_MULTIPLIERS:
        networks[f"mobilevitv3_{w:g}" if w % 1 else f"mobilevitv3_{w:.1f}"] = mobilevitv2(w, v3=True)
    return networks


def with_patches(spec: ArchSpec, patches: tuple[int, ...]) -> ArchSpec:
    """The same network with square patches of these sides in its transformer stages, first to last."""
    sizes = iter(patches)
    stages = tuple(
        replace(s, patch=(p, p)) if isinstance(s, MobileViTStage | MobileViTV2Stage) and (p := next(sizes)) else s
        for s in spec.stages
    )
    return replace(spec, stages=stages)


def _mobilevit_with_suffix(name: str, key: str, value: str) -> ArchSpec | None:
    parts = value.split(",")
    ok = key == "patch" and len(parts) == 3 and all(p.isascii() and p.isdigit() and 1 <= int(p) <= 64 for p in parts)
    return with_patches(network(name), tuple(int(p) for p in parts)) if ok else None


@dataclass(frozen=True, slots=True)
class Family:
    """A family of published networks.

    Attributes:
        title: as its papers write it.
        resolution: side in pixels of the images that its networks were published for.
        networks: all of them by name.
        with_suffix: (name, key, value) of `NAME@KEY=VALUE` -> that network; None where there is none.
        suffixes: what may follow a name, in words.
        also: suffixes of variants that are published too, and not listed.
    """

    title: str
    resolution: int
    networks: Callable[[], dict[str, ArchSpec]]
    with_suffix: Callable[[str, str, str], ArchSpec | None]
    suffixes: str
    also: tuple[str, ...] = ()


MOBILEVIT = "mobilevit"
_DISTILLED = ("head=distilled",)
_OF_EFFICIENTFORMER = "`@head=distilled`, or `@resolution=R` with a multiple of 32 pixels, e.g. `@resolution=256`"
FAMILIES: dict[str, Family] = {
    MOBILEVIT: Family(
        "MobileViT", DEFAULT_RESOLUTION, _mobilevits, _mobilevit_with_suffix,
        "`@patch=P3,P4,P5` with three patch sides from 1 to 64, e.g. `@patch=8,4,2`",
    ),
    "efficientformer": Family(
        "EfficientFormer", RESOLUTION, efficientformers, efficientformer_with_suffix, _OF_EFFICIENTFORMER, _DISTILLED
    ),
    "efficientformerv2": Family(
        "EfficientFormerV2", RESOLUTION, efficientformersv2, efficientformer_with_suffix, _OF_EFFICIENTFORMER, _DISTILLED
    ),
}  # fmt: skip
_FAMILY_OF_STAGE = {"efficientformer": "efficientformer", "efficientformerv2": "efficientformerv2"}
"""Kinds of stages that tell a family other than MobileViT."""


@lru_cache(maxsize=8)
def published_networks(family: str = MOBILEVIT) -> dict[str, ArchSpec]:
    """Every published variant of a family by name."""
    return FAMILIES[family].networks()


@lru_cache(maxsize=1)
def all_published() -> dict[str, ArchSpec]:
    """The published networks of every family by name."""
    return {name: spec for family in FAMILIES for name, spec in published_networks(family).items()}


def family_of(spec: ArchSpec) -> str:
    """Key of `FAMILIES` to which a network belongs, by its first stage."""
    return _FAMILY_OF_STAGE.get(spec.stages[0].kind, MOBILEVIT)


def default_resolution(spec: ArchSpec) -> int:
    """Side in pixels of the images that a network is for: the one that it is bound to, else its family's."""
    bound = [s.side for s in spec.stages if isinstance(s, EfficientFormerStage | EfficientFormerV2Stage) and s.bound_side]
    return bound[0] * TOTAL_STRIDE if bound else FAMILIES[family_of(spec)].resolution


_V2_NAME = re.compile(r"mobilevitv2_(\d+(?:\.\d+)?)")


def network(name: str) -> ArchSpec:
    """The network of this name, e.g. `mobilevit_xxs`, `mobilevit_xs@patch=8,4,2`, `mobilevitv2_0.75`, `efficientformer_l1`.

    Raises:
        InputError: unknown name or suffix, with the nearest names.
    """
    known = all_published()
    if name in known:
        return known[name]
    base, _, suffix = name.partition("@")
    spec = known.get(base)
    if spec is None and (match := _V2_NAME.fullmatch(base)):
        multiplier = float(match[1])
        if not 0.1 <= multiplier <= 4:
            raise InputError(f"width multiplier `{match[1]}` of `{base}`", "a number from 0.1 to 4")
        spec = mobilevitv2(multiplier)
    if spec is None:
        near = difflib.get_close_matches(base, known, n=3, cutoff=0.5) or list(known)[:3]
        raise InputError(
            f"unknown network `{name}`", f"did you mean {', '.join(f'`{n}`' for n in near)}? `mvsearch networks` lists all"
        )
    return _with_suffix(spec, name, base, suffix) if suffix else spec


def _with_suffix(spec: ArchSpec, name: str, base: str, suffix: str) -> ArchSpec:
    family, (key, _, value) = FAMILIES[family_of(spec)], suffix.partition("=")
    found = family.with_suffix(base, key, value)
    if found is None:
        raise InputError(f"cannot read `@{suffix}` in `{name}`", family.suffixes)
    return found


def name_of(spec: ArchSpec) -> str | None:
    """The published name of this network, if it has one; the number of classes does not matter."""
    return _names_by_id().get(spec.with_classes(1000).arch_id)


@lru_cache(maxsize=1)
def _names_by_id() -> dict[str, str]:
    names = {spec.arch_id: name for name, spec in all_published().items()}
    also = [f"{name}@{suffix}" for family in FAMILIES.values() for name in family.networks() for suffix in family.also]
    return names | {network(name).arch_id: name for name in also}
