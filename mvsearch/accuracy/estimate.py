"""Top-1 on ImageNet-1k, estimated without data: published networks, and the distance from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import log2, prod, sqrt
from statistics import NormalDist
from typing import NamedTuple

from mvsearch.accuracy import efficientformer
from mvsearch.accuracy.estimator import Estimator, load_estimator
from mvsearch.accuracy.evidence import FAR, RESOLUTION_EVIDENCE, TRUST_REGION, Bound
from mvsearch.accuracy.features import Shape, Size, part_sizes, shape, total_size
from mvsearch.accuracy.knobs import Contribution, Term, nearest, v3_share
from mvsearch.accuracy.references import late_ratio
from mvsearch.accuracy.resolution import resolution_effect
from mvsearch.costs import Resolution, image_size
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, FAMILIES, family_of
from mvsearch.spec.record import Measurement

LEVEL = 0.9
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
CLASSES = 1000
"""ImageNet-1k: a network with another classifier is estimated as if it had this one."""
PROTOCOL = "ImageNet-1k, published recipes; size by regression, block and patch offsets, distance from evidence"
UNKNOWN_LAYOUT_SIGMA = 3.0
"""Points; for a network that is not stem, two convolutional and three transformer stages."""
EXTRAPOLATING = "extrapolating"
"""Flag of an estimate that evidence does not carry; a flag per cause follows, `extrapolating: ...`."""


@dataclass(frozen=True, slots=True)
class Top1Explanation:
    """How an estimate came about; `value` is the sum of the shifts and the score.

    Attributes:
        value: estimated top-1, in %.
        sigma: its standard deviation, in points.
        score: what the network's size buys by the regression.
        block_offset: of its block kinds, in points, at this size.
        laboratory_offset: of a user's own recipe, in points, at this size; 0 for the estimator that ships.
        patch_offset: of its patch sizes, zero or negative.
        resolution_offset: of an image size other than that of training (256; 224 for EfficientFormers).
        base_sigma: standard deviation of the published networks' own errors.
        knobs: what each departure from the nearest published network costs, patch and resolution included.
        bounds: what leaving the trust region costs, by quantity.
        nearest: that network's name; empty for an unknown layout.
        nearest_top1: its published top-1, in %; 0 for an unknown layout.
        width_factor: factor that scales its widths to this network's size.
        params, macs, activations: size at 256 pixels; `macs` without attention's matrix products.
        flags: claims for the reader.
    """

    value: float
    sigma: float
    score: float
    block_offset: float
    laboratory_offset: float
    patch_offset: float
    resolution_offset: float
    base_sigma: float
    knobs: tuple[Contribution, ...]
    bounds: tuple[Contribution, ...]
    nearest: str
    nearest_top1: float
    width_factor: float
    params: int
    macs: int
    activations: int
    flags: tuple[str, ...]

    @property
    def bias(self) -> float:
        """Sum of the shifts for departing from evidence, patch and resolution left out; zero or negative."""
        own = sum(k.bias for k in self.knobs if k.knob not in ("patch", "resolution"))
        return own + sum(b.bias for b in self.bounds)

    @property
    def plain(self) -> float:
        """The value without these shifts, in %: what size, block kinds, patches and resolution say alone."""
        return self.value - self.bias

    @property
    def distance(self) -> float:
        """Standard deviation that the departures add, in points; 0 for a published network."""
        return sqrt(sum(k.sigma**2 for k in (*self.knobs, *self.bounds)))


class _Assessment(NamedTuple):
    value: float
    variance: float
    score: float
    block_offset: float
    laboratory_offset: float
    terms: list[Term]
    bounds: list[Term]
    nearest: str
    nearest_top1: float
    log_factor: float
    size: Size
    flags: tuple[str, ...]
    base_sigma: float
    evidence: str
    n: int
    protocol: str


def estimate_top1(
    spec: ArchSpec, resolution: Resolution = DEFAULT_RESOLUTION, estimator: Estimator | None = None
) -> Measurement:
    """Top-1 on ImageNet-1k that the network would reach with the published recipes, with its 90 % interval.

    Size is counted at 256 pixels (224 for EfficientFormers), where the published networks were trained; another
    resolution changes the error as it did other published networks' (`accuracy.resolution`), and is flagged outside
    `evidence.RESOLUTION_EVIDENCE`.
    The number of classes does not matter. A search has to rank by a lower quantile, not by the value.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.
        estimator: another fit than the one that ships.

    Raises:
        InputError: a resolution that no image has.
    """
    estimator = estimator or load_estimator()
    a = _assess(spec, resolution, estimator)
    half = _Z * sqrt(a.variance)
    near = f"nearest {a.nearest}" if a.nearest else "no published network of this layout"
    pairs = len(resolution_effect().pairs)
    sides = "" if _side(resolution) == FAMILIES[family_of(spec)].resolution else f"; resolution by {pairs} published pairs"
    return Measurement(
        metric="top1",
        value=a.value,
        unit="%",
        kind="estimated",
        low=a.value - half,
        high=a.value + half,
        level=LEVEL,
        basis=f"{a.evidence}, {near}{sides}",
        protocol=a.protocol,
        n=a.n,
        flags=a.flags,
    )


def explain_top1(
    spec: ArchSpec, resolution: Resolution = DEFAULT_RESOLUTION, estimator: Estimator | None = None
) -> Top1Explanation:
    """The same estimate with everything that went into it; arguments and errors as `estimate_top1`."""
    estimator = estimator or load_estimator()
    a = _assess(spec, resolution, estimator)
    knobs = tuple(Contribution(*t) for t in a.terms)
    offsets = {k.knob: k.bias for k in knobs}
    return Top1Explanation(
        value=a.value,
        sigma=sqrt(a.variance),
        score=a.score,
        block_offset=a.block_offset,
        laboratory_offset=a.laboratory_offset,
        patch_offset=offsets.get("patch", 0.0),
        resolution_offset=offsets["resolution"],
        base_sigma=a.base_sigma,
        knobs=knobs,
        bounds=tuple(Contribution(*t) for t in a.bounds),
        nearest=a.nearest,
        nearest_top1=a.nearest_top1,
        width_factor=2**a.log_factor,
        params=a.size.params,
        macs=a.size.macs,
        activations=a.size.activations,
        flags=a.flags,
    )


def _assess(spec: ArchSpec, resolution: Resolution, estimator: Estimator) -> _Assessment:
    if spec.num_classes != CLASSES:
        spec = spec.with_classes(CLASSES)
    return _ASSESSMENTS.get(family_of(spec), _assess_mobilevit)(spec, _side(resolution), estimator)


def _assess_mobilevit(spec: ArchSpec, side: float, estimator: Estimator) -> _Assessment:
    sizes = part_sizes(spec)
    size = total_size(sizes)
    score = estimator.score(*size)
    own = shape(spec)
    terms: list[Term] = []
    bounds = [t for b in TRUST_REGION if (t := _outside(b, size)) is not None]
    log_shift, offset, reference, log_factor, variance = 0.0, 0.0, None, 0.0, estimator.sigma**2
    if own is None:
        variance += UNKNOWN_LAYOUT_SIGMA**2
    else:
        log_shift = block_offset(own, estimator.block_offsets)
        offset = estimator.score(*size, log_shift) - score
        reference, log_factor, departures = nearest(
            own,
            log2(size.params),
            late_ratio(sizes),
            cache(lambda head: max(0.0, score - estimator.score(*total_size(part_sizes(replace(spec, head=head)))))),
        )
        terms = departures
    laboratory = estimator.laboratory and estimator.score(*size, log_shift + estimator.laboratory) - score - offset
    value = score + offset + laboratory + sum([t[2] for t in terms]) + sum([t[2] for t in bounds])
    causes = [_bound_cause(b, size) for b in TRUST_REGION if bounds and b.quantity in [t[0] for t in bounds]]
    name, top1 = (reference.name, reference.top1) if reference else ("", 0.0)
    flags = _flags(name, terms, causes, side, DEFAULT_RESOLUTION)
    terms = [_resolution(value, side), *terms]
    value += terms[0][2]
    departed = sum([t[3] * t[3] for t in terms]) + sum([t[3] * t[3] for t in bounds])
    with_own = f" and {estimator.num_own} of your own" if estimator.num_own else ""
    evidence, n = f"{estimator.num_anchors} published networks{with_own}", estimator.num_anchors + estimator.num_own
    return _Assessment(
        value, variance + departed, score, offset, laboratory, terms, bounds, name, top1, log_factor, size, flags,
        estimator.sigma, evidence, n, PROTOCOL,
    )  # fmt: skip


def _assess_efficientformer(spec: ArchSpec, side: float, estimator: Estimator) -> _Assessment:
    found = efficientformer.judge(spec, estimator)
    terms, bounds = found.terms, [term for _, term in found.bounds]
    value = found.score + found.offset + sum([t[2] for t in terms]) + sum([t[2] for t in bounds])
    variance = found.sigma**2 + (0.0 if found.nearest else UNKNOWN_LAYOUT_SIGMA**2)
    causes = [_bound_cause(bound, found.size) for bound, _ in found.bounds]
    own_side = FAMILIES[family_of(spec)].resolution
    flags = _flags(found.nearest, terms, causes, side, own_side)
    # The effect of resolution goes by the side over that of training, which is 256 for MobileViTs.
    terms = [_resolution(value, side * DEFAULT_RESOLUTION / own_side), *terms]
    value += terms[0][2]
    departed = sum([t[3] * t[3] for t in (*terms, *bounds)])
    anchors = len(efficientformer.shipped_evidence().rungs)
    return _Assessment(
        value, variance + departed, found.score, found.offset, 0.0, terms, bounds, found.nearest, found.nearest_top1,
        found.log_factor, found.size, flags, found.sigma,
        f"{anchors} published EfficientFormers, all distilled, on the size line of {estimator.num_anchors} networks",
        anchors + estimator.num_anchors, efficientformer.PROTOCOL,
    )  # fmt: skip


def block_offset(own: Shape, offsets: Mapping[str, float]) -> float:
    """Shift of ln(100 - top1): mean over the transformer stages of their kinds', v3's in part where its switches are so.

    It is linear in the offsets.
    """
    total = 0.0
    for stage in own.stages:
        base, share = offsets[stage.body], v3_share(stage.body, stage.switches)
        total += base + share * (offsets["v3"] - base)
    return total / len(own.stages)


def _side(resolution: Resolution) -> float:
    return sqrt(prod(image_size(resolution)))


def _resolution(top1: float, side: float) -> Term:
    return "resolution", abs(log2(side / DEFAULT_RESOLUTION)), *resolution_effect().shift(top1, side)


def _quantity(bound: Bound, size: Size) -> float:
    if bound.quantity == "params":
        return size.params / 1e6
    return size.activations / (1e6 if bound.quantity == "activations" else size.params)


def _outside(bound: Bound, size: Size) -> Term | None:
    value = _quantity(bound, size)
    if value > bound.high:
        x, bias = log2(value / bound.high), bound.bias_above
    elif value < bound.low:
        x, bias = log2(bound.low / value), bound.bias_below
    else:
        return None
    return bound.quantity, x, bias * x, bound.kappa * x


def _flags(nearest: str, terms: list[Term], causes: list[str], side: float, own_side: int) -> tuple[str, ...]:
    if not nearest:
        causes.append("not the layout of any published network")
    elif sum([t[3] * t[3] for t in terms]) > FAR**2:
        worst = sorted(terms, key=lambda t: t[3], reverse=True)[:2]
        causes.append(f"far from {nearest} in {' and '.join(t[0] for t in worst)}")
    low, high = (round(s * own_side / DEFAULT_RESOLUTION) for s in RESOLUTION_EVIDENCE)
    if not low <= side <= high:
        causes.append(f"resolution {side:.0f} outside {low} to {high}")
    flags = [EXTRAPOLATING] if causes else []
    flags += [f"{EXTRAPOLATING}: {c}" for c in causes]
    if any(t[1] > 0 for t in terms if t[0] == "heads"):
        flags.append("score blind: heads")
    if any(t[1] > 0 for t in terms if t[0] == "norm"):
        flags.append("norm not evidenced: no MobileViT is published with a batch norm there")
    return tuple(flags)


def _bound_cause(bound: Bound, size: Size) -> str:
    value = _quantity(bound, size)
    unit = "" if bound.quantity == "activations/params" else " M"
    side, limit = ("above", bound.high) if value > bound.high else ("below", bound.low)
    return f"{bound.quantity} {value:.3g}{unit} {side} {limit:g}{unit}"


_ASSESSMENTS = dict.fromkeys(efficientformer.FAMILIES, _assess_efficientformer)
"""How networks of other families are judged than MobileViTs, and those that are of none."""
