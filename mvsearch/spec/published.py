"""The published networks as data, and their names.

Sources: MobileViT, Table 4 of arXiv 2110.02178 and apple/ml-cvnets; MobileViTv2, section 3 of
arXiv 2206.02680 and apple/ml-cvnets; MobileViTv3, Tables 1 and 2 of arXiv 2209.15159 and
micronDLA/MobileViTv3. The numbers are those of the official code.
"""

from __future__ import annotations

import difflib
import re
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

DEFAULT_RESOLUTION = 256
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


@lru_cache(maxsize=1)
def published_networks() -> dict[str, ArchSpec]:
    """Every published variant by name, patch Config B of v1 included."""
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


_V2_NAME = re.compile(r"mobilevitv2_(\d+(?:\.\d+)?)")


def network(name: str) -> ArchSpec:
    """The network of this name, e.g. `mobilevit_xxs`, `mobilevit_xs@patch=8,4,2`, `mobilevitv2_0.75`.

    Raises:
        InputError: unknown name or suffix, with the nearest names.
    """
    known = published_networks()
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
    return _with_suffix(spec, name, suffix) if suffix else spec


def _with_suffix(spec: ArchSpec, name: str, suffix: str) -> ArchSpec:
    key, _, value = suffix.partition("=")
    parts = value.split(",")
    ok = key == "patch" and len(parts) == 3 and all(p.isascii() and p.isdigit() and 1 <= int(p) <= 64 for p in parts)
    if not ok:
        raise InputError(
            f"cannot read `@{suffix}` in `{name}`", "`@patch=P3,P4,P5` with three patch sides from 1 to 64, e.g. `@patch=8,4,2`"
        )
    return with_patches(spec, tuple(int(p) for p in parts))


def name_of(spec: ArchSpec) -> str | None:
    """The published name of this network, if it has one; the number of classes does not matter."""
    return _names_by_id().get(spec.with_classes(1000).arch_id)


@lru_cache(maxsize=1)
def _names_by_id() -> dict[str, str]:
    return {spec.arch_id: name for name, spec in published_networks().items()}
