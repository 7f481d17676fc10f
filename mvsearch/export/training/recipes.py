"""How a network of each family was trained, as data with sources; and which family a mixed network is trained like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvsearch.export.dimensions import width_multiplier
from mvsearch.spec.arch import ArchSpec, MobileViTStage, MobileViTV2Stage
from mvsearch.spec.published import name_of

FAMILIES = ("v1", "v2", "v3-v1", "v3-v2", "efficientformer")
IMAGENET_IMAGES = 1_281_167
"""Training images of ImageNet-1k."""
EVALUATION_CROP = 256 / 288
"""Side of the central crop to the shorter side of the resized image (apple/ml-cvnets: resize 288, crop 256)."""
_V2_LAST_WIDTH = 512
"""Channels of MobileViTv2-1.0's last stage (arXiv 2206.02680, section 3)."""
SOURCES = """\
A: arXiv 2110.02178 (MobileViT). B: arXiv 2206.02680 (MobileViTv2). C: arXiv 2209.15159 (MobileViTv3).
D: arXiv 2206.01191 and 2212.08059 (EfficientFormer).
cvnets: apple/ml-cvnets 7771756, `config/classification/imagenet/`; cvnets-1: its commit d38a116;
cvnets-m: its `README-mobilevit-v2.md`. v3: micronDLA/MobileViTv3 d381beb. snap: snap-research/EfficientFormer d01da42."""
"""What the names in `recipes.yaml` stand for."""
_DATA = Path(__file__).with_name("recipes.yaml")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a recipe, and who says so."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train one network.

    Attributes:
        family: of `FAMILIES`.
        title: of the family.
        reason: why this network is trained like this family.
        settings: by name; what a family does not use is absent.
    """

    family: str
    title: str
    reason: str
    settings: Mapping[str, Setting]

    def __getitem__(self, name: str) -> Any:
        """The value of a setting."""
        return self.settings[name].value

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a setting, or the default where the family does not use it."""
        return self.settings[name].value if name in self.settings else default

    def source(self, name: str) -> str:
        """Who says so."""
        return self.settings[name].source


def recipe_of(spec: ArchSpec) -> Recipe:
    """The recipe of a network: its family's; of v2, weight decay and learning rate follow the width.

    The width is the multiplier that gives its widths, or that of its last stage.
    """
    family, reason = family_of(spec)
    data = _data()[family]
    settings = {name: Setting(value, source) for name, (value, source) in data["settings"].items()}
    if "xxs" in data and _is_xxs(spec):
        settings |= {name: Setting(value, source) for name, (value, source) in data["xxs"].items()}
    if "by_width" in data:
        settings |= _by_width(spec, data["by_width"])
    return Recipe(family, data["title"], reason, settings)


def family_of(spec: ArchSpec) -> tuple[str, str]:
    """The family that a network is trained like, and why.

    It is the family of most of its transformer layers; of as many layers, that of the later stage. A block with any of
    MobileViTv3's switches counts as v3. A network without transformer is trained like v1.
    """
    layers: dict[str, int] = {}
    for stage in spec.stages:
        family = _family_of_stage(stage)
        if family:
            # Taken out and put back, so that the family of the last stage comes last.
            layers[family] = layers.pop(family, 0) + getattr(stage, "depth", 1)
    if not layers:
        return "v1", "it has no transformer; MobileViT's recipe is that of its convolutional stages"
    # `max` keeps the first of equals.
    best = max(reversed(layers), key=layers.__getitem__)
    if len(layers) == 1:
        return best, "its blocks are of this family"
    counts = ", ".join(f"{n} {family}" for family, n in layers.items())
    return best, f"most of its transformer layers are of this family, or as many and later ({counts})"


def _family_of_stage(stage: Any) -> str:
    switched = stage.block not in ("v1", "v2")
    if isinstance(stage, MobileViTStage):
        return "v3-v1" if switched else "v1"
    if isinstance(stage, MobileViTV2Stage):
        return "v3-v2" if switched else "v2"
    return "efficientformer" if "efficientformer" in stage.kind else ""


def _is_xxs(spec: ArchSpec) -> bool:
    return "_xxs" in (name_of(spec) or "")


def _by_width(spec: ArchSpec, data: Mapping[str, Any]) -> dict[str, Setting]:
    width = width_multiplier(spec) or spec.stages[-1].channels / _V2_LAST_WIDTH
    settings = {}
    for name in ("weight_decay", "max_lr"):
        points = {float(w): float(v) for w, v in data[name].items()}
        value, how = interpolated(points, width)
        settings[name] = Setting(value, f"{data['source']}; {how}")
    settings["min_lr"] = Setting(_rounded(settings["max_lr"].value / 10), f"{data['source']}; a tenth of max_lr")
    return settings


def interpolated(points: Mapping[float, float], at: float) -> tuple[float, str]:
    """A value between published ones, linear in the width, and in words what it is.

    Beyond the published widths it stays what it is at the nearest of them.
    """
    if at in points:
        return points[at], f"published for width {at:g}"
    widths = sorted(points)
    if not widths[0] < at < widths[-1]:
        nearest = min(widths, key=lambda w: abs(w - at))
        return points[nearest], f"that of width {nearest:g}, the nearest published to {at:.3g}: not published for this network"
    high = next(i for i, w in enumerate(widths) if w > at)
    left, right = widths[high - 1], widths[high]
    value = points[left] + (points[right] - points[left]) * (at - left) / (right - left)
    return _rounded(value), f"interpolated at width {at:.3g} between {left:g} and {right:g}: not published for this network"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    import yaml

    data: dict[str, Any] = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    return data
