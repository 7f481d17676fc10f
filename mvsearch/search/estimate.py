"""The lowest rung: counted costs, predicted latency and estimated top-1 of a candidate, without building it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from mvsearch.accuracy import estimate_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.costs import count
from mvsearch.search.executor import TaskError, run_task
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


def estimate(spec: ArchSpec, resolution: int, target: Target, estimator: Estimator | None = None) -> Evaluation:
    """Everything that is known of a candidate without building it."""
    start = time.perf_counter()

    def measure(spec: ArchSpec) -> dict[str, Measurement]:
        found = {
            **count(spec, resolution).measurements(),
            "latency": target.predict(spec, resolution),
            "top1": estimate_top1(spec, resolution, estimator),
        }
        for metric, m in found.items():
            if not math.isfinite(m.value):
                raise TaskError("nan", f"{metric} is {m.value}")
        return found

    result = run_task(measure, spec)
    seconds = time.perf_counter() - start
    if isinstance(result, Failure):
        return Evaluation(spec, resolution, {}, failure=result, seconds=seconds)
    return Evaluation(spec, resolution, result, seconds=seconds)
