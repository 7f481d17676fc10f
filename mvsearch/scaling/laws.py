"""The laws that are shown: which are fitted, on what, and what each cannot know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from mvsearch.accuracy.resolution import EVIDENCE, resolution_effect
from mvsearch.scaling.power_law import (
    FEWEST_FOR_OFFSET,
    LEVEL,
    Array,
    PowerLaw,
    choose_law,
    fit_with_prior,
    quantile,
)
from mvsearch.scaling.prior import PRIOR_INPUTS, load_prior, load_series
from mvsearch.scaling.view import (
    CurvePoint,
    Family,
    Law,
    LawInput,
    LawOutput,
    LawPoint,
    Member,
    PublishedMember,
    Rule,
    Uncertain,
)
from mvsearch.spec.record import Evaluation

INPUTS: tuple[LawInput, ...] = ("params", "macs", "activations", "resolution")
FEWEST = 3
"""Sizes that a law takes without a prior."""
LEAST_SPAN = 1.15
"""Largest over smallest x, below which there is nothing to fit a power to."""
BEYOND = 1.6
"""Factor by which a curve is drawn beyond its points."""
CURVE = 41
_OF_ESTIMATES = (
    "The law describes the estimates: its bands are their scatter about it. What an estimate itself may be wrong by stands at "
    "every member, and is far more."
)
_OF_PREDICTIONS = (
    "The law describes the predictions: its bands are their scatter about it, not what a device may differ by from its "
    "prediction."
)
_OF_PUBLISHED = "Published labels of one network differ by 0.8 points in the median between recipes; these share one recipe."


def family_laws(family: Family) -> Iterator[Law]:
    """Error and latency of a family against all that varies in it."""
    outputs: tuple[tuple[LawOutput, Literal["estimated", "predicted"], str], ...] = (
        ("error", "estimated", _OF_ESTIMATES),
        ("latency", "predicted", _OF_PREDICTIONS),
    )
    for y, kind, caution in outputs:
        for x in INPUTS:
            points = [
                LawPoint(m.name or f"{family.rule} x{m.factor:.3g}", law_input(m.evaluation, x), _output(m, y))
                for m in family.members
            ]
            what = "top-1" if y == "error" else "latency"
            if fitted := _fitted(points, x):
                law, why = fitted
                yield _law(law, why, y, x, f"{family.label}, {kind} {what}", kind, family.rule, points, "", caution)


def published_laws(published: Sequence[PublishedMember]) -> Iterator[Law]:
    """Published error of every series against its costs; few sizes are fitted with the prior of other series."""
    for series in dict.fromkeys(p.series for p in published):
        members = [(p, p.top1) for p in published if p.series == series and p.top1 is not None]
        for x in PRIOR_INPUTS:
            points = [LawPoint(p.name, law_input(p.evaluation, x), 100 - top1.value) for p, top1 in members]
            if law := fit_published(points, x, series):
                yield law


def fit_published(points: Sequence[LawPoint], x: LawInput, series: str) -> Law | None:
    """The law of a series' published error, from two sizes on; points that are not `fitted` are only compared.

    Args:
        points: with x in the units of `Costs`, y = 100 - top-1 in %.
        x: `params`, `macs` or `activations`.
        series: what it is of.
    """
    fitted = [p for p in points if p.fitted]
    if len(fitted) >= FEWEST_FOR_OFFSET:
        law, why = choose_law([p.x for p in fitted], [p.y for p in fitted])
        text = ""
    elif len({p.x for p in fitted}) >= 2:
        prior = load_prior(x)
        law = fit_with_prior([p.x for p in fitted], [p.y for p in fitted], prior)
        why = f"{len(fitted)} sizes cannot tell a slope from an offset: both are drawn towards those of other designs"
        text = (
            f"Exponent {-prior.exponent:.2f} (times or divided by {math.exp(prior.sd_log_exponent):.2f}), offset "
            f"{prior.offset:.1f} +- {prior.sd_offset:.1f} %, residuals {prior.sd:.3f}: {len(load_series())} published series "
            "without any MobileViT."
        )
    else:
        return None
    return _law(law, why, "error", x, f"{series}, published top-1", "published", None, points, text, _OF_PUBLISHED)


def resolution_laws(base: Evaluation) -> Iterator[Law]:
    """Error against the side below and above a network's own, by published pairs set to the base's estimated error."""
    found = resolution_effect()
    error, side = 100 - base.measurements["top1"].value, float(base.resolution)
    least, most = EVIDENCE
    for which, (where, power, ends) in enumerate((
        ("smaller", found.below, (least, 1.0)),
        ("larger", found.above, (1.0, most)),
    )):  # fmt: skip
        pairs = [p for p in found.pairs if (p.side_to > p.side_from) == bool(which)]
        points = [LawPoint(p.network, side * p.side_to / p.side_from, error * p.error_to / p.error_from) for p in pairs]
        families = len({p.family for p in pairs})
        low, high = found.interval(which)
        sd_mean = math.sqrt(found.covariance[which][which])
        z = quantile(LEVEL, found.families - 2)
        curve = []
        for x in np.geomspace(side * ends[0], side * ends[1], CURVE).tolist():
            u = math.log(x / side)
            y = error * math.exp(power * u)
            law, new = (math.exp(z * sd * abs(u)) for sd in (sd_mean, math.hypot(sd_mean, found.sd_between)))
            curve.append(CurvePoint(x, y, y / law, y * law, y / new, y * new))
        yield Law(
            y="error", x="resolution", of=f"{len(pairs)} pairs of {families} families on {where} images, published top-1",
            kind="published", rule=None, form="power", why_form="two sizes of image each: no offset can be told",
            exponent=Uncertain(power, low, high, LEVEL), coefficient=error, offset=0.0, x_scale=side, n=len(pairs),
            r2=found.r2, residual_sd=found.residual_sd, prior="", level=LEVEL, points=tuple(points), curve=tuple(curve),
            caution="Of networks of 224 pixels, MobileViTv2 and a MobileNetV4 of 256; the members' top-1 is by this law.",
        )  # fmt: skip


def law_input(evaluation: Evaluation, x: LawInput) -> float:
    """What a law is against, in its unit."""
    return float(evaluation.resolution) if x == "resolution" else evaluation.measurements[x].value


def _output(member: Member, y: LawOutput) -> float:
    found = member.evaluation.measurements
    return 100 - found["top1"].value if y == "error" else found["latency"].value


def _fitted(points: Sequence[LawPoint], x: LawInput) -> tuple[PowerLaw, str] | None:
    """The law of these; None where x does not vary enough, or there are too few."""
    sizes = [p.x for p in points]
    if len(set(sizes)) < FEWEST or max(sizes) / min(sizes) < LEAST_SPAN:
        return None
    if x == "params" and len(set(sizes)) < len(sizes):
        return None
    return choose_law(sizes, [p.y for p in points])


def _law(
    law: PowerLaw,
    why: str,
    y: LawOutput,
    x: LawInput,
    of: str,
    kind: Literal["published", "estimated", "predicted"],
    rule: Rule | None,
    points: Sequence[LawPoint],
    prior: str,
    caution: str,
) -> Law:
    low, high = law.exponent_interval()
    every = [p.x for p in points]
    return Law(
        y=y, x=x, of=of, kind=kind, rule=rule,
        form="power with offset" if law.offset > 0 else "power", why_form=why,
        exponent=Uncertain(law.exponent, low, high, LEVEL), coefficient=math.exp(law.log_value), offset=law.offset,
        x_scale=law.scale, n=law.n, r2=law.r2, residual_sd=law.sd, prior=prior, level=LEVEL, points=tuple(points),
        curve=_curve(law, np.geomspace(min(every) / BEYOND, max(every) * BEYOND, CURVE)), caution=caution,
    )  # fmt: skip


def _curve(law: PowerLaw, x: Array) -> tuple[CurvePoint, ...]:
    columns = (x, law.at(x), *law.bands(x))
    return tuple(CurvePoint(*map(float, row)) for row in zip(*columns, strict=True))
