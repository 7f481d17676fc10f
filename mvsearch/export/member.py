"""What a worker does with a member of the front: build it, count it again, run it once, convert it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.errors import ConversionError
from mvsearch.search.executor import TaskError
from mvsearch.search.final import VerifiedMember, VerifyTask
from mvsearch.search.measuring import from_packages
from mvsearch.search.packages import pack
from mvsearch.spec.record import RUNGS, Rung
from mvsearch.targets.coreml.convert import convert

if TYPE_CHECKING:
    from torch import nn


def verify_member(task: VerifyTask) -> VerifiedMember:
    """Take a candidate up the fidelity ladder.

    Returns:
        Its evaluation at the highest rung reached, and its package where it was to be converted.

    Raises:
        TaskError: the built network is not what was counted, its output is not finite, or it cannot be converted.
    """
    import torch

    from mvsearch.models import build
    from mvsearch.models.witness import verify

    torch.set_num_threads(1)
    start = time.perf_counter()
    evaluation = task.evaluation
    spec = evaluation.spec
    model = build(spec, seed=task.seed).eval()
    fault = verify(spec, evaluation.resolution, model)
    if fault:
        raise TaskError("nan" if "finite" in fault else "mismatch", fault)
    package = _converted(task, model) if task.convert else None
    reached: Rung = "converted" if task.convert else "built"
    rung = max(evaluation.rung, reached, key=RUNGS.index)
    seconds = evaluation.seconds + time.perf_counter() - start
    return VerifiedMember(replace(evaluation, rung=rung, seconds=seconds), package)


def _converted(task: VerifyTask, model: nn.Module) -> bytes:
    spec, resolution = task.evaluation.spec, task.evaluation.resolution
    try:
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            if from_packages(task.target):
                artifact = task.target.prepare(spec, resolution, Path(folder), task.seed)
                assert artifact.path is not None, "a target that measures packages makes them"
                return pack(artifact.path)
            path = Path(folder) / f"{spec.arch_id}.mlpackage"
            convert(model, resolution, path, channels=spec.in_channels)
            return pack(path)
    except ConversionError as error:
        raise TaskError(error.kind, error.message) from None
