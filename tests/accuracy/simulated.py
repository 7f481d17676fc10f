"""Networks with a known truth: estimates with errors, trainings with noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mvsearch.accuracy.marriage import Scored
from mvsearch.accuracy.published import published_top1
from mvsearch.accuracy.trained import CurvePoint, TrainingRecord
from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.published import network
from mvsearch.spec.record import Failure, Measurement

LEVEL_Z = 1.6448536269514722
ANCHORS = (
    "mobilevit_xxs", "mobilevitv2_0.5", "mobilevitv3_0.5", "mobilevitv3_xxs", "mobilevitv3_xxs_l2",
    "mobilevit_xs", "mobilevitv2_0.75", "mobilevitv3_0.75", "mobilevitv3_xs", "mobilevitv3_xs_l2",
)  # fmt: skip
"""Two size bands of five: 20 pairs of about equal size."""
RECIPES = ("short", "middle", "long")


def estimate(value: float, sigma: float, flags: tuple[str, ...] = ()) -> Measurement:
    half = LEVEL_Z * sigma
    return Measurement(
        "top1", value, "%", "estimated", value - half, value + half, 0.9,
        basis="257 published networks, nearest mobilevitv3_xs", protocol="ImageNet-1k", n=257, flags=flags,
    )  # fmt: skip


def training(
    spec: ArchSpec, loss: float | None, seed: int = 0, recipe: str = "short", se: float = 0.01, num_points: int = 3
) -> TrainingRecord:
    steps = {"short": 100, "middle": 300, "long": 900}[recipe]
    end, parts = loss or 1.0, [(i + 1) / num_points for i in range(num_points)]
    curve = tuple(CurvePoint(round(steps * p), end + 0.3 / p, end + 0.2 / p - 0.2, 70 - 10 / p) for p in parts)
    return TrainingRecord(
        spec.arch_id, "images", recipe, steps, 128, seed, loss, None if loss is None else se,
        None if loss is None else 100 * float(np.exp(-loss)), 5000, curve if loss is not None else curve[:1],
        400.0, 60.0, "cpu", "float32", (("torch", "2.9"),), f"2026-11-20T10:00:{seed:02d}Z",
        None if loss is not None else Failure("nan", "loss is not finite after step 33"),
    )  # fmt: skip


def candidate(i: int) -> ArchSpec:
    """The i-th of a hundred networks around MobileViTv3-XS, which differ in layers, width, FFN ratio and expansion."""
    base = network("mobilevitv3_xs")
    rng = np.random.default_rng(1000 + i)
    stages = []
    for stage in base.stages:
        if isinstance(stage, MobileViTStage):
            stage = replace(
                stage,
                depth=int(rng.integers(1, 6)),
                dim=int(stage.dim * rng.choice((0.5, 0.75, 1, 1.25)) // 8 * 8),
                ffn_ratio=float(rng.choice((1, 2, 3, 4))),
                expansion=float(rng.choice((2, 3, 4, 6))),
            )
        stages.append(stage)
    return replace(base, stages=tuple(stages))


@dataclass
class World:
    """What the tests know and the marriage does not.

    Attributes:
        truth: top-1 in %.
        networks: as the marriage sees them.
    """

    truth: dict[str, float]
    networks: list[Scored]


def world(
    seed: int,
    num_candidates: int = 24,
    anchors: Sequence[str] = (),
    estimate_sigma: float = 1.5,
    loss_sd: float = 0.02,
    slope: float = -20.0,
    recipe: str = "short",
    seeds: int = 1,
    shared: float = 0.0,
) -> World:
    """Candidates whose truth is spread over ten points; a loss falls with the truth, or does not (`slope` 0).

    Args:
        seed: of everything.
        num_candidates: how many are trained.
        anchors: published networks that are trained too; their truth is what is published.
        estimate_sigma: of the estimates, as it is and as it is stated.
        loss_sd: of a loss from one seed to another.
        slope: points of top-1 per nat; 0 for losses that are noise.
        recipe: of the trainings.
        seeds: trainings per network.
        shared: error that all estimates have alike, beside their own.
    """
    # Apart from each other, so that worlds that differ in one thing are alike in the others.
    truths, rng = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    noise = np.random.default_rng((seed, 2, RECIPES.index(recipe)))
    truth: dict[str, float] = {}
    networks = []

    def losses(top1: float) -> list[float]:
        mean = 0.9 + (top1 - 72) / slope if slope else noise.normal(0.9, 0.15)
        return [mean + noise.normal(0, loss_sd) for _ in range(seeds)]

    for i in range(num_candidates):
        spec, top1 = candidate(i), truths.uniform(67, 77)
        truth[spec.arch_id] = top1
        before = estimate(top1 + shared + rng.normal(0, estimate_sigma), float(np.hypot(estimate_sigma, shared)))
        records = tuple(training(spec, x, s, recipe) for s, x in enumerate(losses(top1)))
        networks.append(Scored(spec, before, None, records))
    for name in anchors:
        spec, label = network(name), published_top1(name)
        assert label is not None
        truth[spec.arch_id] = label.value
        records = tuple(training(spec, x, s, recipe) for s, x in enumerate(losses(label.value)))
        networks.append(Scored(spec, estimate(label.value + rng.normal(0, 0.6), 0.6), label.value, records))
    return World(truth, networks)
