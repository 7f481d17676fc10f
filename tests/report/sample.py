"""A synthetic run: honest costs, invented latencies and accuracies. Nothing here is a result."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import lru_cache

from mvsearch.costs import count
from mvsearch.report.select import staircase
from mvsearch.spec.arch import (
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
    PoolHead,
    Stage,
)
from mvsearch.spec.budget import Budget, parse_budgets
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Evaluation, Failure, Measurement, Trial
from mvsearch.spec.run import FrontMember, PublishedPoint, RunnerUp, RunSettings, RunView, SearchCounts

NOTE = "synthetic target for tests: the latencies and accuracies of this page are invented"
HOSTILE = "<script>alert('space')</script>.yaml"
_PUBLISHED_TOP1 = {
    "mobilevit_xxs": 69.0,
    "mobilevitv2_0.5": 70.2,
    "mobilevitv3_xxs": 70.98,
    "mobilevitv3_0.5": 72.33,
    "mobilevit_xs": 74.8,
}


def random_spec(rng: random.Random) -> ArchSpec:
    """Some legal network of roughly mobile size."""
    c1, c2 = rng.choice((16, 24, 32)), rng.choice((24, 32, 48, 64))
    stages: list[Stage] = [
        InvertedResidualStage(c1, rng.choice((1, 2, 4)), 1, 1),
        InvertedResidualStage(c2, rng.choice((2, 3, 4)), rng.choice((1, 2, 3)), 2),
    ]
    for low, high in ((32, 96), (48, 128), (64, 176)):
        channels, dim = rng.randrange(low, high + 1, 8), rng.randrange(48, 145, 16)
        depth, expansion, ffn = rng.randint(1, 4), rng.choice((2, 3, 4)), rng.choice((1, 2, 3))
        if rng.random() < 0.4:
            stages.append(
                MobileViTV2Stage(channels, dim, depth, expansion, ffn, (2, 2), *(rng.choice(((True,) * 2, (False,) * 2))))
            )
        else:
            switches = rng.choice(((True,) * 4, (False,) * 4, (False, True, False, True)))
            stages.append(
                MobileViTStage(
                    channels, dim, depth, expansion, rng.choice((2, 4)), ffn, rng.choice(((2, 2), (4, 4))), *switches
                )
            )
    return ArchSpec(ConvStem(16), tuple(stages), rng.choice((PoolHead(), ExpandHead())))


def invented_evaluation(spec: ArchSpec, resolution: int = 256, rung: str = "estimated") -> Evaluation:
    """Counted costs, and a latency and an accuracy that are made up from them."""
    costs = count(spec, resolution)
    milliseconds = 0.35 + costs.macs / 2.2e8 + costs.activations / 9e6 + 0.13 * sum(s.depth for s in spec.transformer_stages)
    bonus = sum({"v1": -0.1, "v2": 0.0}.get(block, 0.5) for block in spec.blocks)
    shallow = sum(0.6 for s in spec.transformer_stages if s.depth == 1)
    top1 = (
        67.2 + 3.06 * math.log(costs.params / 1e6) - 0.36 * math.log(costs.macs / 1e6) + 2.4 * math.log(costs.activations / 1e6)
    )
    sigma = 0.7 + 0.35 * shallow
    value = min(90.0, top1 + bonus - shallow)
    numbers = {
        **costs.measurements(),
        "latency": Measurement(
            "latency", milliseconds, "ms", "predicted", milliseconds / 1.9, milliseconds * 1.9, 0.9, "log",
            "invented for tests", "iphone12", "synthetic", 64,
        ),
        "top1": Measurement(
            "top1", value, "%", "estimated", value - 1.645 * sigma, value + 1.645 * sigma, 0.9, "linear",
            "invented for tests", n=257, flags=("extrapolating",) if shallow > 1 else (),
        ),
    }  # fmt: skip
    return Evaluation(spec, resolution, numbers, rung)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def synthetic_view(trials: int = 300, budgets: str = "2M-params", space: str = "mobilevit", seed: int = 0) -> RunView:
    """A finished run over random networks within the counted budgets."""
    rng = random.Random(seed)
    settings = RunSettings(parse_budgets([budgets]), "iphone12", space, "0" * 12, trials, seed, 256, 0.8)
    proposed = over = 0
    found: dict[str, Evaluation] = {}
    while len(found) < trials:
        evaluation = invented_evaluation(random_spec(rng))
        proposed += 1
        if all(evaluation.measurements[b.metric].value <= b.limit for b in settings.budgets if b.is_counted):
            found[evaluation.arch_id] = evaluation
        else:
            over += 1
    done = tuple(
        Trial(i, {}, e, _fits(e, settings.budgets), rng.choice(("random", "mutation", "crossover")))
        for i, e in enumerate(found.values())
    )
    front, struck = _front(done, settings)
    return RunView(
        settings=settings,
        command=f"mvsearch run --budget {budgets} --target iphone12 --trials {trials} --seed {seed}",
        target_note=NOTE,
        trials=done,
        front=front,
        winner=next((m.evaluation.arch_id for m in front if m.tied), None),
        struck=struck,
        published=_published(settings),
        counts=SearchCounts(proposed, over, proposed - over - trials, trials, sum(t.feasible for t in done), len(struck)),
        hypervolume=tuple((n, 40 * (1 - math.exp(-n / 60)), 0.1 * n) for n in range(10, trials + 1, max(1, trials // 60))),
        versions=(("mvsearch", "0.0-test"), ("python", "3.11")),
        machine="synthetic machine",
        seconds=83.2,
        finished=True,
        runner_up=RunnerUp(front[-1].evaluation.arch_id, 0.43) if len(front) > 1 else None,
    )


def _fits(evaluation: Evaluation, budgets: tuple[Budget, ...]) -> bool:
    return all(evaluation.measurements[b.metric].quantile(0.8) <= b.limit for b in budgets)


def _front(trials: tuple[Trial, ...], settings: RunSettings) -> tuple[tuple[FrontMember, ...], tuple[Evaluation, ...]]:
    def lower(e: Evaluation) -> float:
        return e.measurements["top1"].quantile(1 - settings.confidence)

    by_point = {(t.evaluation.measurements["latency"].value, lower(t.evaluation)): t for t in trials if t.feasible}
    chosen = [by_point[p] for p in staircase(list(by_point))]
    struck = tuple(
        replace(t.evaluation, rung="built", failure=Failure("convert-fail", "op `<einsum>` is not supported & more"))
        for t in chosen[1:2]
    )
    chosen = chosen[:1] + chosen[2:]
    if not chosen:
        return (), struck
    best = max(lower(t.evaluation) for t in chosen)
    limits = [b.limit for b in settings.budgets if not b.is_counted]
    members = tuple(
        FrontMember(
            t.number,
            replace(t.evaluation, rung="converted"),
            lower(t.evaluation),
            lower(t.evaluation) > best - 0.75,
            min((t.evaluation.measurements["latency"].probability_at_most(x) for x in limits), default=1.0),
            "mobilevitv3_xxs",
            probability_on_front=0.9 * (i + 1) / len(chosen),
        )
        for i, t in enumerate(chosen)
    )
    return members, struck


def _published(settings: RunSettings) -> tuple[PublishedPoint, ...]:
    points = []
    for name, spec in published_networks().items():
        evaluation = invented_evaluation(spec)
        top1 = _PUBLISHED_TOP1.get(name)
        said = Measurement("top1", top1, "%", "published", basis="the paper's table") if top1 else None
        points.append(PublishedPoint(name, evaluation, _fits(evaluation, settings.budgets), said))
    return tuple(points)
