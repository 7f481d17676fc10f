"""`cpu`: measured on this machine with ONNX Runtime on one thread; predicted by a fit to measurements made here.

A search cannot measure every candidate. `calibrate_here` measures a few diverse networks and fits the
same model as the phone's, so that candidates are predicted in microseconds; members of a front are
measured for real.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mvsearch.costs import OP_KINDS, Resolution, lower
from mvsearch.errors import TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.spec.record import Measurement
from mvsearch.targets.features import KindRate, Rates, op_cost
from mvsearch.targets.latency_model import LatencyModel
from mvsearch.targets.target import Capability, StopPolicy, TargetSpec

LEVEL = 0.9
REFERENCE = "mobilevit_xxs"
"""Every measurement takes turns with this network at 256 pixels."""

CALIBRATION_NETWORKS = (
    "mobilevit_xxs", "mobilevit_xxs@patch=8,4,2", "mobilevit_xs", "mobilevit_s",
    "mobilevitv2_0.5", "mobilevitv2_0.75", "mobilevitv2_1.0", "mobilevitv2_1.25",
    "mobilevitv3_xxs", "mobilevitv3_xs_l2", "mobilevitv3_0.5", "mobilevitv3_0.75",
)  # fmt: skip
CALIBRATION_POLICY = StopPolicy(warm_up_s=0.2, max_s=0.8, min_rounds=7)

CPU = TargetSpec(
    name="cpu",
    device="this machine",
    soc=platform.machine(),
    runtime="ONNX Runtime",
    precision="float32",
    compute_unit="CPU, 1 thread",
    batch=1,
    protocol="onnxruntime-1thread-paired",
)


@dataclass(frozen=True)
class CpuCalibration:
    """What was measured here to predict from.

    Attributes:
        model: the fit.
        reference_ms: the reference network, fastest run; a latency is its ratio to the reference times this.
        machine: as `machine_name` gives it; a calibration holds for one machine.
        versions: of the packages that ran.
    """

    model: LatencyModel
    reference_ms: float
    machine: str
    versions: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {
            "model": self.model.to_json(),
            "reference_ms": self.reference_ms,
            "machine": self.machine,
            "versions": [list(v) for v in self.versions],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CpuCalibration:
        """Read what `to_json` wrote."""
        versions = tuple((str(a), str(b)) for a, b in data["versions"])
        return cls(LatencyModel.from_json(data["model"]), data["reference_ms"], data["machine"], versions)


class CpuTarget:
    """This machine's CPU.

    Args:
        calibration: of `calibrate_here`; without it the target measures but does not predict.
    """

    spec = CPU

    def __init__(self, calibration: CpuCalibration | None = None) -> None:
        self.calibration = calibration

    @property
    def name(self) -> str:
        """As in `--target`."""
        return self.spec.name

    def describe(self) -> str:
        """One line for lists and reports."""
        s = self.spec
        return f"{machine_name()}, {s.runtime} {s.precision}, {s.compute_unit}, batch {s.batch}: measured here"

    def capability(self) -> Capability:
        """Available wherever torch and ONNX Runtime are."""
        from mvsearch.targets.onnx_runtime import missing_packages

        missing = missing_packages()
        if not missing:
            return Capability("available", "networks run here with ONNX Runtime on one thread")
        names = " ".join(missing)
        return Capability("unavailable", f"not installed: {', '.join(missing)}", f"`python -m pip install {names}`")

    def calibrated(self, calibration: CpuCalibration) -> CpuTarget:
        """The same target with a predictor.

        Raises:
            TargetError: the calibration was made on another machine.
        """
        if calibration.machine != machine_name():
            raise TargetError(
                f"the calibration of `{self.name}` was made on `{calibration.machine}`, and this is `{machine_name()}`",
                "calibrate again here; latencies of two machines are not mixed",
            )
        return CpuTarget(calibration)

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

    def measure(self, spec: ArchSpec, resolution: Resolution, policy: StopPolicy | None = None) -> Measurement:
        """Latency measured here, in ms: median ratio to the reference times the reference's latency.

        Raises:
            TargetError: ONNX Runtime is missing, or the machine is too unsteady.
        """
        reference_ms = self.calibration.reference_ms if self.calibration else None
        return _measure(spec, resolution, policy or StopPolicy(), reference_ms)


def calibrate_here(
    specs: Sequence[ArchSpec] = (),
    resolution: Resolution = DEFAULT_RESOLUTION,
    policy: StopPolicy = CALIBRATION_POLICY,
    on_measured: Callable[[int, int, Measurement], None] | None = None,
) -> CpuCalibration:
    """Measure networks on this machine and fit a predictor to them (about a minute for the default ones).

    Args:
        specs: diverse networks around those to be predicted; the default are published ones of all kinds.
        resolution: of the networks to be predicted.
        policy: of each measurement.
        on_measured: called after each with (done, of, measurement).

    Raises:
        TargetError: fewer than 5 networks, ONNX Runtime is missing, or the machine is too unsteady.
    """
    specs = tuple(specs) or tuple(network(n) for n in CALIBRATION_NETWORKS)
    measured: list[Measurement] = []
    for spec in specs:
        measured.append(_measure(spec, resolution, policy, None))
        if on_measured:
            on_measured(len(measured), len(specs), measured[-1])
    from mvsearch.targets.onnx_runtime import versions

    model = fit_machine(specs, resolution, [m.value for m in measured])
    return CpuCalibration(model, _reference()[1], machine_name(), versions())


def fit_machine(specs: Sequence[ArchSpec], resolution: Resolution, latencies_ms: Sequence[float]) -> LatencyModel:
    """Fit a machine's rates to latencies of a few networks; the interval is conformal, each network left out once.

    Raises:
        TargetError: fewer than 5 networks.
    """
    from mvsearch.targets.regression import LatencyRow, Spread, conformal_half_width, fit_rates, log_prediction

    if len(specs) < 5:
        raise TargetError(f"`{len(specs)}` networks are too few to predict from", "measure at least 5 diverse ones")
    expected = _expected_rates()
    features = {s.arch_id: expected.features(op_cost(o) for p in lower(s, resolution) for o in p.ops) for s in specs}
    rows = [LatencyRow(s.arch_id, s.arch_id, "here", ms) for s, ms in zip(specs, latencies_ms, strict=True)]
    spread = Spread(coefficient=0.5, family=0.02, noise=0.05, scale=3.0)
    errors = []
    for held in rows:
        fit = fit_rates([r for r in rows if r.network != held.network], features, expected, spread)
        predicted = log_prediction(fit, features[held.network]) + fit.log_scales["here"]
        errors.append(predicted - math.log(held.latency_ms))
    fit = fit_rates(rows, features, expected, spread)
    machine = math.exp(fit.log_scales["here"])
    half_width = conformal_half_width(errors, LEVEL)
    return LatencyModel(
        rates=_times(fit.rates, machine),
        corrections={},
        half_width=half_width,
        heir_half_width=half_width,
        level=LEVEL,
        n=len(rows),
        protocol=CPU.protocol,
        basis=f"{len(rows)} networks measured on this machine; interval from each left out once",
        validation={"leave-network-out log errors": [round(e, 4) for e in errors]},
    )


def _times(rates: Rates, factor: float) -> Rates:
    return Rates(rates.base_ms * factor, {k: r.scaled(factor, factor) for k, r in rates.kinds.items()})


def _expected_rates() -> Rates:
    """One core with 256-bit vectors or wider; only the proportions matter, the machine's speed is fitted."""
    gmac = {"conv": 0.06, "pointwise": 0.06, "linear": 0.06, "depthwise": 0.015, "matmul": 0.04}
    # float16 bytes, although float32 is moved: the speed of exponentials and strided copies, not of memory.
    bandwidth = {"silu": 3.0, "gelu": 2.0, "sigmoid": 3.0, "softmax": 2.0, "layer_norm": 4.0, "transpose": 3.0,
                 "reshape": 100.0, "resize": 1.0}  # fmt: skip
    return Rates(
        base_ms=0.02,
        kinds={k: KindRate(gmac.get(k, math.inf), bandwidth.get(k, 8.0), 8.0, 3.0) for k in OP_KINDS},
    )


def _measure(spec: ArchSpec, resolution: Resolution, policy: StopPolicy, reference_ms: float | None) -> Measurement:
    from mvsearch.models import build
    from mvsearch.targets.onnx_runtime import runner, versions
    from mvsearch.targets.timing import measure_paired

    require_available()
    reference, first_ms = _reference()
    scale = reference_ms or first_ms
    times = measure_paired(runner(build(spec), resolution), reference, policy)
    return Measurement(
        "latency", times.ratio * scale, "ms", "measured", times.low * scale, times.high * scale, times.level, "log",
        f"median of {times.n} pairs with {REFERENCE} ({scale:.3g} ms), {machine_name()}; interval of the median",
        CPU.name, CPU.protocol, times.n, versions(),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _reference() -> tuple[Callable[[], object], float]:
    """The reference network's inference, and its fastest time in ms, found once in a process."""
    from mvsearch.models import build
    from mvsearch.targets.onnx_runtime import runner
    from mvsearch.targets.timing import measure_paired

    run = runner(build(network(REFERENCE)), DEFAULT_RESOLUTION)
    policy = replace(CALIBRATION_POLICY, max_s=0.6, precision=0.0, max_drift=math.inf)
    return run, 1e3 * measure_paired(run, run, policy).reference_s


def require_available() -> None:
    """Refuse to measure where it cannot be done.

    Raises:
        TargetError: packages are missing, with the command that installs them.
    """
    capability = CpuTarget().capability()
    if capability.status != "available":
        raise TargetError(f"`{CPU.name}` cannot be measured here: {capability.reason}", capability.fix)


@lru_cache(maxsize=1)
def machine_name() -> str:
    """Processor and system, e.g. `AMD EPYC 7B13 (x86_64, Linux)`."""
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as f:
            model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model} ({platform.machine()}, {platform.system()})"
