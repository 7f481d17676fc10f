"""Measuring members of the front, here or elsewhere: the task, what comes of it, and who does it.

A measurement that fails says something about the device, not about the network: the network keeps its prediction,
flagged with the reason. Only `load`, the runtime's refusal of the network, strikes it off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from mvsearch.errors import ConversionError, InputError, MeasureError, MeasureFault, TargetError
from mvsearch.search.executor import Executor, InProcessExecutor
from mvsearch.search.packages import Packages, pack, unpack
from mvsearch.search.repeats import BETWEEN, combined
from mvsearch.spec.record import Evaluation, Failure, FailureKind, Measurement
from mvsearch.targets import Artifact, LatencyRecord, MeasurementCache, Target, get_target, take
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.coreml.phone import PhoneTarget
from mvsearch.targets.host.machine import MachineTarget

FAILED = "measurement failed: "
"""Start of the flag on a prediction that was to be replaced by a measurement."""
GONE: tuple[str, ...] = ("unplugged", "unavailable")
"""Faults after which the next network cannot be measured either."""


@dataclass(frozen=True, slots=True)
class MeasureFailure:
    """Why a network was not measured.

    Attributes:
        kind: of the `MeasureError`, or of the task's own failure, such as `worker-lost`.
        message: what happened.
        hint: what to do; may be empty.
    """

    kind: MeasureFault | FailureKind
    message: str
    hint: str = ""


Outcome = LatencyRecord | MeasureFailure


@dataclass(frozen=True, slots=True)
class Measured:
    """A network that was to be measured.

    Attributes:
        name: published name, file or `arch_id`.
        arch_id: of the network; empty for a package from elsewhere.
        predicted: latency that is predicted on the same target, if it is.
        outcome: the measurement, or why there is none.
    """

    name: str
    arch_id: str
    predicted: Measurement | None
    outcome: Outcome

    @property
    def record(self) -> LatencyRecord | None:
        """The measurement, if it came about."""
        return self.outcome if isinstance(self.outcome, LatencyRecord) else None


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """What `measure` brought.

    Attributes:
        target: name of the target.
        members: one by one, in the order in which they were measured.
        notes: what else there is to say, in sentences.
    """

    target: str
    members: tuple[Measured, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A member of the front to be measured.

    Attributes:
        evaluation: what is known of it.
        package: its Core ML package on disk; None where the target makes its own form of the network.
        repeat: which repeat of an earlier measurement this is; 0 for the first one.
    """

    evaluation: Evaluation
    package: Path | None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """A job on its way to a worker, who may sit on another machine without a shared disk.

    Attributes:
        evaluation: what is known of the network.
        target: the device.
        package: of `pack`; None where the target makes its own form of the network.
        seed: of the initial weights.
        fresh: measure even what this machine's cache holds, as a repeat has to.
    """

    evaluation: Evaluation
    target: Target
    package: bytes | None
    seed: int
    fresh: bool = False


class Bench(Protocol):
    """Where members of the front are measured."""

    def offer(self, job: Job) -> None:
        """Take a job in; a bench with workers of its own begins at once."""
        ...

    def results(self) -> Iterator[tuple[Job, Outcome]]:
        """What comes of the jobs, as it comes; ends when no more is to be expected, though jobs may be left."""
        ...


class ExecutorBench:
    """Measures with the workers of an executor that hold the device, or in this process.

    Args:
        executor: the workers.
        target: the device.
        seed: of the initial weights.
    """

    def __init__(self, executor: Executor, target: Target, seed: int) -> None:
        self.executor, self.target, self.seed = executor, target, seed
        self._jobs: list[Job] = []

    def offer(self, job: Job) -> None:
        """See `Bench.offer`."""
        self._jobs.append(job)

    def results(self) -> Iterator[tuple[Job, Outcome]]:
        """See `Bench.results`; every job has one."""
        jobs, self._jobs = self._jobs, []
        tasks = [
            MeasureTask(j.evaluation, self.target, pack(j.package) if j.package else None, self.seed, j.repeat > 0)
            for j in jobs
        ]
        for index, result in self.executor.map(measure_member, tasks, self.target.resource):
            yield jobs[index], MeasureFailure(result.kind, result.message) if isinstance(result, Failure) else result


def bench_for(executor: Executor, target: Target, seed: int) -> ExecutorBench | None:
    """Who measures: workers that hold the target's resource, else this process if it can, else nobody."""
    if executor.units(target.resource):
        return ExecutorBench(executor, target, seed)
    return ExecutorBench(InProcessExecutor(), target, seed) if target.capability().status == "available" else None


def from_packages(target: Target) -> bool:
    """Whether a target measures Core ML packages; any other brings a network into its own form where it is measured."""
    return target.spec.runtime.startswith("Core ML")


def job_of(evaluation: Evaluation, target: Target, packages: Packages) -> Job | None:
    """A job for a verified member; None where the target needs a package and there is none."""
    if not from_packages(target):
        return Job(evaluation, None)
    return Job(evaluation, packages.path(evaluation.arch_id)) if packages.has(evaluation.arch_id) else None


def measure_member(task: MeasureTask) -> Outcome:
    """Measure a network on the machine that this runs on, with that machine's own cache."""
    try:
        target = _here(task.target)
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            artifact = _artifact(task, target, Path(folder))
            return take(target, artifact, cache=MeasurementCache(), fresh=task.fresh)
    except MeasureError as error:
        return MeasureFailure(error.kind, error.message, error.hint)
    except ConversionError as error:
        return MeasureFailure("load", error.message, error.hint)
    except TargetError as error:
        return MeasureFailure("unavailable", error.message, error.hint)
    except InputError as error:
        return MeasureFailure("tool", error.message, error.hint)


def _artifact(task: MeasureTask, target: Target, folder: Path) -> Artifact:
    e = task.evaluation
    if task.package is None:
        return target.prepare(e.spec, e.resolution, folder, task.seed)
    path = folder / f"{e.arch_id}.mlpackage"
    unpack(task.package, path)
    return artifact_of(path, e.spec)


def _here(target: Target) -> Target:
    """The target as this machine sees it; it may have been made on another one.

    Raises:
        MeasureError: it stands for the machine that it was made on, and this is another.
    """
    if isinstance(target, PhoneTarget):
        return _phone(target.name)
    if isinstance(target, MachineTarget) and get_target(target.name).spec.key != target.spec.key:
        raise MeasureError(
            "unavailable",
            f"this run's `{target.name}` is {target.spec.device}, and this machine is another",
            "latencies of two machines are not mixed: start the search where they are to hold",
        )
    return target


@lru_cache(maxsize=8)
def _phone(name: str) -> Target:
    # One for all tasks of a worker: its first measurement builds and installs the runner.
    return get_target(name)


def with_record(evaluation: Evaluation, record: LatencyRecord) -> Evaluation:
    """The evaluation with its latency measured once."""
    return with_records(evaluation, [record])


def with_records(evaluation: Evaluation, records: Sequence[LatencyRecord], between: float = BETWEEN) -> Evaluation:
    """The evaluation with its latency measured, as `combined` puts the measurements together."""
    latency = combined(records, between)
    return replace(evaluation, measurements={**evaluation.measurements, "latency": latency}, rung="measured", failure=None)


def with_failure(evaluation: Evaluation, failure: MeasureFailure, target: str) -> Evaluation:
    """The evaluation after a measurement that failed: struck off where the runtime refuses it, else flagged.

    An earlier measurement is kept as it is.
    """
    if failure.kind == "load":
        return replace(evaluation, failure=Failure("error", f"`{target}` does not run it: {failure.message}"))
    latency = evaluation.measurements["latency"]
    if latency.kind == "measured":
        return evaluation
    flags = (*(f for f in latency.flags if not f.startswith(FAILED)), f"{FAILED}{failure.kind}")
    return replace(evaluation, measurements={**evaluation.measurements, "latency": replace(latency, flags=flags)})
