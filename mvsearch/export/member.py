"""What a worker does with a member of the front: build it, count it again, run it once, convert it, measure it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from mvsearch.errors import ConversionError, TargetError
from mvsearch.search.executor import TaskError
from mvsearch.search.final import VerifyTask
from mvsearch.spec.record import Evaluation
from mvsearch.targets import MeasurementCache, take
from mvsearch.targets.coreml.convert import convert


def verify_member(task: VerifyTask) -> Evaluation:
    """Take a candidate up the fidelity ladder.

    Returns:
        Its evaluation at the highest rung reached; a measured latency takes the predicted one's place.

    Raises:
        TaskError: the built network is not what was counted, its output is not finite, or it cannot be converted.
    """
    import torch

    from mvsearch.models import build
    from mvsearch.models.witness import verify

    torch.set_num_threads(1)
    start = time.perf_counter()
    evaluation = task.evaluation
    spec, resolution = evaluation.spec, evaluation.resolution
    measurements = dict(evaluation.measurements)
    model = build(spec, seed=task.seed).eval()
    fault = verify(spec, resolution, model)
    if fault:
        raise TaskError("nan" if "finite" in fault else "mismatch", fault)
    rung = evaluation.rung if evaluation.rung != "estimated" else "built"
    if task.convert:
        try:
            with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
                convert(model, resolution, Path(folder) / f"{spec.arch_id}.mlpackage", channels=spec.in_channels)
        except ConversionError as error:
            raise TaskError(error.kind, error.message) from None
        rung = "converted"
    if task.target.capability().status == "available":
        try:
            with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
                artifact = task.target.prepare(spec, resolution, Path(folder), task.seed)
                measurements["latency"] = take(task.target, artifact, cache=MeasurementCache()).measurement()
        except TargetError as error:
            raise TaskError("error", error.message) from None
        rung = "measured"
    return replace(evaluation, measurements=measurements, rung=rung, seconds=evaluation.seconds + time.perf_counter() - start)
