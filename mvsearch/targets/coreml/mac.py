"""`mac`: Core ML on this Mac, measured through coremltools.

Protocol `coremltools-mac-1`: rounds of 50 back-to-back predictions after a warm-up of at least 0.5 s and 20 runs, at
least 20 rounds and then as many as the interval needs; the median over all runs. Each time is Core ML's own call
alone, as coremltools takes it; the conversion of the arrays between Python and Core ML lies outside. A Mac's figures
say nothing of a phone's.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mvsearch.errors import MeasureError
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.coreml.options import UNITS, read_options, target_name, unit_words
from mvsearch.targets.coreml.package import artifact_of, read
from mvsearch.targets.coreml.plan import ComputePlan
from mvsearch.targets.coreml.rounds import POLICY, RUNS, WARM_UP_RUNS, WARM_UP_S, Summary, require_steady, summarise
from mvsearch.targets.coreml.shell import Shell, run_command
from mvsearch.targets.host.machine import Calibration, MachineTarget
from mvsearch.targets.predictor.features import Rates
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec, what_where_when

PROTOCOL = "coremltools-mac-1"
OLDEST = (13, 0)
"""macOS 13 runs packages of deployment target iOS 16."""


class MacTarget(MachineTarget):
    """This Mac's Core ML.

    Args:
        options: `units`, one of `all`, `cpu_and_ne`, `cpu_and_gpu`, `cpu_only`.
        calibration: see `MachineTarget`.
        system: as `sys.platform` has it.
        shell: runs programs.

    Raises:
        TargetError: an unknown option or value.
    """

    calibration_policy = StopPolicy(warm_up_s=WARM_UP_S, max_s=5.0, min_rounds=7, max_drift=POLICY.max_drift)

    def __init__(
        self,
        options: Mapping[str, str] | None = None,
        calibration: Calibration | None = None,
        system: str = sys.platform,
        shell: Shell = run_command,
    ) -> None:
        chosen = read_options("mac", options or {}, {"units": UNITS})
        self.units = chosen["units"]
        self.system = system
        self.shell = shell
        self._chip, self._model = self._hardware()
        super().__init__(
            TargetSpec(
                name=target_name("mac", {"units": "" if self.units == "all" else self.units}),
                device=self.machine(),
                soc=self._chip,
                runtime="Core ML",
                precision="float16",
                compute_unit=unit_words(self.units),
                batch=1,
                protocol=PROTOCOL,
            ),
            calibration,
        )

    @property
    def resource(self) -> str:
        """See `Target.resource`."""
        return "mac"

    def machine(self) -> str:
        """Chip and model, e.g. `Apple M2 (Mac14,2)`."""
        return f"{self._chip} ({self._model})"

    def _hardware(self) -> tuple[str, str]:
        if self.system != "darwin":
            return "no Mac", platform.machine()
        done = self.shell(["sysctl", "-n", "machdep.cpu.brand_string", "hw.model"], 10)
        chip, _, model = done.out.strip().partition("\n")
        return chip.strip() or "unknown chip", model.strip() or platform.machine()

    def versions(self) -> tuple[tuple[str, str], ...]:
        """Of coremltools and of macOS, whose updates may change Core ML."""
        from importlib.metadata import version

        return (("coremltools", version("coremltools")), ("macOS", self._macos()))

    def _macos(self) -> str:
        done = self.shell(["sw_vers"], 10)
        found = dict(re.findall(r"^(\w+):\s*(\S+)", done.out, re.MULTILINE))
        return f"{found.get('ProductVersion', 'unknown')} ({found.get('BuildVersion', 'unknown')})"

    def capability(self) -> Capability:
        """Available on macOS 13 or newer with coremltools."""
        if self.system != "darwin":
            return Capability(
                "unavailable", "Core ML runs on Apple's systems only, and this is none",
                "bring the run folder to a Mac, install mvsearch there, and measure it there",
            )  # fmt: skip
        from mvsearch.targets.coreml.convert import coreml_available

        usable, reason = coreml_available()
        if not usable:
            return Capability("unavailable", "coremltools cannot be used here", reason)
        release = self._macos()
        numbers = tuple(int(n) for n in re.findall(r"\d+", release)[:2])
        if numbers < OLDEST:
            return Capability(
                "unavailable", f"macOS {release} does not run packages of deployment target iOS 16", "macOS 13 or newer"
            )
        return Capability("available", f"networks run here with Core ML on {self.spec.compute_unit}")

    def expected_rates(self) -> Rates:
        """The proportions of an iPhone's chip, which is of the same design; the speed is fitted."""
        from mvsearch.targets.predictor.expected import expected_a14

        return expected_a14()

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Convert to Core ML; see `Target.prepare`."""
        from mvsearch.models import build
        from mvsearch.targets.coreml.convert import convert

        path = folder / f"{spec.arch_id}.mlpackage"
        convert(build(spec, seed=seed).eval(), resolution, path, channels=spec.in_channels)
        return artifact_of(path, spec)

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Time a package on this Mac; see the module for the protocol.

        Raises:
            MeasureError: Core ML refuses it, the Mac saves energy, or it was too unsteady.
        """
        from mvsearch.targets.coreml.convert import quiet_coremltools

        self.require_available()
        if artifact.path is None:
            raise MeasureError("load", f"`{artifact.key}` has no package on disk", "`prepare` makes one")
        policy = policy or POLICY
        power = self._power()
        with quiet_coremltools() as (ct, _):
            run = MacRun(ct, artifact.path, self.units)
            warm_n, warm_s, summary = time_model(run.predict_ms, policy)
            require_steady(summary, policy, "this Mac")
            plan, plan_error = run.plan()
        told = plan.conditions() if plan else (("compute_plan", f"not known: {plan_error}"),)
        return LatencyRecord(
            **what_where_when(self.spec, artifact),
            **summary.figures(),
            warm_up_n=warm_n,
            warm_up_s=warm_s,
            load_ms=run.load_ms,
            conditions=(
                ("device", self.machine()),
                ("os", f"macOS {self._macos()}"),
                ("units", self.units),
                ("thermal_before", power),
                ("thermal_after", self._power()),
                ("low_power", "off"),
                ("trimmed_mean_ms", f"{summary.trimmed_mean:.6g}"),
                ("drift", f"{summary.drift:.3f}"),
                ("package_sha256", artifact.sha256),
                *told,
            ),
            versions=self.versions(),
            flags=plan.flags(self.units) if plan else (),
        )

    def _power(self) -> str:
        """What `pmset` says of heat; refuses a Mac that saves energy or is throttled.

        Raises:
            MeasureError: `low-power` or `hot`.
        """
        settings = self.shell(["pmset", "-g"], 10)
        if re.search(r"^\s*lowpowermode\s+1\b", settings.out, re.MULTILINE):
            raise MeasureError("low-power", "this Mac is in low power mode", "System Settings > Battery > Low Power Mode")
        heat = self.shell(["pmset", "-g", "therm"], 10)
        limit = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", heat.out)
        if limit and int(limit[1]) < 100:
            raise MeasureError("hot", f"this Mac is throttled to {limit[1]} % of its speed", "let it cool down", retryable=True)
        return f"CPU_Speed_Limit {limit[1]}" if limit else "no throttling recorded"


class MacRun:
    """A package loaded into this Mac's Core ML.

    Args:
        ct: coremltools.
        path: of the package.
        units: compute units.

    Raises:
        MeasureError: Core ML does not load it.
    """

    def __init__(self, ct: Any, path: Path, units: str) -> None:
        import numpy as np

        inputs = read(path).inputs
        if any(not i.shape for i in inputs):
            raise MeasureError("load", "only networks with array inputs are measured", "convert the network with array inputs")
        rng = np.random.default_rng(0)
        # In [0.5, 1), where no number is denormal; the same in every run.
        self.inputs = {i.name: (0.5 + rng.random(i.shape) / 2).astype(np.float16) for i in inputs}
        self.ct = ct
        self.units = getattr(ct.ComputeUnit, units.upper())
        try:
            self.model = ct.models.MLModel(str(path), compute_units=self.units)
            if self.model.__proxy__ is None:
                raise RuntimeError("it was not handed to Core ML")
        except Exception as error:
            raise MeasureError(
                "load", f"Core ML does not load `{path.name}`: {_line(error)}", "open it in Xcode to see why"
            ) from error

    @property
    def load_ms(self) -> float | None:
        """Time to load in ms, if Core ML says."""
        ns = self.model.load_duration_in_nano_seconds
        return None if ns is None else ns / 1e6

    def predict_ms(self) -> float:
        """One prediction, in ms.

        Raises:
            MeasureError: Core ML does not run it, or does not say how long it took.
        """
        try:
            self.model.predict(dict(self.inputs))
        except Exception as error:
            raise MeasureError(
                "load", f"Core ML does not run the network: {_line(error)}", "open it in Xcode to see why"
            ) from error
        ns = self.model.last_predict_duration_in_nano_seconds
        if not ns or ns <= 0:
            raise MeasureError("tool", "coremltools does not say how long a prediction took", "coremltools 9 and macOS 14 do")
        return float(ns) / 1e6

    def plan(self) -> tuple[ComputePlan | None, str]:
        """Where Core ML runs the operations, or None and why it does not say (before macOS 14.4)."""
        kinds = self.ct.models.compute_device
        units = {kinds.MLNeuralEngineComputeDevice: "ane", kinds.MLGPUComputeDevice: "gpu", kinds.MLCPUComputeDevice: "cpu"}
        operations: dict[tuple[str, str], int] = {}
        cost: dict[str, float] = {}
        try:
            plan = self.ct.models.compute_plan.MLComputePlan.load_from_path(
                path=self.model.get_compiled_model_path(), compute_units=self.units
            )
            for op in plan.model_structure.program.functions["main"].block.operations:
                usage = plan.get_compute_device_usage_for_mlprogram_operation(op)
                if usage is None:  # constants
                    continue
                unit = next((u for kind, u in units.items() if isinstance(usage.preferred_compute_device, kind)), "unknown")
                key = (op.operator_name.rpartition(".")[2], unit)
                operations[key] = operations.get(key, 0) + 1
                if (estimate := plan.get_estimated_cost_for_mlprogram_operation(op)) is not None:
                    cost[unit] = cost.get(unit, 0.0) + float(estimate.weight)
        except Exception as error:
            return None, _line(error)
        return ComputePlan(operations, cost), ""


def time_model(
    predict_ms: Callable[[], float], policy: StopPolicy, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, float, Summary]:
    """Warm up, then run rounds until the interval is narrow enough or the time is up.

    Args:
        predict_ms: one prediction; gives its own time.
        policy: see `StopPolicy`; three rounds always run.
        clock: seconds.

    Returns:
        (runs of the warm-up, its seconds, the summary).
    """
    start = clock()
    warm = 0
    while warm < WARM_UP_RUNS or clock() - start < max(WARM_UP_S, policy.warm_up_s):
        predict_ms()
        warm += 1
    warmed = clock()
    rounds: list[list[float]] = []
    while True:
        rounds.append([predict_ms() for _ in range(RUNS)])
        late = clock() - warmed >= policy.max_s
        if len(rounds) >= 3 and (late or len(rounds) >= policy.min_rounds):
            summary = summarise(rounds, policy.level)
            if late or summary.settled <= policy.precision:
                return warm, warmed - start, summary


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def mac_target(options: Mapping[str, str]) -> MacTarget:
    """This Mac with these options.

    Raises:
        TargetError: an unknown option or value.
    """
    return MacTarget(options)
