"""What a target is: a device with its runtime, what can be done with it here, and its verbs."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from mvsearch.costs import Resolution
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.record import LatencyRecord

Status = Literal["available", "predict only", "unavailable"]


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A device and how a network runs on it; its `key` is part of a cached measurement's identity.

    Attributes:
        name: as in `--target`, with what was asked for beyond the default, e.g. `gpu@launch=eager`.
        device, soc: the hardware.
        runtime: what executes the network.
        precision: of weights and activations.
        compute_unit: which part of the chip.
        batch: images at a time.
        protocol: id of the way in which a latency on it is taken; latencies of two protocols are never mixed.
    """

    name: str
    device: str
    soc: str
    runtime: str
    precision: str
    compute_unit: str
    batch: int
    protocol: str

    @property
    def key(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Capability:
    """What a target can do on this machine: why not more, and what to do about it."""

    status: Status
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class StopPolicy:
    """How long a measurement runs.

    Attributes:
        warm_up_s: warm-up by time, not by count: clocks and caches settle in seconds, not in calls.
        max_s: cap on the timed part.
        min_rounds: samples (pairs, where they are paired) before the interval is looked at.
        precision: stop when half the interval of the reported statistic is below this share of it.
        level: coverage of that interval.
        max_drift: refuse when the reference moved by more than this share in the course of a measurement
            (pairs cancel what slows both alike, up to a point).
        attempts: measurements begun anew after a drift before giving up.
    """

    warm_up_s: float = 0.4
    max_s: float = 1.5
    min_rounds: int = 9
    precision: float = 0.02
    level: float = 0.95
    max_drift: float = 0.35
    attempts: int = 3


@dataclass(frozen=True, slots=True)
class Artifact:
    """A network in the form that a target's runtime takes: what is measured.

    Attributes:
        key: identity for the cache: `arch_id@resolution`, how it was made and by which versions. Latency does not depend
            on the values of weights, so that these are not part of it. For a file from elsewhere, its content's hash.
        resolution: side of the image in pixels.
        spec: the architecture; None for a package from elsewhere.
        path: file or package on disk; None where the runtime takes the torch module.
        sha256: of the file's content; empty without one.
    """

    key: str
    resolution: int
    spec: ArchSpec | None = None
    path: Path | None = None
    sha256: str = ""

    @property
    def arch_id(self) -> str:
        """Of the network; empty for a package from elsewhere."""
        if self.spec:
            return self.spec.arch_id
        arch_id, at, _ = self.key.partition("@")
        return arch_id if at else ""


def what_where_when(target: TargetSpec, artifact: Artifact) -> dict[str, Any]:
    """The fields of a `LatencyRecord` that say what was measured, on what, from where and when: now."""
    return {
        "artifact": artifact.key,
        "arch_id": artifact.arch_id,
        "resolution": artifact.resolution,
        "target": target.name,
        "target_key": target.key,
        "protocol": target.protocol,
        "batch": target.batch,
        "host": platform.node(),
        "taken_at": utc_now(),
    }


def utc_now() -> str:
    """ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Target(Protocol):
    """A device that latencies are predicted or measured for."""

    spec: TargetSpec

    @property
    def name(self) -> str:
        """As in `--target`."""
        ...

    @property
    def resource(self) -> str:
        """Name of the hardware, e.g. `cpu`, `gpu`, `iphone12`: the exclusive Ray resource and the lock that go with it."""
        ...

    @property
    def latency_model(self) -> LatencyModel | None:
        """The fit behind `predict`, which tells the time of every operation; None where nothing is predicted (yet)."""
        ...

    def describe(self) -> str:
        """One line for lists and reports."""
        ...

    def capability(self) -> Capability:
        """What can be done here, found out without loading anything heavy."""
        ...

    def predict(self, spec: ArchSpec, resolution: Resolution) -> Measurement:
        """Predicted latency of one batch in ms, with a 90 % interval, in well under a millisecond.

        Raises:
            TargetError: the target has no predictor here yet.
        """
        ...

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Build a network and bring it into the runtime's form.

        Args:
            spec: the network.
            resolution: side of the image in pixels.
            folder: existing folder that files go to.
            seed: of the initial weights.

        Raises:
            ConversionError: the runtime does not take the network.
            TargetError: packages are missing here.
        """
        ...

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Measure what `prepare` made; nothing is cached and nothing locked here, see `take`.

        Raises:
            MeasureError: it cannot be measured here or now, or was too unsteady to be believed.
        """
        ...
