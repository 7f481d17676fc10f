"""`cpu`: measured on this machine with ONNX Runtime on one thread, in turns with a reference network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mvsearch.costs import OP_KINDS
from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.targets.host.machine import Calibration, MachineTarget, processor_name
from mvsearch.targets.predictor.features import KindRate, Rates
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec

REFERENCE = "mobilevit_xxs"
"""Every measurement takes turns with this network at 256 pixels."""


class CpuTarget(MachineTarget):
    """This machine's CPU.

    Args:
        options: none are known.
        calibration: see `MachineTarget`.

    Raises:
        TargetError: an unknown option.
    """

    def __init__(self, options: Mapping[str, str] | None = None, calibration: Calibration | None = None) -> None:
        for key in options or {}:
            raise TargetError(f"`cpu` has no option `{key}`", "it has none")
        super().__init__(
            TargetSpec(
                name="cpu",
                device=processor_name(),
                soc=processor_name(),
                runtime="ONNX Runtime",
                precision="float32",
                compute_unit="CPU, 1 thread",
                batch=1,
                protocol="onnxruntime-1thread-paired",
            ),
            calibration,
        )

    @property
    def resource(self) -> str:
        """See `Target.resource`."""
        return "cpu"

    def machine(self) -> str:
        """Processor and system."""
        return processor_name()

    def versions(self) -> tuple[tuple[str, str], ...]:
        """See `MachineTarget.versions`."""
        from mvsearch.targets.host.onnx_runtime import versions

        return versions()

    def capability(self) -> Capability:
        """Available wherever torch and ONNX Runtime are."""
        from mvsearch.targets.host.onnx_runtime import missing_packages

        missing = missing_packages()
        if not missing:
            return Capability("available", "networks run here with ONNX Runtime on one thread")
        names = " ".join(missing)
        return Capability("unavailable", f"not installed: {', '.join(missing)}", f"`python -m pip install {names}`")

    def expected_rates(self) -> Rates:
        """One core with 256-bit vectors or wider."""
        gmac = {"conv": 0.06, "pointwise": 0.06, "linear": 0.06, "depthwise": 0.015, "matmul": 0.04}
        # float16 bytes, although float32 is moved: the speed of exponentials and strided copies, not of memory.
        bandwidth = {"silu": 3.0, "gelu": 2.0, "sigmoid": 3.0, "softmax": 2.0, "layer_norm": 4.0, "transpose": 3.0,
                     "reshape": 100.0, "resize": 1.0}  # fmt: skip
        return Rates(
            base_ms=0.02,
            kinds={k: KindRate(gmac.get(k, math.inf), bandwidth.get(k, 8.0), 8.0, 3.0) for k in OP_KINDS},
        )

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Export to ONNX."""
        from mvsearch.models import build
        from mvsearch.targets.host.onnx_runtime import export_onnx

        self.require_available()
        path = folder / f"{spec.arch_id}.onnx"
        export_onnx(build(spec, seed=seed), resolution, path)
        versions = "-".join(f"{name}{version}" for name, version in self.versions())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return Artifact(f"{spec.arch_id}@{resolution}/onnx/{versions}", resolution, spec, path, sha256)

    def reference_ms(self) -> float:
        """The reference network's fastest time in ms."""
        return self.calibration.reference_ms if self.calibration else _reference()[1]

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Median ratio to the reference network, times the reference's latency."""
        import platform
        import time

        from mvsearch.targets.host.onnx_runtime import file_runner
        from mvsearch.targets.host.timing import measure_paired

        self.require_available()
        if artifact.path is None:
            raise MeasureError("load", f"`{artifact.key}` has no ONNX file", "`prepare` makes one")
        scale = self.reference_ms()
        times = measure_paired(file_runner(artifact.path), _reference()[0], policy or StopPolicy())
        return LatencyRecord(
            artifact=artifact.key,
            arch_id=artifact.spec.arch_id if artifact.spec else "",
            resolution=artifact.resolution,
            target=self.name,
            target_key=self.spec.key,
            protocol=self.spec.protocol,
            value_ms=times.ratio * scale,
            low_ms=times.low * scale,
            high_ms=times.high * scale,
            level=times.level,
            statistic=f"median ratio to {REFERENCE} ({scale:.3g} ms)",
            samples_ms=tuple(r * scale for r in times.ratios),
            conditions=(("device", self.machine()), ("reference_ms", f"{scale:.6g}"), ("drift", f"{times.drift:.3f}")),
            versions=self.versions(),
            host=platform.node(),
            taken_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )


@lru_cache(maxsize=1)
def _reference() -> tuple[Callable[[], object], float]:
    """The reference network's inference, and its fastest time in ms, found once in a process."""
    from mvsearch.models import build
    from mvsearch.targets.host.onnx_runtime import runner
    from mvsearch.targets.host.timing import measure_paired

    run = runner(build(network(REFERENCE)), DEFAULT_RESOLUTION)
    policy = replace(MachineTarget.calibration_policy, max_s=0.6, precision=0.0, max_drift=math.inf)
    return run, 1e3 * measure_paired(run, run, policy).reference_s
