"""The problems of the bench: a space, objectives, budgets, and what is believed before an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mvsearch.errors import InputError
from mvsearch.search.belief import Belief
from mvsearch.search.bench.volume import Direction, Values
from mvsearch.search.blind import held_values
from mvsearch.search.estimate import estimate
from mvsearch.search.goals import Goals
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Evaluation
from mvsearch.spec.space import Dimension, SearchSpace
from mvsearch.spec.space_file import load_space
from mvsearch.targets import Target, get_target

CONFIDENCE = 0.8
TARGET = "iphone12"


@dataclass(frozen=True)
class Problem:
    """What every contender is given.

    Attributes:
        name: as it is asked for.
        description: one line.
        space: where candidates come from; knobs to which the estimate is blind are held, for every contender.
        objectives: name and unit of each.
        directions: of the objectives.
        reference: the point down to which hypervolume is measured; the same for every contender, seed and trial.
        reference_note: where it comes from.
        evaluate: what a trial brings: values of the objectives, and Optuna's constraint for predicted budgets.
        excess: log of the worst ratio over a counted budget; at most 0 if all are kept, -inf if there are none.
        prior: what is believed of candidates before they are evaluated.
    """

    name: str
    description: str
    space: SearchSpace
    objectives: tuple[str, ...]
    directions: tuple[Direction, ...]
    reference: Values
    reference_note: str
    evaluate: Callable[[ArchSpec], Belief]
    excess: Callable[[ArchSpec], float]
    prior: Callable[[Sequence[ArchSpec]], list[Belief]]

    def constraint(self, spec: ArchSpec, outcome: Belief) -> float:
        """Optuna's constraint over counted and predicted budgets: at most 0 where all are kept, always finite."""
        return max(-1.0, self.excess(spec), outcome.constraint)


def problem_of(name: str) -> Problem:
    """A problem by its name.

    Raises:
        InputError: there is none of that name.
    """
    from mvsearch.search.bench import tabular

    builders: dict[str, Callable[[], Problem]] = {
        "two-objectives": two_objectives,
        "three-objectives": three_objectives,
        **{f"tabular{suffix}": builder for suffix, builder in tabular.BUILDERS.items()},
    }
    if name not in builders:
        raise InputError(f"unknown problem `{name}`", f"one of {', '.join(PROBLEMS)}")
    return builders[name]()


PROBLEMS = ("two-objectives", "three-objectives", "tabular", "tabular-uninformative", "tabular-misleading")
"""All problems by name."""


def two_objectives() -> Problem:
    """The default search: top-1 and latency of networks of at most 2 M parameters."""
    return _estimated(
        "two-objectives", "default space, 2M-params; lower bound of estimated top-1, predicted iPhone 12 latency",
        "2M-params", ("top-1 at least (%)", "latency (ms)"), ("maximize", "minimize"),
        lambda goals, e: goals.objectives(e),
    )  # fmt: skip


def three_objectives() -> Problem:
    """Top-1, latency and parameters, with a budget on latency that holds at the usual confidence."""
    return _estimated(
        "three-objectives", "default space, 4ms with confidence 0.8; lower bound of top-1, predicted latency, parameters",
        "4ms", ("top-1 at least (%)", "latency (ms)", "params (M)"), ("maximize", "minimize", "minimize"),
        lambda goals, e: (*goals.objectives(e), e.measurements["params"].value / 1e6),
    )  # fmt: skip


def _estimated(
    name: str,
    description: str,
    budget: str,
    objectives: tuple[str, ...],
    directions: tuple[Direction, ...],
    values: Callable[[Goals, Evaluation], Values],
) -> Problem:
    """Objectives that are estimates themselves: what is believed of a candidate is what its evaluation brings."""
    target, space = get_target(TARGET), held(load_space("mobilevit"))
    goals = Goals(parse_budgets([budget]), CONFIDENCE, space.resolution)

    def evaluate(spec: ArchSpec) -> Belief:
        evaluation = estimated(spec, goals.resolution, target)
        return Belief(values(goals, evaluation), _constraint(goals, evaluation))

    kept = [evaluate(s) for s in published_networks().values() if goals.excess(s) <= 0]
    points = [b.values for b in kept if b.constraint <= 0]
    return Problem(
        name,
        description,
        space,
        objectives,
        directions,
        nadir(points, directions),
        f"the worst of each objective among the {len(points)} published networks that keep the budget",
        evaluate,
        goals.excess,
        lambda specs: [evaluate(s) for s in specs],
    )


def estimated(spec: ArchSpec, resolution: int, target: Target) -> Evaluation:
    """An estimate, which in a bench may not fail.

    Raises:
        RuntimeError: it did, with the reason.
    """
    evaluation = estimate(spec, resolution, target)
    if evaluation.failure:
        raise RuntimeError(f"{spec.arch_id}: {evaluation.failure.message}")
    return evaluation


def _constraint(goals: Goals, evaluation: Evaluation) -> float:
    limits = [b.limit for b in goals.budgets if not b.is_counted]
    latency = evaluation.measurements["latency"].quantile(goals.confidence)
    return max((math.log(latency / limit) for limit in limits), default=-math.inf)


def held(space: SearchSpace) -> SearchSpace:
    """The space with one choice left in every dimension that a search holds, so that nobody gains by what nothing judges."""
    values = held_values(space)
    dimensions = tuple(Dimension(d.name, (values[d.name],), d.ordered) if d.name in values else d for d in space.dimensions)
    return replace(space, dimensions=dimensions)


def nadir(points: Sequence[Values], directions: Sequence[Direction]) -> Values:
    """The worst value of each objective."""
    return tuple((min if d == "maximize" else max)(p[i] for p in points) for i, d in enumerate(directions))
