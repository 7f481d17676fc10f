"""`cpu`: measured on this machine on one thread, in turns with a reference network.

What is reported is the median ratio to the reference, times the reference's latency, which is measured once on a
machine and kept: latencies of two processes, or of two days, are on one scale.
"""

from __future__ import annotations

import hashlib
import io
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Protocol

from mvsearch.costs import OP_KINDS, Resolution
from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.targets.cache import REFERENCE_TIME, MeasurementCache, Reference
from mvsearch.targets.host import onnx_runtime, openvino
from mvsearch.targets.host.load import load_conditions
from mvsearch.targets.host.machine import Calibration, MachineTarget, processor_name
from mvsearch.targets.host.timing import PairedTimes, measure_alone, measure_paired
from mvsearch.targets.predictor.features import KindRate, Rates
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec, utc_now, what_where_when

if TYPE_CHECKING:
    from torch import nn

REFERENCE = "mobilevit_xxs"
"""Every measurement takes turns with this network at 256 pixels."""
REFERENCE_TOLERANCE = 0.05
"""Share by which the reference may be faster than the stored one, or stored ones may differ, without a word."""

SLOW = 1.25
"""The reference over the stored one from which ratios are doubted: where a host's neighbours take half of the processor's
speed, which CPU time does not show, ratios moved by 2 to 4 %."""


class Runtime(Protocol):
    """What a module gives that runs ONNX files on one thread of the CPU, the calling one."""

    TITLE: str
    PROTOCOL: str

    def missing_packages(self) -> tuple[str, ...]:
        """Packages to be installed."""

    def versions(self) -> tuple[tuple[str, str], ...]:
        """(package, version) of what a measurement depends on."""

    def runner(self, model_bytes: bytes) -> Callable[[], object]:
        """One inference on a fixed image."""


_RUNTIMES: dict[str, Runtime] = {"onnxruntime": onnx_runtime, "openvino": openvino}


class CpuTarget(MachineTarget):
    """This machine's CPU.

    Args:
        options: `runtime`: `onnxruntime` (the default) or `openvino`.
        calibration: see `MachineTarget`.

    Raises:
        TargetError: an unknown option or value.
    """

    policy: StopPolicy = StopPolicy(warm_up_s=0.4, max_s=3.0, min_rounds=16, precision=0.02, max_drift=0.25, attempts=2)
    """Of a measurement: one to two seconds on a calm machine."""
    calibration_policy: StopPolicy = StopPolicy(
        warm_up_s=0.3, max_s=1.2, min_rounds=10, precision=0.03, max_drift=0.25, attempts=2
    )

    def __init__(self, options: Mapping[str, str] | None = None, calibration: Calibration | None = None) -> None:
        for key in set(options or {}) - {"runtime"}:
            raise TargetError(f"`cpu` has no option `{key}`", "it has one: `runtime`, e.g. `cpu@runtime=openvino`")
        self.runtime = (options or {}).get("runtime", "onnxruntime")
        if self.runtime not in _RUNTIMES:
            raise TargetError(
                f"`cpu` has no runtime `{self.runtime}`", f"runtimes are {', '.join(f'`{r}`' for r in _RUNTIMES)}"
            )
        super().__init__(
            TargetSpec(
                name="cpu" if self.runtime == "onnxruntime" else f"cpu@runtime={self.runtime}",
                device=processor_name(),
                soc=processor_name(),
                runtime=_RUNTIMES[self.runtime].TITLE,
                precision="float32",
                compute_unit="CPU, 1 thread",
                batch=1,
                protocol=_RUNTIMES[self.runtime].PROTOCOL,
            ),
            calibration,
        )

    @property
    def resource(self) -> str:
        """See `Target.resource`; one for both runtimes."""
        return "cpu"

    def machine(self) -> str:
        """Processor and system."""
        return processor_name()

    def versions(self) -> tuple[tuple[str, str], ...]:
        """See `MachineTarget.versions`."""
        return _RUNTIMES[self.runtime].versions()

    def capability(self) -> Capability:
        """Available wherever torch and the runtime are."""
        missing = _RUNTIMES[self.runtime].missing_packages()
        if not missing:
            return Capability("available", f"networks run here with {self.spec.runtime} on one thread")
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

        self.require_available()
        path = folder / f"{spec.arch_id}.onnx"
        onnx_runtime.export_onnx(build(spec, seed=seed), resolution, path)
        versions = "-".join(f"{name}{version}" for name, version in self.versions())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return Artifact(f"{spec.arch_id}@{resolution}/onnx/{versions}", resolution, spec, path, sha256)

    def reference(self, fresh: bool = False) -> Reference:
        """The reference network's latency on this machine: from the cache, or measured now and kept there.

        Args:
            fresh: measure it now, which is worth it when the machine is calmer than it was; records that hang on the
                one before no longer count.

        Raises:
            TargetError: packages are missing.
            InputError: the cache cannot be used.
        """
        self.require_available()
        cache, versions, host = MeasurementCache(), self.versions(), platform.node()
        if not fresh and (known := cache.reference(self.spec, versions, host)):
            return known
        run, before = _reference_run(self.runtime), load_conditions("before")
        with _denormals_as_zero():
            times = measure_alone(run)
        reference = Reference(
            network=f"{REFERENCE}@{DEFAULT_RESOLUTION}",
            value_ms=1e3 * times.value_s,
            blocks_ms=tuple(1e3 * s for s in times.blocks_s),
            n=times.n,
            taken_at=utc_now(),
            conditions=(("device", self.machine()), *before, *load_conditions("after")),
        )
        cache.set_reference(self.spec, versions, host, reference)
        return reference

    def reference_ms(self) -> float:
        """The reference network's latency in ms, see `reference`."""
        return self.reference().value_ms

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Median ratio to the reference network, times the reference's latency.

        Raises:
            MeasureError: `load`: the runtime does not take the file; `unsteady`: the reference drifted; `unavailable`:
                this is not the machine that the target was made on.
            TargetError: packages are missing.
            InputError: the cache, which holds the reference's latency, cannot be used.
        """
        self.require_available()
        if self.machine() != self.spec.device:
            raise MeasureError("unavailable", f"`{self.name}` is `{self.spec.device}`, and this is `{self.machine()}`",
                               "measure on the machine that the search was started on")  # fmt: skip
        start = time.perf_counter()
        run = self._load(artifact)
        load_ms = 1e3 * (time.perf_counter() - start)
        reference, reference_run = self.reference(), _reference_run(self.runtime)
        before = load_conditions("before")
        with _denormals_as_zero():
            times = measure_paired(run, reference_run, policy or self.policy)
        scale = reference.value_ms
        return LatencyRecord(
            **what_where_when(self.spec, artifact),
            value_ms=times.ratio * scale,
            low_ms=times.low * scale,
            high_ms=times.high * scale,
            level=times.level,
            statistic=f"median ratio to {REFERENCE} ({scale:.3g} ms)",
            samples_ms=tuple(1e3 * s for s in times.run_s),
            reference_samples_ms=tuple(1e3 * s for s in times.reference_s),
            rounds=times.n // 2,
            warm_up_n=times.warm_up_n,
            warm_up_s=times.warm_up_s,
            load_ms=load_ms,
            conditions=(
                ("device", self.machine()),
                ("ratio", f"{times.ratio:.6g}"),
                ("reference", reference.network),
                ("reference_ms", f"{scale:.6g}"),
                (REFERENCE_TIME, reference.taken_at),
                ("reference_now_ms", f"{1e3 * times.seen_s:.6g}"),
                ("wall_ms", f"{1e3 * times.wall_s:.6g}"),
                ("drift", f"{times.drift:.3f}"),
                ("attempts", str(times.attempts)),
                *before,
                *load_conditions("after"),
            ),
            versions=self.versions(),
            flags=self._flags(times, scale),
        )

    def compare(
        self, first: nn.Module, second: nn.Module, resolution: Resolution, policy: StopPolicy | None = None
    ) -> PairedTimes:
        """Time one torch network in turns with another, instead of with the reference: the ratio of the two.

        Args:
            first: its times are `run_s`; the ratio is its over the second's.
            second: its times are `reference_s`.
            resolution: side of a square image, or (height, width), in pixels, of both.
            policy: as of a measurement.

        Raises:
            MeasureError: `unsteady`: the second network drifted.
            TargetError: packages are missing.
        """
        self.require_available()
        runs = [_exported_run(model, resolution, self.runtime) for model in (first, second)]
        with _denormals_as_zero():
            return measure_paired(runs[0], runs[1], policy or self.policy)

    def _load(self, artifact: Artifact) -> Callable[[], object]:
        if artifact.path is None:
            raise MeasureError("load", f"`{artifact.key}` has no ONNX file", "`prepare` makes one")
        try:
            return _RUNTIMES[self.runtime].runner(artifact.path.read_bytes())
        except Exception as error:  # Each runtime has its own classes of errors, none of which says more than its text.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MeasureError("load", f"{self.spec.runtime} cannot load `{artifact.path}`: {reason}") from error

    def _flags(self, times: PairedTimes, scale: float) -> tuple[str, ...]:
        flags = []
        now = 1e3 * times.seen_s
        if now * (1 + REFERENCE_TOLERANCE) < scale:
            flags.append(f"reference: stored {scale:.3g} ms, now {now:.3g} ms; the machine was slower when it was taken")
        beside = 1e3 * median(times.reference_s)
        if beside > SLOW * scale:
            flags.append(f"reference: stored {scale:.3g} ms, now {beside:.3g} ms; ratios move on a slowed machine")
        then = self.calibration.reference_ms if self.calibration else scale
        if abs(math.log(then / scale)) > math.log(1 + REFERENCE_TOLERANCE):
            flags.append(f"reference: {then:.3g} ms in the calibration that predictions come from, {scale:.3g} ms here")
        return tuple(flags)


@lru_cache(maxsize=2)
def _reference_run(runtime: str) -> Callable[[], object]:
    """The reference network's inference, loaded once in a process."""
    from mvsearch.models import build

    return _exported_run(build(network(REFERENCE)), DEFAULT_RESOLUTION, runtime)


def _exported_run(model: nn.Module, resolution: Resolution, runtime: str) -> Callable[[], object]:
    buffer = io.BytesIO()
    onnx_runtime.export_onnx(model, resolution, buffer)
    return _RUNTIMES[runtime].runner(buffer.getvalue())


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """Have this thread take numbers next to zero for zero.

    Arithmetic on them is far slower, and how many there are hangs on the weights, which are untrained here. Both runtimes
    have an option for it, but that stays on in the thread that loads a network, and is missing in every other one.
    """
    import torch

    before = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
