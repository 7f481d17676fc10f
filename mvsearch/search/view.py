"""A run folder as a `RunView`: read from the store alone, for reports during and after a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mvsearch.accuracy import published_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.search.estimate import estimate
from mvsearch.search.explore import growth
from mvsearch.search.final import Sureness, Verified, front_members, sureness
from mvsearch.search.goals import Goals
from mvsearch.search.slimming.record import slimming_paths
from mvsearch.search.store import Store
from mvsearch.spec.published import published_networks
from mvsearch.spec.record import Trial
from mvsearch.spec.run import PublishedPoint, RunSettings, RunView, SearchCounts
from mvsearch.targets import Target


def goals_of(settings: RunSettings, target: Target, estimator: Estimator | None = None) -> Goals:
    """Objectives and budgets of a run; the floor is that of the least accurate published network within them.

    Args:
        settings: what was asked.
        target: predicts the latency.
        estimator: fit of top-1 with the user's own networks, if there are any.
    """
    goals = Goals(settings.budgets, settings.confidence, settings.resolution, estimator=estimator, family=settings.family)
    bounds = [goals.lower_top1(p.evaluation) for p in published_points(goals, target) if p.feasible]
    return replace(goals, floor=min(bounds, default=-math.inf))


def published_points(goals: Goals, target: Target) -> tuple[PublishedPoint, ...]:
    """Every published network of the family, evaluated by the models that evaluate the candidates."""
    points = []
    for name, spec in published_networks(goals.family).items():
        evaluation = estimate(spec, goals.resolution, target, goals.estimator)
        feasible = evaluation.failure is None and goals.keeps_budgets(evaluation)
        points.append(PublishedPoint(name, evaluation, feasible, published_top1(name)))
    return tuple(points)


def search_counts(store: Store, trials: Sequence[Trial]) -> SearchCounts:
    """How many proposals went where."""
    proposed, over_budget, duplicates = store.screened()
    return SearchCounts(
        proposed=proposed,
        over_budget=over_budget,
        duplicates=duplicates,
        evaluated=len(trials),
        feasible=sum(t.feasible for t in trials),
        failed=sum(t.evaluation.failure is not None for t in trials),
    )


def run_view(
    settings: RunSettings,
    record: dict[str, Any],
    store: Store,
    trials: Sequence[Trial],
    verified: Verified,
    goals: Goals,
    target: Target,
    sure: Sureness | None = None,
) -> RunView:
    """All that a report shows.

    Args:
        settings: what was asked.
        record: content of `run.json`.
        store: the run's store.
        trials: all finished trials.
        verified: the front.
        goals: of `goals_of`.
        target: predicts the latency.
        sure: of `sureness`, if that is known.
    """
    grown = growth(trials, goals)
    sure = sure or sureness(trials, verified, goals, store, record.get("winner"))
    return RunView(
        settings=replace(settings, trials=max(settings.trials, len(trials))),
        command=record["command"],
        target_note=record["target_note"],
        trials=tuple(trials),
        front=front_members(verified.members, goals, sure.on_front) if verified.members else (),
        winner=record.get("winner"),
        struck=verified.struck,
        published=published_points(goals, target),
        counts=search_counts(store, trials),
        hypervolume=grown.trace,
        reference_point=grown.reference,
        versions=tuple((str(a), str(b)) for a, b in record["versions"]),
        machine=record["machine"],
        seconds=record["seconds"],
        finished=record["finished"],
        notes=tuple(record.get("notes", ())),
        runner_up=sure.runner_up if record.get("winner") else None,
        slimming=slimming_paths(store, trials, goals, settings.slim_by) if settings.strategy == "slimming" else (),
    )
