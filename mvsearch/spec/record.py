"""Numbers with their provenance: `Measurement`, and the trials that hold them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Literal

from mvsearch.spec.arch import ArchSpec, from_json, to_json
from mvsearch.spec.plain import read_plain, read_value

Kind = Literal["counted", "predicted", "estimated", "measured", "published"]
Scale = Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number and how it was obtained.

    Attributes:
        metric: `params`, `macs`, `latency`, `top1`, ...
        value: the number, in `unit`.
        unit: `ms`, `%`, `bytes`, or empty for a plain count.
        kind: counted (exact), predicted or estimated (by a fitted model), measured (here), published (by others).
        low, high: ends of the central interval at `level`; None for a counted number.
        level: coverage that the interval is meant to have, e.g. 0.9.
        scale: on which scale the error is symmetric: `log` for times, `linear` for accuracies.
        basis: what the interval rests on, in a few words.
        target: device, for a latency.
        protocol: how it was measured, or what the model was fitted on.
        n: runs behind a measured value, data points behind a predicted one.
        versions: (package, version) pairs that matter for this number.
        flags: claims such as `extrapolating`.
    """

    metric: str
    value: float
    unit: str = ""
    kind: Kind = "counted"
    low: float | None = None
    high: float | None = None
    level: float | None = None
    scale: Scale = "linear"
    basis: str = ""
    target: str = ""
    protocol: str = ""
    n: int = 0
    versions: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()

    def quantile(self, probability: float) -> float:
        """The value below which the truth lies with this probability, by a normal law through the interval."""
        sigma = self._sigma
        if sigma == 0.0:
            return self.value
        shift = NormalDist().inv_cdf(probability) * sigma
        return self.value * math.exp(shift) if self.scale == "log" else self.value + shift

    def probability_at_most(self, limit: float) -> float:
        """Probability that the truth is at most `limit`; 0 or 1 for a number without uncertainty."""
        sigma = self._sigma
        if sigma == 0.0:
            return float(self.value <= limit)
        if self.scale == "log":
            return NormalDist().cdf(math.log(limit / self.value) / sigma) if limit > 0 else 0.0
        return NormalDist().cdf((limit - self.value) / sigma)

    @property
    def _sigma(self) -> float:
        if self.low is None or self.high is None or self.level is None or self.high <= self.low:
            return 0.0
        width = math.log(self.high / self.low) if self.scale == "log" else self.high - self.low
        return width / (2 * NormalDist().inv_cdf(0.5 + self.level / 2))

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Measurement:
        """Read what `to_json` wrote.

        Raises:
            ValueError: something else, or numbers that cannot be together.
        """
        m = read_plain(cls, data, "measurement")
        m.check()
        return m

    def check(self) -> None:
        """See that the interval is one.

        Raises:
            ValueError: it is not.
        """
        if self.level is None and self.scale == "linear":
            return
        ends = [v for v in (self.low, self.high) if v is not None]
        bad_level = self.level is not None and not 0 < self.level < 1
        if bad_level or (self.scale == "log" and (min(self.value, *ends) <= 0 if ends else self.value <= 0)):
            raise ValueError(f"`{self.metric}` is {self.value:g} ({self.low} to {self.high} at {self.level})")


Rung = Literal["estimated", "built", "converted", "measured", "trained"]
RUNGS: tuple[Rung, ...] = ("estimated", "built", "converted", "measured", "trained")
FailureKind = Literal["mismatch", "nan", "oom", "timeout", "convert-fail", "worker-lost", "error"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate was struck off: recorded, never a crash of the study."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is known of one candidate at one rung of the fidelity ladder."""

    spec: ArchSpec
    resolution: int
    measurements: dict[str, Measurement]
    rung: Rung = "estimated"
    failure: Failure | None = None
    seconds: float = 0.0

    @property
    def arch_id(self) -> str:
        """Content hash of the network."""
        return self.spec.arch_id

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {
            "spec": to_json(self.spec),
            "resolution": self.resolution,
            "measurements": {k: m.to_json() for k, m in self.measurements.items()},
            "rung": self.rung,
            "failure": asdict(self.failure) if self.failure else None,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Any) -> Evaluation:
        """Read what `to_json` wrote.

        Raises:
            ValueError: something else.
            SpecError: the network is none.
        """
        if not isinstance(data, dict) or not isinstance(data.get("measurements"), dict):
            raise ValueError("not an evaluation")
        measurements = {k: Measurement.from_json(m) for k, m in data["measurements"].items()}
        if any(k != m.metric for k, m in measurements.items()):
            raise ValueError("a measurement under another's name")
        failure = data.get("failure")
        return cls(
            spec=from_json(data.get("spec")),
            resolution=read_value(int, data.get("resolution"), "resolution"),
            measurements=measurements,
            rung=read_value(Rung, data.get("rung"), "rung"),
            failure=None if failure is None else read_plain(Failure, failure, "failure"),
            seconds=read_value(float, data.get("seconds"), "seconds"),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished proposal of the search.

    Attributes:
        number: position in the study, from 0.
        point: the proposal in the search space: dimension name -> value.
        evaluation: the candidate and its numbers.
        feasible: whether every budget is met with the stated confidence.
        origin: `published`, `random`, `mutation`, `crossover`, ...: where the proposal came from.
        generation: number of the batch that it was proposed in, from the trials of the batches before.
        ended: seconds that the run had worked when the trial ended, interruptions left out; None if nobody took the time.
    """

    number: int
    point: dict[str, int | float | str]
    evaluation: Evaluation
    feasible: bool
    origin: str = ""
    generation: int = 0
    ended: float | None = field(default=None, compare=False)
