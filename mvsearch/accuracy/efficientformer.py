"""Top-1 of EfficientFormers: the size line of all families, bent to their own published results; the distance from these.

    ln(100 - top1) = size line + a + b ln(max(params, 8 M) / 8 M)

The seven published networks (L1, L3, L7 of v1; S0, S1, S2, L of v2) were all trained for 300 epochs with a teacher (hard
distillation from RegNetY-160), so that an estimate is what that recipe gives: 1.1 to 2.0 points above training without a
teacher, where both are published (S0, S1, S2). Seven numbers carry two coefficients and no more; a and b are common to both
generations. The size line was fitted on networks of up to 30 M parameters and overshoots above, which b takes back.

Published sizes form a ladder that grows in depth as much as in width. A network is compared with the rung of its own size:
the knobs of its two neighbours on its generation's ladder, interpolated in the logarithm of the parameters; beyond the ends
the outermost network's, all widths scaled. What a departure costs is as `evidence.KNOBS` says for knobs that MobileViTs have
too; attention's row is in `ATTENTION` below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import exp, hypot, log, log2, sqrt
from typing import NamedTuple

from mvsearch.accuracy.estimator import Estimator, load_estimator
from mvsearch.accuracy.evidence import KNOBS, Bound, Knob
from mvsearch.accuracy.features import Size, part_size, total_size
from mvsearch.accuracy.field import FieldPoint, field_points
from mvsearch.accuracy.knobs import Term
from mvsearch.costs import lower
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.efficientformer import EfficientFormerStage, EfficientFormerV2Stage, NormHead, TokenHead
from mvsearch.spec.efficientformer_published import RESOLUTION, side_of
from mvsearch.spec.published import family_of, network, published_networks

FAMILIES = ("efficientformer", "efficientformerv2")
BEND = 8e6
"""Parameters above which the size line's credit is taken back in part: where it begins to overshoot for MobileViTs too."""
ATTENTION = Knob(
    "attention blocks", 0.5, -0.5, "log2 of one more than the number of blocks that attend; bias per halving below the ladder",
    "pooling alone, without a teacher, at 12 M parameters: 77.2, against 79.2 with one attention block and a teacher",
    "PoolFormer-S12 (2111.11418), Table 2, against EfficientFormer-L1 (2206.01191), Table 1; both numbers are judgements",
)  # fmt: skip
PROTOCOL = "ImageNet-1k, 300 epochs with a teacher; size by regression bent to the family, distance from its published ladder"
SLACK = 1.01
"""By how much a network may lie outside the published range before it costs anything."""
LEAST_SIGMA = 0.7
"""Points: below this no estimate of a network that has not been trained is believed."""


class LadderShape(NamedTuple):
    """One network of the family's layout; all logarithms base 2.

    Attributes:
        widths: of the channels of the four stages.
        depths: of their blocks.
        attention: of one more than the blocks that attend, of the last two stages.
        ffns: of the mean feed-forward ratio of each stage.
        late: of parameters of the last stage and the head over those before.
        activation: its name.
    """

    widths: tuple[float, ...]
    depths: tuple[float, ...]
    attention: tuple[float, ...]
    ffns: tuple[float, ...]
    late: float
    activation: str


@dataclass(frozen=True, slots=True)
class Rung:
    """A published network on the ladder.

    Attributes:
        name: published name.
        family: its generation.
        top1: with a teacher, in %.
        size: at 224 pixels, with one classifier.
        log_params: log2 of its parameters.
        shape: its knobs.
        log_error: ln(100 - top1) by the size line.
    """

    name: str
    family: str
    top1: float
    size: Size
    log_params: float
    shape: LadderShape
    log_error: float

    @property
    def shift(self) -> float:
        """What the size line lacks of ln(100 - top1)."""
        return log(100 - self.top1) - self.log_error


class Judged(NamedTuple):
    """An estimate and what it is made of; see `estimate.Top1Explanation`.

    `nearest` and `nearest_top1` are empty and 0 for another layout.
    """

    score: float
    offset: float
    sigma: float
    terms: list[Term]
    bounds: list[tuple[Bound, Term]]
    nearest: str
    nearest_top1: float
    log_factor: float
    size: Size


def counted(spec: ArchSpec) -> tuple[Size, float]:
    """Size at 224 pixels with one classifier, and log2 of late parameters over those before.

    The mean of two linear classifiers on the same features is one linear classifier: a second earns nothing by its size.
    """
    head = replace(spec.head, distilled=False) if isinstance(spec.head, TokenHead | NormHead) else spec.head
    stages = tuple(
        replace(s, side=side_of(RESOLUTION)) if isinstance(s, EfficientFormerStage | EfficientFormerV2Stage) else s
        for s in spec.stages
    )
    sizes = [part_size(p) for p in lower(replace(spec, stages=stages, head=head), RESOLUTION)]
    late = sizes[-1].params + sizes[-2].params
    return total_size(sizes), log2(late / sum(s.params for s in sizes[:-2]))


@lru_cache(maxsize=65536)
def _log2(value: float) -> float:
    return log2(value)


def _is_published_layout(spec: ArchSpec) -> bool:
    if len(spec.stages) != 4 or not isinstance(spec.head, TokenHead | NormHead):
        return False
    kinds = {type(s) for s in spec.stages}
    if len(kinds) != 1 or not kinds <= {EfficientFormerStage, EfficientFormerV2Stage}:
        return False
    return [s.stride for s in spec.stages] == [1, 2, 2, 2]  # type: ignore[union-attr]


def ladder_shape(spec: ArchSpec, late: float) -> LadderShape | None:
    """Shape of a network; None if it has not the published layout."""
    if not _is_published_layout(spec):
        return None
    return LadderShape(
        widths=tuple([_log2(s.channels) for s in spec.stages]),
        depths=tuple([_log2(s.depth) for s in spec.stages]),  # type: ignore[union-attr]
        attention=tuple([_log2(1 + s.attention) for s in spec.stages[2:]]),  # type: ignore[union-attr]
        ffns=tuple([_log2(_mean_ratio(s)) for s in spec.stages]),  # type: ignore[arg-type]
        late=late,
        activation=spec.activation,
    )


def _mean_ratio(stage: EfficientFormerStage | EfficientFormerV2Stage) -> float:
    return stage.ffn_ratio if isinstance(stage, EfficientFormerStage) else sum(stage.ffn_ratios) / stage.depth


def labels() -> dict[str, FieldPoint]:
    """Published top-1 with a teacher by name, as `data/field.csv` has it."""
    known = [name for family in FAMILIES for name in published_networks(family)]
    return {p.network: p for p in field_points() if p.is_distilled and p.network in known}


def _rung(name: str, label: FieldPoint) -> Rung:
    spec = network(name)
    size, late = counted(spec)
    own = ladder_shape(spec, late)
    assert own is not None  # every published network has the published layout
    error = log(100 - load_estimator().score(*size))
    return Rung(name, family_of(spec), label.top1, size, log2(size.params), own, error)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Published networks and what is fitted on them.

    Attributes:
        rungs: the networks, smallest first.
        a, b: the two coefficients.
        sigma: standard deviation, in points, of a network that has not shaped them.
        bounds: range that the networks cover, and what leaving it costs.
    """

    rungs: tuple[Rung, ...]
    a: float
    b: float
    sigma: float
    bounds: tuple[Bound, ...]

    def ladder(self, family: str) -> tuple[Rung, ...]:
        """The networks of one generation."""
        return tuple([r for r in self.rungs if r.family == family])


def evidence_of(rungs: Sequence[Rung]) -> Evidence:
    """What these networks say; the standard deviation is that of fits each judged on the network that it has not seen."""
    a, b = _fit(rungs)
    errors = []
    for rung in rungs:
        others = _fit([r for r in rungs if r is not rung])
        errors.append(rung.top1 - _top1(rung.log_error + _shift(*others, rung.log_params)))
    sigma = max(LEAST_SIGMA, sqrt(sum(e * e for e in errors) / len(errors)))
    bounds = []
    for quantity, bias, kappa in (("params", -0.5, 1.0), ("activations/params", -1.0, 1.5)):
        values = [_quantity(quantity, r.size) for r in rungs]
        why = "what the published ones have"
        bounds.append(Bound(quantity, min(values) / SLACK, max(values) * SLACK, bias, bias, kappa, why))
    return Evidence(tuple(sorted(rungs, key=lambda r: r.log_params)), a, b, sigma, tuple(bounds))


@lru_cache(maxsize=1)
def shipped_evidence() -> Evidence:
    """All seven published networks."""
    return evidence_of([_rung(name, label) for name, label in labels().items()])


def held_out() -> list[tuple[Rung, Judged]]:
    """Every published network as the other six judge it."""
    rungs, estimator = shipped_evidence().rungs, load_estimator()
    return [(r, judge(network(r.name), estimator, evidence_of([o for o in rungs if o is not r]))) for r in rungs]


def _fit(rungs: Sequence[Rung]) -> tuple[float, float]:
    """Least squares of the shifts: (a, b)."""
    x, y = [_beyond(r.log_params) for r in rungs], [r.shift for r in rungs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    b = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True)) / sum((u - mean_x) ** 2 for u in x)
    return mean_y - b * mean_x, b


def _shift(a: float, b: float, log_params: float) -> float:
    return a + b * _beyond(log_params)


def _beyond(log_params: float) -> float:
    """Logarithm of the parameters over 8 M; 0 below."""
    return max(0.0, log_params - log2(BEND)) * log(2)


def _top1(log_error: float) -> float:
    return 100 - exp(log_error)


def _quantity(name: str, size: Size) -> float:
    return size.params / 1e6 if name == "params" else size.activations / size.params


def on_ladder(rungs: tuple[Rung, ...], log_params: float) -> tuple[LadderShape, Rung, float]:
    """The knobs that the ladder has at a size; the nearest rung; log2 of its width factor to that size."""
    columns = [r.log_params for r in rungs]
    i = min(max(bisect_right(columns, log_params), 1), len(rungs) - 1)
    low, high = rungs[i - 1], rungs[i]
    t = min(max((log_params - low.log_params) / (high.log_params - low.log_params), 0.0), 1.0)

    def mixed(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
        return tuple([u + t * (v - u) for u, v in zip(a, b, strict=True)])

    x, y = low.shape, high.shape
    shape = LadderShape(
        mixed(x.widths, y.widths), mixed(x.depths, y.depths), mixed(x.attention, y.attention), mixed(x.ffns, y.ffns),
        x.late + t * (y.late - x.late), x.activation,
    )  # fmt: skip
    # Parameters of 1x1 convolutions go with the square of the widths.
    outside = min(log_params - columns[0], 0.0) + max(log_params - columns[-1], 0.0)
    near = low if t < 0.5 else high
    return shape, near, outside / 2


def departures(own: LadderShape, other: LadderShape, log_factor: float) -> list[Term]:
    """What each knob's departure from the ladder costs."""
    return [
        _width_profile(own.widths, other.widths),
        _total_depth(own.depths, other.depths),
        _depth_shares(own.depths, other.depths),
        _attention(own.attention, other.attention),
        _ffn(own.ffns, other.ffns),
        _late(own.late, other.late),
        _factor(log_factor),
        _activation(own.activation),
    ]


def _width_profile(widths: tuple[float, ...], other: tuple[float, ...]) -> Term:
    knob = KNOBS["width profile"]
    xs = [a - b for a, b in zip(widths, other, strict=True)]
    common = sum(xs) / len(xs)
    x = hypot(*[v - common for v in xs])
    narrowing = sum([max(0.0, a - b) for a, b in pairwise(widths)])
    early = max(0.0, xs[0] - common) + max(0.0, xs[1] - common)
    return knob.name, x, knob.bias * (early + 2 * narrowing), knob.kappa * x


def _total_depth(depths: tuple[float, ...], other: tuple[float, ...]) -> Term:
    knob = KNOBS["total depth"]
    x = log2(sum([2**d for d in depths]) / sum([2**d for d in other]))
    if x >= 0:
        return knob.name, x, 0.0, KNOBS["depth shares"].kappa * x
    return knob.name, -x, knob.bias * -x, knob.kappa * -x


def _depth_shares(depths: tuple[float, ...], other: tuple[float, ...]) -> Term:
    knob = KNOBS["depth shares"]
    xs = [a - b for a, b in zip(depths, other, strict=True)]
    common = sum(xs) / len(xs)
    x = hypot(*[v - common for v in xs])
    # Stride 16 holds most of the blocks in every published network.
    return knob.name, x, knob.bias * max(0.0, common - xs[2]), knob.kappa * x


def _attention(attention: tuple[float, ...], other: tuple[float, ...]) -> Term:
    xs = [a - b for a, b in zip(attention, other, strict=True)]
    x = hypot(*xs)
    return ATTENTION.name, x, ATTENTION.bias * sum([max(0.0, -v) for v in xs]), ATTENTION.kappa * x


def _ffn(ratios: tuple[float, ...], other: tuple[float, ...]) -> Term:
    knob = KNOBS["FFN ratio"]
    xs = [a - b for a, b in zip(ratios, other, strict=True)]
    rms = hypot(*xs) / sqrt(len(xs))
    return knob.name, rms, knob.bias * sum([max(0.0, v) for v in xs]) / len(xs), knob.kappa * rms


def _late(late: float, other: float) -> Term:
    knob = KNOBS["late parameters"]
    x = late - other
    return knob.name, abs(x), knob.bias * max(0.0, x), knob.kappa * abs(x)


def _factor(log_factor: float) -> Term:
    knob = KNOBS["width factor"]
    return knob.name, abs(log_factor), 0.0, knob.kappa * abs(log_factor)


def _activation(name: str) -> Term:
    knob = KNOBS["activation"]
    x = float(name != "gelu")
    return knob.name, x, knob.bias if name in ("relu", "relu6") else 0.0, knob.kappa * x


def judge(spec: ArchSpec, estimator: Estimator, evidence: Evidence | None = None) -> Judged:
    """Everything of an estimate but the image's resolution.

    Args:
        spec: a network of one of the `FAMILIES`.
        estimator: the size line.
        evidence: other published networks than all of them.
    """
    evidence = evidence or shipped_evidence()
    size, late = counted(spec)
    log_params = log2(size.params)
    score = estimator.score(*size)
    own, offset = ladder_shape(spec, late), estimator.score(*size, _shift(evidence.a, evidence.b, log_params)) - score
    bounds = [(b, t) for b in evidence.bounds if (t := _outside(b, size)) is not None]
    if own is None:
        return Judged(score, offset, evidence.sigma, [], bounds, "", 0.0, 0.0, size)
    other, near, log_factor = on_ladder(evidence.ladder(family_of(spec)), log_params)
    terms = departures(own, other, log_factor)
    factor = (log_params - near.log_params) / 2
    return Judged(score, offset, evidence.sigma, terms, bounds, near.name, near.top1, factor, size)


def _outside(bound: Bound, size: Size) -> Term | None:
    value = _quantity(bound.quantity, size)
    if value > bound.high:
        x, bias = log2(value / bound.high), bound.bias_above
    elif value < bound.low:
        x, bias = log2(bound.low / value), bound.bias_below
    else:
        return None
    return bound.quantity, x, bias * x, bound.kappa * x


def position(spec: ArchSpec) -> tuple[float, ...]:
    """A network's knobs as coordinates in points of top-1, as `likeness.position`; empty for another layout."""
    own = ladder_shape(spec, counted(spec)[1])
    return () if own is None else tuple(_coordinates(own))


def _coordinates(own: LadderShape) -> list[float]:
    mean = sum(own.widths) / len(own.widths)
    total = log2(sum([2**d for d in own.depths]))
    return [
        *[KNOBS["width profile"].kappa * (w - mean) for w in own.widths],
        KNOBS["depth shares"].kappa * total,
        *[KNOBS["depth shares"].kappa * (d - total) for d in own.depths],
        *[ATTENTION.kappa * a for a in own.attention],
        *[KNOBS["FFN ratio"].kappa * r for r in own.ffns],
        KNOBS["activation"].kappa * (own.activation in ("relu", "relu6")),
    ]
