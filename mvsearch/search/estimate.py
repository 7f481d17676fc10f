"""The lowest rung: counted costs, predicted latency and estimated top-1 of a candidate, without building it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mvsearch.accuracy import estimate_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.costs import count
from mvsearch.search.executor import Executor, TaskError, run_task
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation, Failure, Measurement
from mvsearch.targets import Target


@dataclass(frozen=True, slots=True)
class EstimateTask:
    """A batch of candidates for one worker.

    Attributes:
        specs: the candidates.
        resolution: side of the image in pixels.
        target: predicts the latency.
        estimator: fit of top-1; the one that ships by default.
    """

    specs: tuple[ArchSpec, ...]
    resolution: int
    target: Target
    estimator: Estimator | None = None


def estimate_many(task: EstimateTask) -> list[Evaluation]:
    """Estimate a batch; a candidate that fails is a record with its reason among the others."""
    return [estimate(spec, task.resolution, task.target, task.estimator) for spec in task.specs]


def estimate_on(
    executor: Executor, specs: Sequence[ArchSpec], resolution: int, target: Target, estimator: Estimator | None = None
) -> Iterator[tuple[int, Evaluation]]:
    """Estimate candidates on the workers of an executor.

    They go out in batches, since one alone takes a worker less time than its way there. A batch that took its worker down
    is done again one by one, so that no candidate is struck off for another's fault.

    Yields:
        (position of the candidate, its evaluation), each as soon as it is there.
    """
    size = -(-len(specs) // (2 * executor.num_workers)) if executor.num_workers > 1 else 1
    batches = [list(range(start, min(start + size, len(specs)))) for start in range(0, len(specs), size or 1)]
    while batches:
        tasks = [EstimateTask(tuple(specs[i] for i in batch), resolution, target, estimator) for batch in batches]
        again: list[list[int]] = []
        for number, result in executor.map(estimate_many, tasks):
            batch = batches[number]
            if not isinstance(result, Failure):
                yield from zip(batch, result, strict=True)
            elif len(batch) == 1:
                yield batch[0], Evaluation(specs[batch[0]], resolution, {}, failure=result)
            else:
                again += [[i] for i in batch]
        batches = again


def expect(spec: ArchSpec, resolution: int, target: Target, estimator: Estimator | None = None) -> Evaluation:
    """What is not counted of a candidate: its latency and top-1. Half of `estimate`, for judging what may never be a trial."""
    result = run_task(lambda s: _finite(_models(s, resolution, target, estimator)), spec)
    if isinstance(result, Failure):
        return Evaluation(spec, resolution, {}, failure=result)
    return Evaluation(spec, resolution, result)


def _models(spec: ArchSpec, resolution: int, target: Target, estimator: Estimator | None) -> dict[str, Measurement]:
    return {"latency": target.predict(spec, resolution), "top1": estimate_top1(spec, resolution, estimator)}


def _finite(found: dict[str, Measurement]) -> dict[str, Measurement]:
    for metric, m in found.items():
        if not math.isfinite(m.value):
            raise TaskError("nan", f"{metric} is {m.value}")
    return found


def estimate(spec: ArchSpec, resolution: int, target: Target, estimator: Estimator | None = None) -> Evaluation:
    """Everything that is known of a candidate without building it."""
    start = time.perf_counter()

    def measure(spec: ArchSpec) -> dict[str, Measurement]:
        return _finite({**count(spec, resolution).measurements(), **_models(spec, resolution, target, estimator)})

    result = run_task(measure, spec)
    seconds = time.perf_counter() - start
    if isinstance(result, Failure):
        return Evaluation(spec, resolution, {}, failure=result, seconds=seconds)
    return Evaluation(spec, resolution, result, seconds=seconds)
