"""Networks as points, so that it can be said what two of them have in common of an estimate's error."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import hypot, log2

from mvsearch.accuracy import efficientformer
from mvsearch.accuracy.estimate import Top1Explanation
from mvsearch.accuracy.evidence import KNOBS, TRUST_REGION
from mvsearch.accuracy.features import Shape, shape
from mvsearch.accuracy.references import references
from mvsearch.spec.arch import BATCH_NORM, ArchSpec
from mvsearch.spec.published import family_of

_KINDS = ("v1", "v3-v1", "v2", "v3-v2")


def position(spec: ArchSpec) -> tuple[float, ...]:
    """A network's knobs as coordinates in points of top-1, by what a doubling is unsure of; empty for an unknown layout.

    Distances are as `evidence.KNOBS` judges departures: two networks at one place differ in size at most.
    """
    if family_of(spec) in efficientformer.FAMILIES:
        return efficientformer.position(spec)
    own = shape(spec)
    if own is None:
        return ()
    return tuple(KNOBS[knob].kappa * x for knob, values in _knobs(own).items() for x in values)


def departure(spec: ArchSpec, explained: Top1Explanation) -> tuple[float, ...]:
    """A network's departure from its nearest published one as a vector, in points of top-1; empty for an unknown layout.

    Every knob has its coordinates, of which the departure points into the direction in which the network differs, and
    is as long as the standard deviation that the estimate takes it for. So the vector's length is
    `explained.distance` (a resolution's share left out), and two networks that depart alike have the same.

    Args:
        spec: the network.
        explained: `explain_top1` of it.
    """
    own = shape(spec)
    if own is None or not explained.nearest:
        return ()
    sigma = {k.knob: k.sigma for k in explained.knobs}
    other = _knobs(_published(explained.nearest))
    vector: list[float] = []
    for knob, values in _knobs(own).items():
        vector += _of_length(sigma[knob], [a - b for a, b in zip(values, other[knob], strict=True)])
    biased = {k.knob for k in explained.knobs if k.bias < 0}
    # One coordinate is enough of a knob that is a single number; the sign is that of the side with the bias.
    vector.append(sigma["late parameters"] * (1 if "late parameters" in biased else -1))
    vector.append(sigma["width factor"] * (1 if explained.width_factor > 1 else -1))
    outside = {b.knob: b.sigma for b in explained.bounds}
    sizes = {
        "params": explained.params / 1e6,
        "activations": explained.activations / 1e6,
        "activations/params": explained.activations / explained.params,
    }
    for bound in TRUST_REGION:
        above = sizes[bound.quantity] > bound.high
        vector += [outside.get(bound.quantity, 0.0) * (above == side) for side in (False, True)]
    return tuple(vector)


@lru_cache(maxsize=64)
def _published(name: str) -> Shape:
    return next(r.shape for r in references() if r.name == name)


def _of_length(length: float, direction: Sequence[float]) -> list[float]:
    norm = hypot(*direction)
    if norm:
        return [length * x / norm for x in direction]
    return [length, *[0.0] * (len(direction) - 1)]


def _knobs(own: Shape) -> dict[str, list[float]]:
    """Every knob of a shape in numbers, in doublings or steps."""
    depth = sum(own.depths)
    return {
        "total depth": [log2(depth)],
        "depth shares": [log2(d / depth) for d in own.depths],
        "transformer width": list(own.log_ratios),
        "FFN ratio": list(own.log_ffns),
        "heads": [2.0 if s.log_heads is None else s.log_heads for s in own.stages],
        "early expansion": list(own.early_expansions),
        "late expansion": list(own.late_expansions),
        "width profile": [w - sum(own.log_widths) / len(own.log_widths) for w in own.log_widths],
        "early blocks": list(own.log_blocks),
        "stem": [own.log_stem],
        "patch": [s.log_patch for s in own.stages],
        "mixed kinds": [float(s.kind == kind) for s in own.stages for kind in _KINDS],
        "v3 switches": [float(on) for s in own.stages for on in s.switches],
        "head": [float(own.head.kind == "pool")],
        "activation": [float(own.activation in ("relu", "relu6"))],
        "norm": [float(own.norm == BATCH_NORM)],
    }
