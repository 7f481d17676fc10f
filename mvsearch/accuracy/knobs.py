"""The distance from evidence, knob by knob: what each departure from the nearest published network costs.

A candidate is compared with every published network of its block kinds, scaled uniformly to the
candidate's parameters; the nearest is the one from which the departures leave the least variance.
All knobs are ratios that uniform scaling leaves as they are. `evidence.KNOBS` holds the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import hypot, inf, log2, sqrt

from mvsearch.accuracy.evidence import (
    KNOBS,
    L2_SHARE,
    NORM_SHARES,
    PATCH_COST,
    PATCH_FREE,
    PUBLISHED_DEPTH,
    PUBLISHED_HEADS,
    PUBLISHED_PATCHES,
    SWITCH_SHARES,
)
from mvsearch.accuracy.features import Shape, StageShape
from mvsearch.accuracy.references import Reference, published_ratios, references_of
from mvsearch.spec.arch import LAYER_NORM, Head


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one knob's departure costs.

    Attributes:
        knob: its name, a key of `evidence.KNOBS`, or `resolution`; of a bound, its quantity.
        distance: doublings (or steps) away from the evidence, zero or positive.
        bias: shift of the estimate in points; zero or negative but for a resolution above 256.
        sigma: standard deviation that it adds, in points.
    """

    knob: str
    distance: float
    bias: float
    sigma: float


Term = tuple[str, float, float, float]
"""A `Contribution` before it has a name: thousands are compared for one that is kept."""


@lru_cache(maxsize=65536)
def total_depth(depths: tuple[int, ...], published: tuple[int, ...]) -> Term:
    """Sum of the transformer layers."""
    knob = KNOBS["total depth"]
    mine = sum(depths)
    x = log2(mine / sum(published))
    if x >= 0:
        return knob.name, x, 0.0, KNOBS["depth shares"].kappa * x
    return knob.name, -x, knob.bias * max(0.0, log2(PUBLISHED_DEPTH / mine)), knob.kappa * -x


@lru_cache(maxsize=65536)
def depth_shares(depths: tuple[int, ...], published: tuple[int, ...]) -> Term:
    """How the layers are shared among the stages."""
    knob = KNOBS["depth shares"]
    common = log2(sum(depths) / sum(published))
    x = hypot(*[log2(a / b) - common for a, b in zip(depths, published, strict=True)])
    starved = max(0.0, log2(L2_SHARE * sum(depths) / depths[1]))
    early = max(0.0, log2(depths[0] / (L2_SHARE * sum(depths))))
    return knob.name, x, knob.bias * (starved + early), knob.kappa * x


@lru_cache(maxsize=65536)
def transformer_width(ratios: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2(d / C) per stage."""
    knob = KNOBS["transformer width"]
    squares = bias = variance = 0.0
    for ratio, other in zip(ratios, published, strict=True):
        x, floor = ratio - other, min(other, 0.0)
        kappa = knob.kappa + 0.2 if ratio < floor - 1 else knob.kappa
        squares += x * x
        variance += (kappa * x) ** 2
        bias += knob.bias * max(0.0, floor - ratio)
    return knob.name, sqrt(squares / 3), bias / 3, sqrt(variance / 3)


def _comparable_ratios(shape: Shape, reference: Reference) -> tuple[float, ...]:
    """The reference's log2(d / C); where a stage is of another kind, the nearest published one of its own kind."""
    if all(s.kind == reference.kind for s in shape.stages):
        return reference.shape.log_ratios
    return tuple(
        own if stage.kind == reference.kind else min(published_ratios()[stage.kind, i], key=lambda r: abs(r - stage.log_ratio))
        for i, (stage, own) in enumerate(zip(shape.stages, reference.shape.log_ratios, strict=True))
    )


@lru_cache(maxsize=65536)
def ffn_ratio(ratios: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2 of the feed-forward networks' ratio per stage."""
    knob = KNOBS["FFN ratio"]
    xs = [a - b for a, b in zip(ratios, published, strict=True)]
    rms = hypot(*xs) / sqrt(3)
    return knob.name, rms, knob.bias * sum(max(0.0, x) for x in xs) / 3, knob.kappa * rms


@lru_cache(maxsize=65536)
def early_expansion(expansions: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2 of the expansion ratios at strides 2, 4 and 8."""
    knob = KNOBS["early expansion"]
    pairs = list(zip(expansions, published, strict=True))
    x = hypot(*[a - b for a, b in pairs])
    return knob.name, x, knob.bias * sum(max(0.0, a - max(2.0, b)) for a, b in pairs), knob.kappa * x


@lru_cache(maxsize=65536)
def late_expansion(expansions: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2 of the expansion ratios at strides 16 and 32."""
    knob = KNOBS["late expansion"]
    x = hypot(*[a - b for a, b in zip(expansions, published, strict=True)])
    return knob.name, x, 0.0, knob.kappa * x


def width_profile(widths: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2 of the stages' channels, relative to one another."""
    knob = KNOBS["width profile"]
    xs = [a - b for a, b in zip(widths, published, strict=True)]
    common = sum(xs) / 5
    x = sqrt(max(0.0, sum([x * x for x in xs]) - 5 * common * common))
    c1, c2, c3, c4, c5 = widths
    narrowing = max(0.0, c1 - c2) + max(0.0, c2 - c3) + max(0.0, c3 - c4) + max(0.0, c4 - c5)
    early = max(0.0, xs[0] - common) + max(0.0, xs[1] - common)
    return knob.name, x, knob.bias * (early + 2 * narrowing), knob.kappa * x


@lru_cache(maxsize=65536)
def early_blocks(blocks: tuple[float, ...], published: tuple[float, ...]) -> Term:
    """log2 of the number of inverted residuals in the first two stages."""
    knob = KNOBS["early blocks"]
    xs = [a - b for a, b in zip(blocks, published, strict=True)]
    x = hypot(*xs)
    return knob.name, x, knob.bias * sum(max(0.0, x) for x in xs), knob.kappa * x


def stem(log_stem: float, reference: Reference, log_factor: float) -> Term:
    """Channels of the stem; both the reference's own and their scaled number count as evidence."""
    knob = KNOBS["stem"]
    own = reference.shape.log_stem
    scaled = own + (log_factor if reference.scales_stem else 0.0)
    above, below = max(0.0, log_stem - max(own, scaled)), max(0.0, min(own, scaled) - log_stem)
    return knob.name, above + below, knob.bias * above, knob.kappa * (above + below)


def late_parameters(log_late: float, published: float) -> Term:
    """Parameters at stride 32 against the rest."""
    knob = KNOBS["late parameters"]
    x = log_late - published
    return knob.name, abs(x), knob.bias * max(0.0, x), knob.kappa * abs(x)


def width_factor(log_factor: float) -> Term:
    """How far the reference had to be scaled."""
    knob = KNOBS["width factor"]
    return knob.name, abs(log_factor), 0.0, knob.kappa * abs(log_factor)


HeadCost = Callable[[Head], float]
"""Points that a candidate's head adds to its score over another head; 0 where it adds none."""


def _head(head: Head, published: Head, head_cost: HeadCost) -> Term:
    knob = KNOBS["head"]
    if head == published:
        return knob.name, 0.0, 0.0, 0.0
    return knob.name, 1.0, -head_cost(published), knob.kappa


def departures(
    shape: Shape, log_params: float, log_late: float, reference: Reference, head_cost: HeadCost, limit: float = inf
) -> tuple[float, list[Term]] | None:
    """All knobs that are compared with one reference.

    Args:
        shape: the candidate.
        log_params: log2 of its parameters.
        log_late: log2 of its late parameters over the others.
        reference: the published network.
        head_cost: what the candidate's head adds to its score over the head that is passed in.
        limit: variance above which the reference is of no interest.

    Returns:
        The departures' variance and a term per knob; None once the variance exceeds `limit`.
    """
    other = reference.shape
    terms = [
        total_depth(shape.depths, other.depths),
        depth_shares(shape.depths, other.depths),
        transformer_width(shape.log_ratios, _comparable_ratios(shape, reference)),
        ffn_ratio(shape.log_ffns, other.log_ffns),
        early_expansion(shape.early_expansions, other.early_expansions),
        late_expansion(shape.late_expansions, other.late_expansions),
        early_blocks(shape.log_blocks, other.log_blocks),
        width_profile(shape.log_widths, other.log_widths),
    ]
    variance = sum([t[3] * t[3] for t in terms])
    if variance > limit:
        return None
    log_factor, reference_log_late = reference.likeness(log_params)
    rest = [
        late_parameters(log_late, reference_log_late),
        stem(shape.log_stem, reference, log_factor),
        width_factor(log_factor),
        _head(shape.head, other.head, head_cost),
        mixed_kinds(shape.stages, other.stages[0].body),
    ]
    return variance + sum([t[3] * t[3] for t in rest]), terms + rest


@lru_cache(maxsize=4096)
def _patch(log_patches: tuple[float, ...]) -> Term:
    knob = KNOBS["patch"]
    # Linear above 4 and to 0 at 3; smaller than 2 gains nothing.
    doublings = [x if x >= 1 else max(0.0, x - PATCH_FREE) / (1 - PATCH_FREE) for x in log_patches]
    bias = -sum(c * x for c, x in zip(PATCH_COST, doublings, strict=True))
    published = [[log2(p / 2) for p in patches] for patches in PUBLISHED_PATCHES]
    distance = min(hypot(*[a - b for a, b in zip(log_patches, p, strict=True)]) for p in published)
    return knob.name, distance, bias, knob.kappa * distance


def patch(shape: Shape) -> Term:
    """Patch sizes; the shift is the published one, and not a matter of distance."""
    return _patch(tuple([s.log_patch for s in shape.stages]))


@lru_cache(maxsize=4096)
def _stages(stages: tuple[StageShape, ...]) -> list[Term]:
    return [heads(stages), v3_switches(stages)]


def heads(stages: tuple[StageShape, ...]) -> Term:
    """Attention heads, to which the score is blind."""
    knob = KNOBS["heads"]
    xs = [0.0 if s.log_heads is None else s.log_heads - log2(PUBLISHED_HEADS) for s in stages]
    rms = hypot(*xs) / sqrt(3)
    return knob.name, rms, knob.bias * sum(max(0.0, -x) for x in xs) / 3, knob.kappa * rms


@lru_cache(maxsize=4096)
def mixed_kinds(stages: tuple[StageShape, ...], published_body: str) -> Term:
    """Block kinds in one network."""
    knob = KNOBS["mixed kinds"]
    x = 1.0 if len({s.body for s in stages}) > 1 else 0.5 if len({s.kind for s in stages}) > 1 else 0.0
    separable = sum(s.body == "v2" for s in stages) if published_body == "v1" else 0
    return knob.name, x, knob.bias * separable / 3, knob.kappa * x


def _num_switches_off_published(stage: StageShape) -> int:
    of_body = stage.switches if stage.body == "v1" else stage.switches[2:]
    return min(sum(of_body), len(of_body) - sum(of_body))


def v3_switches(stages: tuple[StageShape, ...]) -> Term:
    """Switches between v1 or v2 and v3."""
    knob = KNOBS["v3 switches"]
    x = sum(sqrt(_num_switches_off_published(s)) for s in stages) / 3
    return knob.name, x, 0.0, knob.kappa * x


def activation(name: str) -> Term:
    """Activation function."""
    knob = KNOBS["activation"]
    x = float(name != "silu")
    return knob.name, x, knob.bias if name in ("relu", "relu6") else 0.0, knob.kappa * x


def norm(name: str, stages: tuple[StageShape, ...]) -> Term:
    """Norm of the transformers."""
    knob = KNOBS["norm"]
    if name == LAYER_NORM:
        return knob.name, 0.0, 0.0, 0.0
    return knob.name, 1.0, knob.bias * sum([NORM_SHARES[s.body] for s in stages]) / len(stages), knob.kappa


@lru_cache(maxsize=4096)
def v3_share(body: str, switches: tuple[bool, ...]) -> float:
    """How much of v3's offset a stage's switches bring, 0 to 1."""
    if all(switches if body == "v1" else switches[2:]):
        return 1.0
    return sum(share for share, on in zip(SWITCH_SHARES[body], switches, strict=True) if on)


def nearest(shape: Shape, log_params: float, log_late: float, head_cost: HeadCost) -> tuple[Reference, float, list[Term]]:
    """The published network from which the candidate departs least.

    Args:
        shape: the candidate.
        log_params: log2 of its parameters.
        log_late: log2 of its late parameters over the others.
        head_cost: what its head adds to its score over the head that is passed in.

    Returns:
        The reference, log2 of the factor that scales it to the candidate's size, and a term per knob.
    """
    best: Reference | None = None
    least = inf
    terms: list[Term] = []
    for reference in references_of(frozenset([s.kind for s in shape.stages]), log_params):
        departed = departures(shape, log_params, log_late, reference, head_cost, least)
        if departed is not None and departed[0] < least:
            (least, terms), best = departed, reference
    assert best is not None  # every block kind is published
    own = [patch(shape), *_stages(shape.stages), activation(shape.activation), norm(shape.norm, shape.stages)]
    return best, best.likeness(log_params)[0], terms + own
