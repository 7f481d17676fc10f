"""What a target is: a device with its runtime, what can be done with it here, and its two verbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from mvsearch.costs import Resolution
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement

Status = Literal["available", "predict only", "unavailable"]


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A device and how a network runs on it; hashable, so that it can be part of a cache's key.

    Attributes:
        name: as in `--target`.
        device, soc: the hardware.
        runtime: what executes the network.
        precision: of weights and activations.
        compute_unit: which part of the chip.
        batch: images at a time.
        protocol: id of the way in which a latency on it is taken.
    """

    name: str
    device: str
    soc: str
    runtime: str
    precision: str
    compute_unit: str
    batch: int
    protocol: str


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
        min_rounds: pairs before the interval is looked at.
        precision: stop when half the interval of the median ratio is below this share of it.
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


class Target(Protocol):
    """A device that latencies are predicted or measured for."""

    spec: TargetSpec

    @property
    def name(self) -> str:
        """As in `--target`."""
        ...

    def describe(self) -> str:
        """One line for lists and reports."""
        ...

    def capability(self) -> Capability:
        """What can be done here."""
        ...

    def predict(self, spec: ArchSpec, resolution: Resolution) -> Measurement:
        """Predicted latency at batch 1 in ms, with a 90 % interval, in well under a millisecond.

        Raises:
            TargetError: the target has no predictor here yet.
        """
        ...

    def measure(self, spec: ArchSpec, resolution: Resolution, policy: StopPolicy = ...) -> Measurement:
        """Measured latency at batch 1 in ms.

        Raises:
            TargetError: it cannot be measured here, or was too unsteady to be believed.
        """
        ...
