"""The published MobileViTs as networks that are judged: built here, sized here, labelled by others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mvsearch.accuracy.anchors import MOBILEVIT, Anchor, load_anchors
from mvsearch.accuracy.fit import SIZE_BANDS
from mvsearch.costs import count
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, published_networks

BANDS = ("XXS", "XS", "S", "larger")
"""The size bands of the fit, and what is larger than any of them."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One published MobileViT.

    Attributes:
        name: published name.
        spec: the architecture.
        anchor: its row among the anchors, with the label and what the regression takes as its size.
        band: one of `BANDS`.
        params, macs, activations: counted by the tool at 256 pixels; `macs` with attention's matrix products.
    """

    name: str
    spec: ArchSpec
    anchor: Anchor
    band: str
    params: int
    macs: int
    activations: int

    @property
    def top1(self) -> float:
        """Published ImageNet-1k top-1, in %."""
        return self.anchor.top1


def band_of(anchor: Anchor) -> str:
    """Name of the anchor's size band."""
    return next((name for name, members in zip(BANDS, SIZE_BANDS, strict=False) if anchor.name in members), BANDS[-1])


@lru_cache(maxsize=1)
def judged_networks() -> tuple[Judged, ...]:
    """Every MobileViT with a label, in the order of the published names."""
    specs = published_networks()
    anchors = {a.network: a for a in load_anchors() if a.family == MOBILEVIT}
    found = []
    for name, spec in specs.items():
        if name in anchors:
            costs = count(spec, DEFAULT_RESOLUTION)
            found.append(Judged(name, spec, anchors[name], band_of(anchors[name]), costs.params, costs.macs, costs.activations))
    return tuple(found)
