"""From the table of trainings to what the estimate may use of it.

The trainings are short, on few classes of small images: their points are not ImageNet's. How many points of
published top-1 one trained point stands for (`exchange`) is taken from two networks of published proportions,
the base and the evenly thinned MobileViTv3-XS: their estimated difference over their trained one. That an effect
of a knob translates like an effect of size is an assumption, and its error (`TRANSFER`) is one too.

A finding is used for the estimate only where it is significant among all knobs and its sign is the published
one; where it is significant and larger than the uncertainty that the estimate allows for the knob, it raises
that. Nothing that was trained here lowers an uncertainty or takes back a published cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, log2, sqrt
from types import MappingProxyType

import numpy as np

from mvsearch.accuracy.allocation.cases import THINNED, cases
from mvsearch.accuracy.allocation.design import BASE_NAME, KNOB_NAMES, NUM_CLASSES, Candidate, base, design
from mvsearch.accuracy.allocation.effects import Effect, EffectFit, Observation, fit_effects
from mvsearch.accuracy.allocation.table import Result
from mvsearch.accuracy.estimate import explain_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.evidence import KNOBS
from mvsearch.errors import InputError

TRANSFER = 0.5
"""Relative standard deviation of a knob's effect on ImageNet around the translated one; a judgement."""
EXCHANGE_LIMIT = 2.0
"""The two networks have to differ by so many standard errors for their ratio to mean anything."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What published evidence says of a knob of the design.

    Attributes:
        evidence: key of `evidence.KNOBS` that prices it.
        sign: of the published effect of a positive step at equal size; 0 where nothing is published.
    """

    evidence: str
    sign: int


MEANINGS = MappingProxyType(
    {
        "total depth": Meaning("total depth", 1),
        "depth share of stage 4": Meaning("depth shares", 1),
        "depth late over early": Meaning("depth shares", 1),
        "transformer width": Meaning("transformer width", 1),
        "heads": Meaning("heads", 1),
        "FFN ratio": Meaning("FFN ratio", -1),
        "early expansion": Meaning("early expansion", -1),
        "late expansion": Meaning("late expansion", 0),
        "width profile to early": Meaning("width profile", -1),
        "patch": Meaning("patch", -1),
        "separable attention": Meaning("mixed kinds", -1),
        "without dw_local": Meaning("v3 switches", 1),
        "without fuse_1x1": Meaning("v3 switches", -1),
        "without concat_local": Meaning("v3 switches", 1),
        "without residual": Meaning("v3 switches", -1),
    }
)
"""By knob of the design. Switches: MobileViTv3 (2209.15159), Table 6; the others as `evidence.KNOBS` says."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Points of published top-1 per point trained here.

    Attributes:
        value: the ratio.
        se: its standard error, of the trainings and of the estimate.
        estimated: difference of the two networks by the estimate, in points.
        trained: their difference here, in points.
        trained_se: its standard error over seeds.
    """

    value: float
    se: float
    estimated: float
    trained: float
    trained_se: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One knob: what was trained, and what of it is used.

    Attributes:
        effect: on trained top-1, in points per step.
        meaning: what published evidence says.
        translated: in points of the estimate per step; None without an exchange rate.
        translated_se: its standard error: trainings, exchange rate and transfer.
        use: `estimate`, `uncertainty` or `nothing`.
        why: in words.
        kappa: uncertainty per doubling that the estimate should allow, in its points; at least the published one.
        cost: change per step in the direction that hurts, zero or negative; the trained effect where it is used,
            weighed with the published cost by inverse variance; None where the published one stands.
    """

    effect: Effect
    meaning: Meaning
    translated: float | None
    translated_se: float | None
    use: str
    why: str
    kappa: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the table says.

    Attributes:
        top1: effects on top-1, in points.
        loss: effects on validation loss, in nats.
        exchange: rate; None while the two networks are not trained or do not differ.
        findings: per knob that the table determines.
        largest_correction: of a network's top-1 for what its size differs from the base's, in points.
    """

    top1: EffectFit
    loss: EffectFit
    exchange: Exchange | None
    findings: tuple[Finding, ...]
    largest_correction: float


def one_protocol(results: Sequence[Result]) -> None:
    """Refuse a table whose trainings cannot be compared.

    Raises:
        InputError: trainings of several recipes, images or resolutions; or of a network that is not the named one.
    """
    protocols = {(r.recipe, r.images, r.steps, r.resolution) for r in results}
    if len(protocols) > 1:
        raise InputError(f"trainings of `{len(protocols)}` recipes, image sets or resolutions in one table", "one of each")
    known = {c.name: c.spec.arch_id for c in design()}
    known |= {name: spec.with_classes(NUM_CLASSES).arch_id for name, spec in cases().items()}
    for r in results:
        if known.get(r.name) != r.arch_id:
            raise InputError(f"`{r.name}` with arch_id `{r.arch_id}` is not in this version's design", "train the design anew")


def size_slopes() -> tuple[float, float]:
    """Points of estimated top-1 per doubling of parameters and of activations, at the base."""
    e, fit = explain_top1(base().spec.with_classes(1000)), load_estimator()
    error = 100 - (e.score + e.block_offset)
    return error * (1 - 2 ** fit.coefficients[1]), error * (1 - 2 ** fit.coefficients[3])


def size_correction(candidate: Candidate, points_per_point: float) -> float:
    """What a candidate's size differs from the base's is worth, in trained points.

    Args:
        candidate: one of the design.
        points_per_point: trained points per estimated point.
    """
    own, of_base = candidate.costs, base().costs
    per_params, per_activations = size_slopes()
    points = per_params * log2(own.params / of_base.params) + per_activations * log2(own.activations / of_base.activations)
    return points_per_point * points


def exchange_rate(results: Sequence[Result]) -> Exchange | None:
    """From the base and the evenly thinned network; None if one of them is missing or they are too close."""
    by_name = {name: [r.top1 for r in results if r.name == name] for name in (BASE_NAME, THINNED)}
    if not all(by_name.values()):
        return None
    noise = _pooled_noise(results)
    if noise is None:
        return None
    trained = float(np.mean(by_name[THINNED]) - np.mean(by_name[BASE_NAME]))
    trained_se = noise * sqrt(sum(1 / len(v) for v in by_name.values()))
    if trained < EXCHANGE_LIMIT * trained_se:
        return None
    thinned, small = explain_top1(cases()[THINNED]), explain_top1(base().spec.with_classes(1000))
    estimated = thinned.value - small.value
    relative = hypot(trained_se / trained, sqrt(2) * load_estimator().sigma / estimated)
    return Exchange(estimated / trained, estimated / trained * relative, estimated, trained, trained_se)


def _pooled_noise(results: Sequence[Result]) -> float | None:
    groups: dict[str, list[float]] = {}
    for r in results:
        groups.setdefault(r.name, []).append(r.top1)
    dof = sum(len(v) - 1 for v in groups.values())
    if not dof:
        return None
    return sqrt(sum(float(np.sum((np.array(v) - np.mean(v)) ** 2)) for v in groups.values()) / dof)


def findings(results: Sequence[Result]) -> Findings:
    """Fit both results and judge each knob.

    Raises:
        InputError: trainings that cannot be compared, or too few.
    """
    one_protocol(results)
    exchange = exchange_rate(results)
    rate = 1 / exchange.value if exchange else 1.0
    loss_per_point = _loss_per_point(results)
    top1, loss, corrections = [], [], [0.0]
    for candidate in design():
        rows = [r for r in results if r.name == candidate.name]
        if not rows:
            continue
        excess = size_correction(candidate, rate)
        corrections.append(abs(excess))
        top1.append(Observation(candidate.name, candidate.steps, tuple(r.top1 - excess for r in rows)))
        losses = tuple(r.val_loss - loss_per_point * excess for r in rows)
        loss.append(Observation(candidate.name, candidate.steps, losses))
    fit = fit_effects(top1, KNOB_NAMES)
    return Findings(
        top1=fit,
        loss=fit_effects(loss, KNOB_NAMES),
        exchange=exchange,
        findings=tuple(judge(e, exchange) for e in fit.effects),
        largest_correction=max(corrections),
    )


def _loss_per_point(results: Sequence[Result]) -> float:
    """Nats of validation loss per point of top-1 over the trainings; 0 where they do not differ."""
    top1, loss = np.array([r.top1 for r in results]), np.array([r.val_loss for r in results])
    spread = float(np.sum((top1 - top1.mean()) ** 2))
    return float(np.sum((top1 - top1.mean()) * (loss - loss.mean()))) / spread if spread else 0.0


def judge(effect: Effect, exchange: Exchange | None) -> Finding:
    """What of an effect is used, by the rules that the module states."""
    meaning = MEANINGS[effect.knob]
    published = KNOBS[meaning.evidence]
    kappa = published.kappa
    if exchange is None:
        return Finding(effect, meaning, None, None, "nothing", "no exchange rate", kappa, None)
    value = exchange.value * effect.value
    se = hypot(exchange.value * effect.se, exchange.se * effect.value, TRANSFER * value)
    if not effect.significant:
        return Finding(effect, meaning, value, se, "nothing", "within noise", kappa, None)
    # What noise adds to the square of an effect is taken out before it is compared.
    size = sqrt(max(0.0, value**2 - (exchange.value * effect.se) ** 2))
    kappa = max(kappa, size)
    if meaning.sign and meaning.sign * value > 0:
        weights = (1 / published.kappa**2, 1 / se**2)
        cost = (weights[0] * published.bias - weights[1] * abs(value)) / sum(weights)
        return Finding(effect, meaning, value, se, "estimate", "significant, sign as published", kappa, cost)
    why = "significant, sign against what is published" if meaning.sign else "significant, nothing published"
    return Finding(effect, meaning, value, se, "uncertainty", why, kappa, None)
