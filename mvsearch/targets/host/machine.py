"""What this machine's targets share: a predictor that is fitted to networks measured here.

A search cannot measure every candidate. `calibrate_here` measures a few diverse networks and fits the
same model as the phone's, so that candidates are predicted in microseconds; members of a front are
measured for real.
"""

from __future__ import annotations

import math
import platform
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from mvsearch.costs import Resolution, lower
from mvsearch.errors import TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.plain import read_value
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.spec.record import Measurement
from mvsearch.targets.cache import MeasurementCache
from mvsearch.targets.predictor.features import Rates, op_cost
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.take import take
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec

LEVEL = 0.9
MIN_NETWORKS = 5
CALIBRATION_NETWORKS = (
    "mobilevit_xxs", "mobilevit_xxs@patch=8,4,2", "mobilevit_xs", "mobilevit_s",
    "mobilevitv2_0.5", "mobilevitv2_0.75", "mobilevitv2_1.0", "mobilevitv2_1.25",
    "mobilevitv3_xxs", "mobilevitv3_xs_l2", "mobilevitv3_0.5", "mobilevitv3_0.75",
)  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What was measured here to predict from.

    Attributes:
        model: the fit.
        target_key: of the target that it was made for.
        machine: the hardware; a calibration holds for one machine.
        versions: of the packages that ran.
        reference_ms: latency of the reference network where measurements are ratios to one; 0 elsewhere.
    """

    model: LatencyModel
    target_key: str
    machine: str
    versions: tuple[tuple[str, str], ...]
    reference_ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {
            "model": self.model.to_json(),
            "target_key": self.target_key,
            "machine": self.machine,
            "versions": [list(v) for v in self.versions],
            "reference_ms": self.reference_ms,
        }

    @classmethod
    def from_json(cls, data: Any) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            ValueError: something else.
        """
        if not isinstance(data, dict):
            raise ValueError("not a calibration")
        model = LatencyModel.from_json(data.get("model"))
        key, machine = (read_value(str, data.get(name), name) for name in ("target_key", "machine"))
        versions = read_value(tuple[tuple[str, str], ...], data.get("versions"), "versions")
        return cls(model, key, machine, versions, read_value(float, data.get("reference_ms"), "reference_ms"))


class MachineTarget(ABC):
    """A target that is measured on the machine at hand.

    Args:
        spec: the target.
        calibration: of `calibrate_here`; without it the target measures but does not predict.
    """

    calibration_policy: StopPolicy = StopPolicy(warm_up_s=0.2, max_s=0.8, min_rounds=7)
    """Of each measurement of a calibration."""

    def __init__(self, spec: TargetSpec, calibration: Calibration | None = None) -> None:
        self.spec = spec
        self.calibration = calibration

    @property
    def name(self) -> str:
        """As in `--target`."""
        return self.spec.name

    @property
    @abstractmethod
    def resource(self) -> str:
        """See `Target.resource`."""

    @abstractmethod
    def machine(self) -> str:
        """The hardware, e.g. `AMD EPYC 7B13 (x86_64, Linux)`."""

    @abstractmethod
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(package, version) of what a measurement depends on."""

    @abstractmethod
    def expected_rates(self) -> Rates:
        """What the hardware is expected to do; only the proportions matter, its speed is fitted."""

    @abstractmethod
    def capability(self) -> Capability:
        """See `Target.capability`."""

    @abstractmethod
    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """See `Target.prepare`."""

    @abstractmethod
    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """See `Target.measure`."""

    def reference_ms(self) -> float:
        """Latency of the reference network; 0 for targets whose measurements are not ratios to one."""
        return 0.0

    def describe(self) -> str:
        """One line for lists and reports."""
        s = self.spec
        return f"{self.machine()}, {s.runtime} {s.precision}, {s.compute_unit}, batch {s.batch}: measured here"

    @property
    def latency_model(self) -> LatencyModel | None:
        """See `Target.latency_model`."""
        return self.calibration.model if self.calibration else None

    def calibrated(self, calibration: Calibration) -> Self:
        """The same target with a predictor.

        Raises:
            TargetError: the calibration was made on another machine, or for another target.
        """
        if calibration.machine != self.machine():
            raise TargetError(
                f"the calibration of `{self.name}` was made on `{calibration.machine}`, and this is `{self.machine()}`",
                "calibrate again here; latencies of two machines are not mixed",
            )
        if calibration.target_key != self.spec.key:
            raise TargetError(f"the calibration is not one of `{self.name}`", "calibrate for this very target")
        target = copy(self)
        target.calibration = calibration
        return target

    def predict(self, spec: ArchSpec, resolution: Resolution) -> Measurement:
        """Predicted latency in ms.

        Raises:
            TargetError: nothing was measured here yet.
        """
        if self.calibration is None:
            raise TargetError(
                f"`{self.name}` has no predictor before networks were measured on this machine",
                f"`calibrate_here` measures {len(CALIBRATION_NETWORKS)} of them; a search does it at its start",
            )
        predicted = self.calibration.model.predict(lower(spec, resolution), target=self.name)
        return replace(predicted, versions=self.calibration.versions)

    def require_available(self) -> None:
        """Refuse where nothing can be measured.

        Raises:
            TargetError: with the reason and what to do.
        """
        capability = self.capability()
        if capability.status != "available":
            raise TargetError(f"`{self.name}` cannot be measured here: {capability.reason}", capability.fix)


def calibrate_here(
    target: MachineTarget,
    specs: Sequence[ArchSpec] = (),
    resolution: int = DEFAULT_RESOLUTION,
    policy: StopPolicy | None = None,
    on_measured: Callable[[int, int, Measurement], None] | None = None,
    cache: MeasurementCache | None = None,
) -> Calibration:
    """Measure networks on this machine and fit a predictor to them.

    Args:
        target: whose predictor it will be.
        specs: diverse networks around those to be predicted; the default are published ones of all kinds.
        resolution: of the networks to be predicted.
        policy: of each measurement; the target's own by default.
        on_measured: called after each with (done, of, measurement).
        cache: where measurements are taken from and kept; by default every network is measured now.

    Raises:
        TargetError: fewer than 5 networks, packages are missing, or the machine is too unsteady.
    """
    target.require_available()
    specs = tuple(specs) or tuple(network(n) for n in CALIBRATION_NETWORKS)
    measured: list[Measurement] = []
    for spec in specs:
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            artifact = target.prepare(spec, resolution, Path(folder))
            measured.append(take(target, artifact, policy or target.calibration_policy, cache).measurement())
        if on_measured:
            on_measured(len(measured), len(specs), measured[-1])
    model = fit_machine(specs, resolution, [m.value for m in measured], target.expected_rates(), target.spec.protocol)
    return Calibration(model, target.spec.key, target.machine(), target.versions(), target.reference_ms())


def fit_machine(
    specs: Sequence[ArchSpec], resolution: int, latencies_ms: Sequence[float], expected: Rates, protocol: str
) -> LatencyModel:
    """Fit a machine's rates to latencies of a few networks; the interval is conformal, each network left out once.

    Raises:
        TargetError: fewer than 5 networks.
    """
    from mvsearch.targets.predictor.regression import LatencyRow, Spread, conformal_half_width, fit_rates, log_prediction

    if len(specs) < MIN_NETWORKS:
        raise TargetError(
            f"`{len(specs)}` networks are too few to predict from", f"measure at least {MIN_NETWORKS} diverse ones"
        )
    features = {s.arch_id: expected.features(op_cost(o) for p in lower(s, resolution) for o in p.ops) for s in specs}
    rows = [LatencyRow(s.arch_id, s.arch_id, "here", ms) for s, ms in zip(specs, latencies_ms, strict=True)]
    spread = Spread(coefficient=0.5, family=0.02, noise=0.05, scale=3.0)
    errors = []
    for held in rows:
        fit = fit_rates([r for r in rows if r.network != held.network], features, expected, spread)
        predicted = log_prediction(fit, features[held.network]) + fit.log_scales["here"]
        errors.append(predicted - math.log(held.latency_ms))
    fit = fit_rates(rows, features, expected, spread)
    factor = math.exp(fit.log_scales["here"])
    half_width = conformal_half_width(errors, LEVEL)
    return LatencyModel(
        rates=Rates(fit.rates.base_ms * factor, {k: r.scaled(factor, factor) for k, r in fit.rates.kinds.items()}),
        corrections={},
        half_width=half_width,
        heir_half_width=half_width,
        level=LEVEL,
        n=len(rows),
        protocol=protocol,
        basis=f"{len(rows)} networks measured on this machine; interval from each left out once",
        validation={"leave-network-out log errors": [round(e, 4) for e in errors]},
    )


@lru_cache(maxsize=1)
def processor_name() -> str:
    """Processor and system, e.g. `AMD EPYC 7B13 (x86_64, Linux)`."""
    return f"{processor_model()} ({platform.machine()}, {platform.system()})"


@lru_cache(maxsize=1)
def processor_model() -> str:
    """Processor alone, e.g. `AMD EPYC 7B13`."""
    return _brand() or platform.processor() or platform.machine()


def _brand() -> str:
    """The processor's name as the system has it; `platform` only says `arm` on every Mac, and nothing on Linux."""
    try:
        if sys.platform == "darwin":
            command = ("sysctl", "-n", "machdep.cpu.brand_string")
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        with Path("/proc/cpuinfo").open(encoding="utf-8") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "")
    except (OSError, subprocess.SubprocessError):
        return ""
