"""Named risks that an operation leaves the Neural Engine: flags beside a prediction, never inside its interval.

One operation that the Neural Engine does not take can move the rest of a network to another unit, and
cost 5 to 15 times; no smooth predictor covers that. Sources of the rules:

- `hardswish`: MobileNetV3-Large takes 0.76 ms on an iPhone 13 in one report (iFormer, arXiv 2501.15369,
  Table 18) and 11.4 ms in another (StarNet, arXiv 2403.19967, Table 6); at 512 pixels on an iPhone 12
  7.5 ms (SHViT, arXiv 2401.16456, Table 5), 2.8 times what its operations explain.
- `resize`: MobileViT-S with patch 3, whose fold resizes to a size that is no multiple, takes 14.7 ms
  against 9.9 ms with patch 2 (MobileViT, arXiv 2110.02178, Table 6).
- `large-dimension`: the Neural Engine takes at most 16,384 elements along an axis.

Separable attention is not in the list: it fell off on an iPhone 13 (iFormer: MobileViTv2-0.5 9.5 ms), but
three sources measured it on the iPhone 12 family without (MobileViTv2, SHViT, Next-ViT).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from mvsearch.costs import PART_CACHE, Part
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.predictor.features import distinct_ops

PREFIX = "ane-fallback-risk"
MAX_AXIS = 16_384
_NONE: frozenset[str] = frozenset()


def fallback_risks(spec: ArchSpec, parts: Sequence[Part]) -> tuple[str, ...]:
    """Flags such as `ane-fallback-risk: resize`; empty for most networks."""
    risks = _NONE.union(*map(_part_risks, parts))
    if spec.activation == "hardswish":
        risks |= {"hardswish"}
    return tuple(f"{PREFIX}: {risk}" for risk in sorted(risks)) if risks else ()


@lru_cache(maxsize=PART_CACHE)
def _part_risks(part: Part) -> frozenset[str]:
    risks = set()
    for op, _ in distinct_ops(part):
        if op.kind == "resize":
            risks.add("resize")
        if max(map(max, op.inputs + op.outputs)) > MAX_AXIS:
            risks.add("large-dimension")
    return frozenset(risks)
