"""A scaled network with honest costs and invented latencies, accuracies and laws. Nothing here is a result."""

from __future__ import annotations

import math
from functools import lru_cache

from mvsearch.scaling.view import (
    CompoundFit,
    CompoundOption,
    CurvePoint,
    Family,
    IsoCurve,
    Knee,
    Law,
    LawPoint,
    Marginal,
    Member,
    PublishedMember,
    ScalingView,
    Uncertain,
)
from mvsearch.spec.published import network
from mvsearch.spec.record import Measurement
from tests.report.sample import invented_evaluation

HOSTILE = "<script>alert('network')</script>"
RULE = "A size pays while it brings something; invented for tests."
V2 = ("mobilevitv2_0.5", "mobilevitv2_0.75", "mobilevitv2_1.0", "mobilevitv2_1.25", "mobilevitv2_1.5")
V3 = ("mobilevitv3_xxs", "mobilevitv3_xs", "mobilevitv3_s")


def member(rule, name, factor, resolution=256, gain=None, is_base=False):
    evaluation = invented_evaluation(network(name), resolution)
    marginal = None
    if gain is not None:
        points = Uncertain(gain, gain - 1.0, gain + 1.0)
        per_ms = Uncertain(gain / 0.8, (gain - 1) / 0.8, (gain + 1) / 0.8) if gain > 0 else None
        marginal = Marginal(points, 0.8 if gain > 0 else -0.1, per_ms, 0.8, gain > 0.5)
    width, side = (factor, 1.0) if rule != "resolution" else (1.0, factor)
    return Member(rule, factor, width, 1.0, side, evaluation, name if is_base else "", is_base, marginal)


def law(y, x, rule, of):
    """An invented law through five points of its own curve."""
    xs = [(1.5 + i) * (60 if x == "resolution" else 1e6) for i in range(9)]
    middle = xs[4]

    def at(v):
        return 20 * (v / middle) ** -0.3 + 4

    curve = tuple(CurvePoint(v, at(v), 0.97 * at(v), 1.03 * at(v), 0.93 * at(v), 1.07 * at(v)) for v in xs)
    points = tuple(LawPoint(f"{HOSTILE}{i}", v, 1.01 * at(v), i < 4) for i, v in enumerate(xs[::2]))
    kind = "published" if rule is None else "estimated" if y == "error" else "predicted"
    return Law(
        y=y, x=x, of=of, kind=kind, rule=rule, form="power with offset", why_form="Invented.",
        exponent=Uncertain(-0.3, -0.4, -0.2), coefficient=20.0, offset=4.0, x_scale=middle, n=4, r2=0.99, residual_sd=0.01,
        prior="", level=0.9, points=points, curve=curve, caution="Invented for tests.",
    )  # fmt: skip


@lru_cache(maxsize=1)
def scaling_view():
    """Three families, one of them empty; two published series; laws, a compound fit, curves of equal cost."""
    gains = (None, 4.0, 2.5, 0.6, 0.2)
    wide = tuple(
        member("width", name, factor, gain=gain, is_base=factor == 1.0)
        for name, factor, gain in zip(V2, (0.5, 0.75, 1.0, 1.25, 1.5), gains, strict=True)
    )
    sharp = (member("resolution", V2[2], 1.0, is_base=True), member("resolution", V2[2], 1.25, 320, gain=-0.1))
    best = CompoundOption("found", 1.1, 1.2, 1.1, 1.0, wide[3], 76.1, None, False)
    fit = CompoundFit(
        metric="macs", budget=3e9, budget_text="3G-macs", tolerance=0.05, found=best,
        others=(
            CompoundOption("EfficientNet's", 1.2, 1.1, 1.15, 1.0, wide[2], 75.4, 0.7, True),
            CompoundOption("width only", 1.0, 1.41, 1.0, 1.0, wide[4], 73.9, 0.95, False),
        ),
        missing=(("depth only", "cannot reach it"),), ranges=(("alpha", 1.0, 1.3), ("beta", 1.1, 1.3), ("gamma", 1.1, 1.1)),
        tried=40, limits=("Nothing here is a result.",),
    )  # fmt: skip
    laws = tuple(
        law(y, x, rule, of)
        for y, rule, of in (
            ("error", "width", "width, estimated top-1"),
            ("latency", "width", "width, predicted latency"),
            ("error", None, f"{HOSTILE}, published top-1"),
        )
        for x in ("params", "macs", "activations", *(["resolution"] if rule is None else []))
    )
    published = tuple(
        PublishedMember(
            name, series, invented_evaluation(network(name)),
            Measurement("top1", 70 + 3 * math.log(i + 1), "%", "published", basis="invented"), i < 4,
        )
        for series, names in (("MobileViTv2", V2), ("MobileViTv3", V3)) for i, name in enumerate(names)
    )  # fmt: skip
    iso = tuple(
        IsoCurve(metric, level, "width", axis, tuple((0.6 + 0.2 * i, 2.2 - 0.4 * i, 74 + i) for i in range(4)))
        for metric, level in (("macs", 1e9), ("latency", 3.0)) for axis in ("depth", "resolution")
    )  # fmt: skip
    return ScalingView(
        name=HOSTILE, base=wide[2].evaluation, target="iphone12", target_note="synthetic target for tests", resolution=256,
        command=f"mvsearch scale {HOSTILE} --params 1M..10M", asked="1.00 M to 10.0 M params", metric="params",
        low=1e6, high=1e7, confidence=0.8,
        families=(
            Family("width", "width", "All channels times the factor.", wide, Knee(3, RULE, "It stops paying at 4.00 ms.")),
            Family("depth", "depth", "All layers times the factor.", (), None, "it reaches 2 M to 3 M; give `--params`"),
            Family("resolution", "resolution", "The image.", sharp, Knee(None, RULE, "Every size pays.")),
        ),
        laws=laws, compound=fit, iso=iso, published=published, notes=(f"A note about `{HOSTILE}`.",), seconds=1.0,
        versions=(("mvsearch", "0.0-test"),),
    )  # fmt: skip
