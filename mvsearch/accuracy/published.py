"""Top-1 that others report for the published networks."""

from __future__ import annotations

from functools import lru_cache

from mvsearch.accuracy import efficientformer
from mvsearch.accuracy.anchors import load_anchors
from mvsearch.spec.record import Measurement

_SOURCES = {
    "v1": "timm's evaluation of the authors' weights, 256 px",
    "v2": "timm's evaluation of the authors' weights, 256 px",
    "v3": "the authors' repository, 256 px",
}
# MobileViT, arXiv 2110.02178, Tables 9 (XS) and 6 (S): patch Config B; there are no weights of it to evaluate.
_CONFIG_B = {"mobilevit_xs@patch=8,4,2": (73.8, 9), "mobilevit_s@patch=8,4,2": (77.3, 6)}


def published_top1(name: str) -> Measurement | None:
    """ImageNet-1k top-1 of a published network in %, as others report it; None where nothing was reported."""
    return _table().get(name)


@lru_cache(maxsize=1)
def _table() -> dict[str, Measurement]:
    rows = {a.network: (a.top1, _SOURCES[a.block]) for a in load_anchors() if a.block}
    rows |= {name: (top1, f"arXiv 2110.02178, Table {table}") for name, (top1, table) in _CONFIG_B.items()}
    own = efficientformer.labels()
    rows |= {name: (label.top1, f"{label.source}, with a teacher, {label.resolution} px") for name, label in own.items()}
    return {name: Measurement("top1", top1, "%", "published", basis=source) for name, (top1, source) in rows.items()}
