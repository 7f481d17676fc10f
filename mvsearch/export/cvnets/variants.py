"""What CVNets can express: MobileViT by mode, MobileViTv2 by width multiplier, and MobileViTv3 by files laid over it.

Sources: apple/ml-cvnets 7771756, `cvnets/models/classification/config/mobilevit.py` and `mobilevit_v2.py`; the files of the
same names in micronDLA/MobileViTv3 d381beb, over apple/ml-cvnets d38a116 (v3 on v1) and 84d992f (v3 on v2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mvsearch.costs import count
from mvsearch.errors import ExportError
from mvsearch.export.dimensions import first_difference, nearest_multiplier, num_differences, width_multiplier
from mvsearch.export.exporter import Refusal
from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.published import FAMILIES, MOBILEVIT, V2_MULTIPLIERS, family_of, mobilevit, mobilevitv2, mobilevitv3, name_of

Base = Literal["7771756", "d38a116", "84d992f"]
"""Commit of apple/ml-cvnets that a variant needs."""
ACTIVATIONS = {"silu": "swish", "relu": "relu", "hardswish": "hard_swish", "gelu": "gelu", "relu6": "relu6"}
"""Our names -> CVNets'."""
MODES: Mapping[str, ArchSpec] = {
    "xx_small": mobilevit("xxs"),
    "x_small": mobilevit("xs"),
    "small": mobilevit("s"),
}
MODES_V3: Mapping[str, ArchSpec] = {
    f"{mode}_v3{suffix}": mobilevitv3(size, layer4_depth=depth)
    for mode, size in (("xx_small", "xxs"), ("x_small", "xs"), ("small", "s"))
    for suffix, depth in (("", 4), ("_fast", 2))
}
_CHANNELS = 3
OVERLAY = "the files of micronDLA/MobileViTv3 (d381beb), folder `{folder}`, laid over apple/ml-cvnets {base}"
_OVERLAYS: dict[Base, str] = {"d38a116": "MobileViTv3-v1", "84d992f": "MobileViTv3-v2"}


@dataclass(frozen=True, slots=True)
class Variant:
    """A network by CVNets' options.

    Attributes:
        name: of the model there: `mobilevit`, `mobilevit_v2`, `mobilevit_v3`.
        section: of its options: `mit`, `mitv2`, `mitv3`.
        mode: of `mit`; None for the others.
        width_multiplier: of `mitv2` and `mitv3`; None for `mit`.
        heads: of `mit`; None for the others.
        activation: by CVNets' name.
        base: commit of apple/ml-cvnets.
    """

    name: str
    section: str
    mode: str | None
    width_multiplier: float | None
    heads: int | None
    activation: str
    base: Base

    @property
    def overlay(self) -> str | None:
        """What has to be laid over CVNets before it knows this network; None if it knows it as it is."""
        folder = _OVERLAYS.get(self.base)
        return None if folder is None else OVERLAY.format(folder=folder, base=self.base)

    @property
    def options(self) -> dict[str, Any]:
        """The options that make it this network, within its section."""
        if self.mode is not None:
            return {"mode": self.mode, "number_heads": self.heads}
        return {"width_multiplier": self.width_multiplier}

    def spec(self, num_classes: int) -> ArchSpec:
        """The network that CVNets builds from these options.

        Raises:
            ExportError: a mode or an activation that CVNets does not have.
        """
        known = {"mobilevit": MODES, "mobilevit_v3": MODES_V3}.get(self.name, {})
        if self.section == "mit":
            if self.mode is None or self.heads is None or self.mode not in known:
                raise ExportError(f"CVNets' `{self.name}` has no mode `{self.mode}` with `{self.heads}` heads")
            heads, spec = self.heads, known[self.mode]
            stages = tuple(replace(s, heads=heads) if isinstance(s, MobileViTStage) else s for s in spec.stages)
            spec = replace(spec, stages=stages)
        else:
            assert self.width_multiplier is not None, "all sections but `mit` have a width"
            spec = mobilevitv2(self.width_multiplier, v3=self.section == "mitv3")
        ours = {theirs: name for name, theirs in ACTIVATIONS.items()}
        if self.activation not in ours:
            raise ExportError(f"CVNets' activation `{self.activation}` is none of {', '.join(ours)}")
        return replace(spec, activation=ours[self.activation], num_classes=num_classes)


def variant_of(spec: ArchSpec, resolution: int) -> Variant | Refusal:
    """The options that build a network, or the first dimension that leaves what CVNets has.

    Args:
        spec: the network.
        resolution: side of its images in pixels, for the costs of the nearest network that it has.
    """
    if (family := family_of(spec)) != MOBILEVIT:
        message = f"an {FAMILIES[family].title}; CVNets has MobileViT v1, v2 and v3 of its families here"
        return Refusal("stage1.block", message, _nearest_by_cost(spec, resolution))
    candidates = list(_like(spec))
    for variant in candidates:
        if first_difference(spec, variant.spec(spec.num_classes)) is None:
            return variant
    near = min(candidates, key=lambda v: num_differences(spec, v.spec(spec.num_classes)))
    difference = first_difference(spec, near.spec(spec.num_classes))
    assert difference is not None, "else it had been found"
    name, ours, theirs = difference
    described = ", ".join(f"{k} `{v}`" for k, v in near.options.items())
    return Refusal(
        name,
        f"`{name}` is `{_shown(ours)}`; CVNets' `{near.name}` with {described} has `{_shown(theirs)}`, and no option for it",
        _nearest_by_cost(spec, resolution),
    )


def _like(spec: ArchSpec) -> Iterator[Variant]:
    """Variants that a network may be: every mode with its heads, and the width multiplier of its widths, or the nearest."""
    activation = ACTIVATIONS[spec.activation]
    heads = next((s.heads for s in spec.stages if isinstance(s, MobileViTStage)), 4)
    for name, modes, base in (("mobilevit", MODES, "7771756"), ("mobilevit_v3", MODES_V3, "d38a116")):
        for mode, own in modes.items():
            fits = all(s.dim % heads == 0 for s in own.stages if isinstance(s, MobileViTStage))
            yield Variant(name, "mit", mode, None, heads if fits else 4, activation, base)  # type: ignore[arg-type]
    multiplier = width_multiplier(spec) or nearest_multiplier(spec)
    yield Variant("mobilevit_v2", "mitv2", None, multiplier, None, activation, "7771756")
    yield Variant("mobilevit_v3", "mitv3", None, multiplier, None, activation, "84d992f")


def _nearest_by_cost(spec: ArchSpec, resolution: int) -> str:
    """The network of CVNets, without overlay, whose parameters and MACs come nearest, by the logarithms of their ratios."""
    own = count(spec, resolution)

    def costs(other: ArchSpec) -> tuple[int, int]:
        found = count(other.with_classes(spec.num_classes), resolution)
        return found.params, found.macs

    def distance(other: ArchSpec) -> float:
        params, macs = costs(other)
        return abs(math.log(params / own.params)) + abs(math.log(macs / own.macs))

    best = min((*MODES.values(), *(mobilevitv2(w) for w in V2_MULTIPLIERS)), key=distance)
    params, macs = costs(best)
    return (
        f"nearest in parameters and MACs (the sum of both ratios' logarithms) that CVNets has: `{name_of(best)}`, "
        f"{params:,} parameters and {macs:,} MACs at {resolution} pixels; this network has {own.params:,} and {own.macs:,}"
    )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def covers(spec: ArchSpec) -> Refusal | None:
    """What CVNets' models have built in before any option: images of three channels."""
    if spec.in_channels != _CHANNELS:
        return Refusal("in_channels", f"`in_channels` is `{spec.in_channels}`; CVNets has `{_CHANNELS}` built in")
    return None
