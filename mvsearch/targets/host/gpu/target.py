"""`gpu`: measured on a CUDA device of this machine with PyTorch, one inference as a captured CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

from mvsearch.errors import MeasureError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.targets.host.gpu.cuda import cuda_device, torch_build
from mvsearch.targets.host.gpu.device import Device, Gpu, GpuState, Run
from mvsearch.targets.host.gpu.network import inference, prepared_network, random_images
from mvsearch.targets.host.gpu.options import GpuOptions, parse_options
from mvsearch.targets.host.gpu.rates import expected_rates
from mvsearch.targets.host.gpu.smi import HOT, installed_gpus, visible_gpus
from mvsearch.targets.host.gpu.timing import GpuTimes, measure_on
from mvsearch.targets.host.machine import Calibration, MachineTarget
from mvsearch.targets.predictor.features import Rates
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec, what_where_when

REFERENCE = "mobilevit_xxs"
"""Timed before and after every network, at 256 pixels and batch 1, launched as the network is."""
NO_GPU = Gpu("no NVIDIA GPU", "none")


class GpuTarget(MachineTarget):
    """A CUDA device of this machine.

    Args:
        options: see `GpuOptions`, and the preset `mobilevitv3`.
        calibration: see `MachineTarget`.
        device: to be measured on instead of a CUDA device; for tests.

    Raises:
        TargetError: an unknown option or value.
    """

    policy: StopPolicy = StopPolicy(warm_up_s=0.5, max_s=3.0, min_rounds=15, max_drift=0.05, attempts=2)
    calibration_policy: StopPolicy = replace(policy, max_s=1.5)

    def __init__(
        self,
        options: Mapping[str, str] | None = None,
        calibration: Calibration | None = None,
        device: Device | None = None,
    ) -> None:
        self.options = parse_options(options or {})
        self._device = device
        self._gpus = (device.gpu(),) if device else visible_gpus()
        o = self.options
        self._gpu = self._gpus[o.device] if o.device < len(self._gpus) else NO_GPU
        super().__init__(
            TargetSpec(
                name=o.name,
                device=self._gpu.name,
                soc=self.machine(),  # with the driver: what was measured with another one is measured again
                runtime="PyTorch compiled" if o.compile else "PyTorch",
                precision=o.precision + (" (TF32)" if o.tf32 else ""),
                compute_unit=f"GPU, {'CUDA graph' if o.launch == 'graph' else 'eager launches'}",
                batch=o.batch,
                protocol=o.protocol,
            ),
            calibration,
        )

    @property
    def resource(self) -> str:
        """See `Target.resource`: `gpu`, and `gpu1` and so on for further devices."""
        return f"gpu{self.options.device or ''}"

    def machine(self) -> str:
        """GPU and driver."""
        return f"{self._gpu.name}, driver {self._gpu.driver}"

    def versions(self) -> tuple[tuple[str, str], ...]:
        """See `MachineTarget.versions`; read without loading torch."""
        return tuple(torch_build().items())

    def capability(self) -> Capability:
        """Found out without loading torch and without starting CUDA."""
        build, index = torch_build(), self.options.device
        if not self._gpus:
            hidden = installed_gpus()
            if hidden:
                return Capability(
                    "unavailable",
                    f"`CUDA_VISIBLE_DEVICES` hides this machine's {len(hidden)} NVIDIA GPUs",
                    "unset it, or name a GPU in it",
                )
            return Capability(
                "unavailable",
                "no NVIDIA GPU and driver here (neither `nvidia-smi` nor /proc/driver/nvidia answers)",
                "run it on a machine with one",
            )
        if index >= len(self._gpus):
            return Capability(
                "unavailable",
                f"there is no device {index}: CUDA sees {len(self._gpus)}",
                f"`device` is from 0 to {len(self._gpus) - 1}",
            )
        if not build:
            return Capability("unavailable", "not installed: torch", "`python -m pip install torch`")
        if "cuda" not in build and self._device is None:
            return Capability(
                "unavailable",
                f"the installed PyTorch {build['torch']} is built without CUDA",
                f"install a build of PyTorch for CUDA that driver {self._gpu.driver} supports",
            )
        return Capability("available", f"networks run here on {self._gpu.name} with PyTorch")

    def expected_rates(self) -> Rates:
        """See `gpu.rates`."""
        return expected_rates(self.options)

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Name what is to be measured; `measure` builds it, with weights of a seed of its own, so that `seed` has no say."""
        self.require_available()
        versions = "-".join(f"{name}{version}" for name, version in self.versions())
        o = self.options
        form = "-".join((o.precision, o.layout, "folded" if o.fold else "unfolded", *(["compiled"] if o.compile else [])))
        return Artifact(f"{spec.arch_id}@{resolution}/{versions}/{form}", resolution, spec)

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Median of the device's time per batch, or what the preset says; copies to and from the device are not in it.

        Raises:
            MeasureError: `load`: it does not fit, or the device refuses it; `hot`: the device held its clocks back for
                heat; `unsteady`: the reference network drifted; `unavailable`: not the device that was named.
            TargetError: there is no GPU to measure on.
        """
        self.require_available()
        if artifact.spec is None:
            raise MeasureError("load", f"`{artifact.key}` is a file, and the GPU runs a torch module", "give a network")
        import torch

        policy = policy or self.policy
        device = self._device or cuda_device(self.options.device)
        fault = None
        try:
            record = self._measured(device, artifact, artifact.spec, policy)
        except torch.OutOfMemoryError:
            fault = MeasureError(
                "load",
                f"`{artifact.key}` at batch {self.options.batch} does not fit into the memory of {self._gpu.name}",
                "a smaller `batch` or resolution may; or end what else holds memory there",
            )
        except RuntimeError as error:
            message = f"`{artifact.key}` does not run on {self._gpu.name}: {_first_line(error)}"
            fault = MeasureError("load", message, _advice(self.options))
        if fault:
            # Not from within the handler: the error would keep its frames alive, and they the device's memory.
            raise fault
        return record

    def _measured(self, device: Device, artifact: Artifact, spec: ArchSpec, policy: StopPolicy) -> LatencyRecord:
        began = device.now()
        with device.session(self.options.math):
            self._require_same(device.gpu())
            reference = self._reference(device)
            device.memory_mark()
            run = _run(device, spec, artifact.resolution, self.options)
            device.synchronize()
            load_ms = 1e3 * (device.now() - began)
            times = measure_on(device, run, reference, policy, self.options.runs)
            peak = device.memory_peak()
            versions = (*self.versions(), *device.versions())
            del run  # before the session ends, which gives its memory back
        self._require_cool(times)
        return self._record(artifact, policy, times, load_ms, peak, versions)

    def _require_same(self, gpu: Gpu) -> None:
        if len(self._gpus) > 1 and gpu.name != self._gpu.name:
            raise MeasureError(
                "unavailable",
                f"device {self.options.device} is `{gpu.name}` to CUDA and `{self._gpu.name}` to the driver's tool",
                "set `CUDA_DEVICE_ORDER=PCI_BUS_ID`, so that both count alike",
            )

    def _require_cool(self, times: GpuTimes) -> None:
        if hot := sorted(HOT & (times.before.slowdowns | times.after.slowdowns)):
            raise MeasureError(
                "hot",
                f"{self._gpu.name} held its clocks back ({', '.join(hot)}) while it was measured",
                "let it cool down, or see to its cooling, and measure again",
                retryable=True,
            )

    def _reference(self, device: Device) -> Run:
        """The reference network, loaded once per device and way of launching."""
        options = replace(self.options, batch=1, compile=False)
        known = _REFERENCES.setdefault(device, {})
        if options not in known:
            known[options] = _run(device, network(REFERENCE), DEFAULT_RESOLUTION, options)
        return known[options]

    def _record(
        self,
        artifact: Artifact,
        policy: StopPolicy,
        times: GpuTimes,
        load_ms: float,
        peak: int,
        versions: tuple[tuple[str, str], ...],
    ) -> LatencyRecord:
        o = self.options
        return LatencyRecord(
            **what_where_when(self.spec, artifact),
            value_ms=times.value_ms,
            low_ms=times.low_ms,
            high_ms=times.high_ms,
            level=policy.level,
            statistic="mean" if o.runs else "median",
            samples_ms=times.samples_ms,
            rounds=times.rounds,
            warm_up_n=times.warm_up_n,
            warm_up_s=round(times.warm_up_s, 3),
            load_ms=round(load_ms, 1),
            conditions=(
                ("device", self.machine()),
                ("images_per_s", f"{1e3 * o.batch / times.value_ms:.6g}"),
                ("launch", self.spec.compute_unit),
                ("layout", o.layout),
                ("precision", o.precision),
                ("tf32", _yes(o.tf32)),
                ("batch_norm_folded", _yes(o.fold)),
                ("compiled", _yes(o.compile)),
                ("cudnn", f"deterministic {_yes(o.math.deterministic)}, autotuned {_yes(o.math.autotune)}"),
                ("host_waits", "after every run" if o.runs else "after every round"),
                ("l2_cache", "not flushed between runs"),
                ("memory_peak_mb", f"{peak / 1e6:.1f}"),
                ("reference", REFERENCE),
                ("reference_ms", " then ".join(f"{ms:.4g}" for ms in times.reference_ms)),
                ("drift", f"{times.drift:.4f}"),
                *_readings("before", times.before),
                *_readings("after", times.after),
                ("other_processes", "unknown" if times.processes is None else str(max(0, times.processes - 1))),
            ),
            versions=versions,
            flags=_flags(times, policy, bool(o.runs)),
        )


_REFERENCES: WeakKeyDictionary[Device, dict[GpuOptions, Run]] = WeakKeyDictionary()


def _run(device: Device, spec: ArchSpec, resolution: int, options: GpuOptions) -> Run:
    loaded = device.load(prepared_network(spec, options), random_images(spec, resolution, options))
    run = inference(*loaded, options)
    return device.capture(run) if options.launch == "graph" else run


def _readings(when: str, state: GpuState) -> list[tuple[str, str]]:
    if state.missing:
        return [(f"readings_{when}", f"none: {state.missing}")]
    found = [(f"{name}_{when}", value) for name, value in state.readings]
    return [*found, (f"slowdowns_{when}", ", ".join(sorted(state.slowdowns)) or "none")]


def _flags(times: GpuTimes, policy: StopPolicy, fixed_runs: bool) -> tuple[str, ...]:
    flags = []
    half = (times.high_ms - times.low_ms) / 2 / times.value_ms
    if half > policy.precision and not fixed_runs:
        flags.append(f"imprecise: half the interval is {half:.1%} when the time was up")
    if held := sorted((times.before.slowdowns | times.after.slowdowns) - HOT):
        flags.append(f"clocks-held-back: {', '.join(held)}")
    if (times.processes or 0) > 1:
        flags.append(f"shared-gpu: {(times.processes or 0) - 1} other processes held memory of it")
    return tuple(flags)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _advice(options: GpuOptions) -> str:
    if options.compile:
        return "measure with `compile=no`"
    return "measure with `launch=eager`" if options.launch == "graph" else ""
