"""The published networks that the estimate rests on, with their ImageNet-1k top-1."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
ANCHORS_FILE = DATA / "anchors.csv"
MOBILEVIT = "mobilevit"
"""Family of the MobileViT rows (v1, v2, v3)."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published network.

    Attributes:
        name: as the source spells it, e.g. `mobilevitv2_050`.
        family: networks that are left out together in validation.
        resolution: side of the image, in pixels, at which `top1` was measured and the costs counted.
        top1: ImageNet-1k top-1, in %.
        params: learnable numbers.
        macs: multiply-accumulates of convolutions and linear layers; attention's matrix products are left out.
        activations: output elements of convolutions and linear layers at batch 1.
    """

    name: str
    family: str
    resolution: int
    top1: float
    params: int
    macs: int
    activations: int

    @property
    def network(self) -> str:
        """Name among `mvsearch.spec.published`; the anchor's own name for other families."""
        return our_name(self.name)

    @property
    def block(self) -> str:
        """Block kind of a MobileViT anchor: `v1`, `v2` or `v3`; empty for other families."""
        if self.family != MOBILEVIT:
            return ""
        return self.name.removeprefix("mobilevit").split("_")[0] or "v1"


def our_name(name: str) -> str:
    """`mobilevitv2_050` (timm) -> `mobilevitv2_0.5` (`mvsearch.spec.published`); other names as they are."""
    match = re.fullmatch(r"(mobilevitv[23])_(\d{3})", name)
    if match is None:
        return name
    multiplier = int(match[2]) / 100
    return f"{match[1]}_{multiplier:.1f}" if multiplier == int(multiplier) else f"{match[1]}_{multiplier:g}"


@lru_cache(maxsize=1)
def load_anchors() -> tuple[Anchor, ...]:
    """All anchors, in the order of the file."""
    lines = (line for line in ANCHORS_FILE.read_text(encoding="utf8").splitlines() if not line.startswith("#"))
    return tuple(
        Anchor(
            name=row["network"],
            family=row["family"],
            resolution=int(row["resolution"]),
            top1=float(row["top1"]),
            params=int(row["params"]),
            macs=int(row["conv_linear_macs"]),
            activations=int(row["activations"]),
        )
        for row in csv.DictReader(lines)
    )


def data_hash() -> str:
    """Hash of the anchors' values, so that a fit can be told to belong to them."""
    text = "\n".join(repr(a) for a in load_anchors())
    return hashlib.sha256(text.encode()).hexdigest()[:16]
