"""Published pairs of networks that differ in one thing: what the estimate says about each.

Sources: patch sizes of MobileViT-S and XS from arXiv 2110.02178, Tables 6 and 9 (the paper's own numbers, thus against
its own 2,2,2). Depth and v3: the anchors' labels (README of micronDLA/MobileViTv3; timm for v1 and v2).
"""

from __future__ import annotations

from mvsearch.accuracy.estimate import estimate_top1
from mvsearch.accuracy.validation.held_out import band_estimators
from mvsearch.accuracy.validation.networks import judged_networks
from mvsearch.accuracy.validation.records import KnobRow
from mvsearch.spec.published import network, with_patches

PATCHES = (
    ("mobilevit_s", (3, 3, 3), 78.5 - 78.4, 6),
    ("mobilevit_s", (4, 4, 4), 77.6 - 78.4, 6),
    ("mobilevit_s", (8, 4, 2), 77.3 - 78.4, 6),
    ("mobilevit_xs", (8, 4, 2), 73.8 - 74.8, 9),
)
"""(network, patches of the three transformer stages, points against patch 2 everywhere, table of arXiv 2110.02178)."""
DEPTHS = ("xxs", "xs", "s")
V3 = (
    ("mobilevit_xxs", "mobilevitv3_xxs"),
    ("mobilevit_xs", "mobilevitv3_xs"),
    ("mobilevit_s", "mobilevitv3_s"),
    ("mobilevitv2_0.5", "mobilevitv3_0.5"),
    ("mobilevitv2_0.75", "mobilevitv3_0.75"),
    ("mobilevitv2_1.0", "mobilevitv3_1.0"),
)


def knob_rows() -> tuple[KnobRow, ...]:
    """Depth cuts and v3's changes with their size band left out; patches, whose offsets the labels themselves gave."""
    rows = []
    for size in DEPTHS:
        rows.append(_between("depth", f"mobilevitv3_{size}", f"mobilevitv3_{size}_l2", "MobileViTv3 README"))
    for base, patches, published, table in PATCHES:
        spec = network(base)
        estimated = estimate_top1(with_patches(spec, patches)).value - estimate_top1(spec).value
        change = f"{base}, patch 2,2,2 to {','.join(map(str, patches))}"
        rows.append(
            KnobRow("patch", change, round(published, 2), estimated, "fitted to it", f"arXiv 2110.02178, Table {table}")
        )
    for old, new in V3:
        rows.append(_between("v1 or v2 to v3", old, new, "timm; MobileViTv3 README"))
    return tuple(rows)


def _between(knob: str, old: str, new: str, source: str) -> KnobRow:
    judged = {j.name: j for j in judged_networks()}
    a, b = judged[old], judged[new]
    estimator = band_estimators()[a.band]
    estimated = estimate_top1(b.spec, estimator=estimator).value - estimate_top1(a.spec, estimator=estimator).value
    return KnobRow(knob, f"{old} to {new}", round(b.top1 - a.top1, 3), estimated, "size band left out", source)
