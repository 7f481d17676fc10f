"""The paths of a run: kept in its store as the trials that they pass, and read for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mvsearch.errors import InputError
from mvsearch.search.goals import Goals
from mvsearch.search.slimming.criterion import CRITERIA, Limits, Standing, limits_of, standing_of, violated, weigh
from mvsearch.search.slimming.moves import move_between
from mvsearch.search.store import Store
from mvsearch.spec.plain import read_plain
from mvsearch.spec.record import Evaluation, Trial
from mvsearch.spec.run import SlimmingPath, SlimmingStep

_KEY = "slimming path {}"


@dataclass(frozen=True, slots=True)
class PathRecord:
    """One path as the store keeps it.

    Attributes:
        target: share of the latency of the first network within the budgets that the path makes for; 1 for the first path.
        latency_limit: that latency in ms; None where the path makes for the budgets alone.
        trials: that it passes, in order; the last one may not have been finished, or may have failed.
        measured: whether its moves were taken by measured latencies.
    """

    target: float
    latency_limit: float | None
    trials: tuple[int, ...]
    measured: bool = False

    def limits(self, goals: Goals) -> Limits:
        """What it makes for."""
        limits = dict(limits_of(goals))
        if self.latency_limit is not None:
            limits["latency"] = min(self.latency_limit, limits.get("latency", self.latency_limit))
        return limits

    def passed(self, trials: Sequence[Trial]) -> PathRecord:
        """Without a last network that was not finished or failed."""
        if self.trials and (self.trials[-1] >= len(trials) or trials[self.trials[-1]].evaluation.failure):
            return replace(self, trials=self.trials[:-1])
        return self


def read_paths(store: Store) -> list[PathRecord]:
    """All paths of a run, in the order in which they were begun.

    Raises:
        InputError: the store holds something else in their place.
    """
    paths: list[PathRecord] = []
    while (data := store.meta(_KEY.format(len(paths)))) is not None:
        try:
            paths.append(read_plain(PathRecord, data, "slimming path"))
        except ValueError as error:
            raise InputError(
                f"the store of the run is damaged: {error}", "put back a copy of the file, or start a new run"
            ) from None
    return paths


def write_path(store: Store, number: int, path: PathRecord) -> None:
    """Keep a path, or what has become of it."""
    store.set_meta(
        _KEY.format(number),
        {
            "target": path.target,
            "latency_limit": path.latency_limit,
            "trials": list(path.trials),
            "measured": path.measured,
        },
    )


def slimming_paths(store: Store, trials: Sequence[Trial], goals: Goals, criterion: str) -> tuple[SlimmingPath, ...]:
    """The paths of a run with what every step lost and saved, for reports.

    Args:
        store: of the run.
        trials: all finished ones, in order.
        goals: of the run.
        criterion: by which moves were taken.
    """
    known = store.verified()
    return tuple(
        SlimmingPath(_aim(path, goals), _steps(path, trials, known if path.measured else {}, goals, criterion), path.measured)
        for path in (p.passed(trials) for p in read_paths(store))
        if path.trials and max(path.trials) < len(trials)
    )


def _aim(path: PathRecord, goals: Goals) -> str:
    budgets = ", ".join(b.text for b in goals.budgets)
    return budgets if path.latency_limit is None else f"{budgets}, and {path.latency_limit:.3g} ms"


def _steps(
    path: PathRecord, trials: Sequence[Trial], known: Mapping[str, Evaluation], goals: Goals, criterion: str
) -> tuple[SlimmingStep, ...]:
    limits, budgets, steps = path.limits(goals), limits_of(goals), list[SlimmingStep]()
    before: tuple[Trial, Standing] | None = None
    for number in path.trials:
        trial = trials[number]
        found = known.get(trial.evaluation.arch_id, trial.evaluation)
        evaluation = trial.evaluation if found.failure else found
        standing = standing_of(evaluation, goals)
        step = SlimmingStep(number, evaluation, not violated(standing, budgets), "" if before else "the largest network")
        if before:
            move = move_between(before[0].point, trial.point)
            weighed = weigh(before[1], standing, limits, CRITERIA[criterion])
            step = replace(
                step,
                move=move.words if move else step.move,
                lost=before[1].accuracy - standing.accuracy,
                saved_ms=before[1].ms - standing.ms,
                score=weighed.score if weighed else None,
            )
        steps.append(step)
        before = trial, standing
    return tuple(steps)
