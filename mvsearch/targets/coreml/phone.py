"""Phones: predicted from the operations that Core ML receives, measured where the right one is attached to this Mac."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from mvsearch.costs import Resolution, lower
from mvsearch.errors import MeasureError, MeasureFault, TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement
from mvsearch.targets.coreml.benchmarker import PROTOCOL as REMOTE_PROTOCOL
from mvsearch.targets.coreml.benchmarker import measure_remote
from mvsearch.targets.coreml.devicectl import DeviceControl, KnownPhone
from mvsearch.targets.coreml.options import RUNNERS, UNITS, read_options, target_name, unit_words
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.coreml.rounds import POLICY
from mvsearch.targets.coreml.runner import PROTOCOL as RUNNER_PROTOCOL
from mvsearch.targets.coreml.runner import SwiftRunner, record_of, xcode_version
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.neural_engine import fallback_risks
from mvsearch.targets.predictor.phones import get_phone
from mvsearch.targets.predictor.shipped import refusal, shipped_model
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec

TEAM_VARIABLE = "MVSEARCH_APPLE_TEAM"
"""Environment variable with the id of the Apple developer team that signs the runner."""
MODELS = {
    "iPhone13,1": "iPhone 12 mini",
    "iPhone13,2": "iPhone 12",
    "iPhone13,3": "iPhone 12 Pro",
    "iPhone13,4": "iPhone 12 Pro Max",
    "iPhone14,2": "iPhone 13 Pro",
    "iPhone14,3": "iPhone 13 Pro Max",
    "iPhone14,4": "iPhone 13 mini",
    "iPhone14,5": "iPhone 13",
    "iPhone14,7": "iPhone 14",
    "iPhone14,8": "iPhone 14 Plus",
    "iPhone15,2": "iPhone 14 Pro",
    "iPhone15,3": "iPhone 14 Pro Max",
}
"""Model identifiers, as devicectl's `productType` and the phone's own `hw.machine` give them. Source: the list of machine
ids at gist.github.com/adamawolf/3048717 (read November 2026)."""
SEEN_S = 10.0
"""How long an answer to `capability` holds."""


@dataclass(frozen=True)
class _Obstacle:
    """Why a phone cannot be measured now, and the next step."""

    kind: MeasureFault
    reason: str
    fix: str
    retryable: bool = False


class PhoneTarget:
    """A phone that is predicted by a shipped fit, and measured where it is attached.

    Args:
        name: of the phone, e.g. `iphone12`.
        options: `units`, `runner`, `udid`.
        control: drives attached phones.
        system: as `sys.platform` has it.
        clock: seconds, for the life of an answer to `capability`.

    Raises:
        TargetError: an unknown phone, option or value.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, str] | None = None,
        control: DeviceControl | None = None,
        system: str = sys.platform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.phone = get_phone(name)
        chosen = read_options(name, options or {}, {"units": UNITS, "runner": RUNNERS, "udid": ()})
        self.units, self.runner, self.udid = chosen["units"], chosen["runner"], chosen["udid"]
        self.control = control or DeviceControl()
        self.system = system
        self.clock = clock
        self._seen: tuple[float, KnownPhone | _Obstacle] | None = None
        self._swift: SwiftRunner | None = None
        self._calibration: LatencyModel | None = None
        asked = {
            "units": "" if self.units == UNITS[0] else self.units,
            "runner": "" if self.runner == RUNNERS[0] else self.runner,
            "udid": self.udid,
        }
        self.spec = TargetSpec(
            name=target_name(name, asked),
            device=self.phone.devices[0],
            soc=self.phone.soc,
            runtime="Core ML",
            precision="float16",
            compute_unit=unit_words(self.units),
            batch=1,
            protocol=RUNNER_PROTOCOL if self.runner == "swift" else REMOTE_PROTOCOL,
        )

    @property
    def name(self) -> str:
        """As in `--target`."""
        return self.spec.name

    @property
    def resource(self) -> str:
        """See `Target.resource`: the phone, whatever is asked of it."""
        return self.phone.name

    def describe(self) -> str:
        """One line for lists and reports."""
        s = self.spec
        how = f"predicted for {self.model.protocol}" if self._predicts else f"{s.compute_unit}, measured only"
        return f"{s.device} ({s.soc}), {s.runtime} {s.precision}, batch {s.batch}: {how}"

    @property
    def _predicts(self) -> bool:
        # Published latencies are all of all compute units.
        return self.units == UNITS[0] and not refusal(self.phone.name)

    def capability(self) -> Capability:
        """Available where a Mac sees the right phone, ready; an answer holds for some seconds."""
        if self._seen is None or self.clock() - self._seen[0] > SEEN_S:
            self._seen = (self.clock(), self._look())
        found = self._seen[1]
        if isinstance(found, KnownPhone):
            return Capability(
                "available", f"an {found.model} with iOS {found.os} is attached; measured by `{self.spec.protocol}`"
            )
        if not self._predicts:
            return Capability("unavailable", f"{found.reason}, and nothing is predicted: {self._why_not()}", found.fix)
        basis = f"latency is predicted from the network's operations ({self.model.basis})"
        return Capability("predict only", f"{found.reason}, so {basis}", found.fix)

    def _why_not(self) -> str:
        if self.units != UNITS[0]:
            return "published latencies are of all compute units"
        return f"the published latencies do not suffice ({refusal(self.phone.name)})"

    def _look(self) -> KnownPhone | _Obstacle:
        """The phone, or what stands in the way; nothing but Apple's tools is asked."""
        if self.system != "darwin":
            return _Obstacle(
                "unavailable", "no phone can be driven from here: that takes a Mac",
                f"bring the run folder to a Mac with Xcode and an {self.phone.devices[0]}, and measure it there",
            )  # fmt: skip
        try:
            xcode_version(self.control)
            phones = self.control.phones()
        except MeasureError as error:
            return _Obstacle(error.kind, error.message, error.hint, error.retryable)
        found = self._choose(phones)
        if isinstance(found, _Obstacle):
            return found
        if not found.paired:
            return _Obstacle("tool", f"the {found.model} does not trust this Mac", "unlock the phone and tap Trust")
        if found.developer_mode is False:
            return _Obstacle(
                "tool", f"Developer Mode is off on the {found.model}",
                "on the phone, Settings > Privacy & Security > Developer Mode",
            )  # fmt: skip
        if _older(found.os, 17):
            return _Obstacle("tool", f"the {found.model} has iOS {found.os}, and iOS 17 or newer is driven", "update it")
        if self.control.is_locked(found):
            return _Obstacle("locked", f"the {found.model} is locked", "unlock it and keep it so (Auto-Lock: Never)", True)
        if not re.fullmatch(r"[0-9A-Z]{10}", self._team()):
            state = "is not set" if not self._team() else f"is `{self._team()}`, and a team's id has ten letters and digits"
            return _Obstacle(
                "tool", f"the runner cannot be signed: `{TEAM_VARIABLE}` {state}",
                f"set `{TEAM_VARIABLE}` to your team's id (Xcode > Settings > Accounts; developer.apple.com > Membership)",
            )  # fmt: skip
        return found

    def _choose(self, phones: tuple[KnownPhone, ...]) -> KnownPhone | _Obstacle:
        wanted = self.phone.devices[0]
        attached = [p for p in phones if p.attached]
        right = [p for p in attached if MODELS.get(p.product) in self.phone.devices]
        if self.udid:
            right = [p for p in right if p.udid.lower() == self.udid.lower()]
        if len(right) == 1:
            return right[0]
        if right:
            ids = ", ".join(f"`{p.udid}` ({p.model})" for p in right)
            return _Obstacle(
                "tool",
                f"{len(right)} phones are attached that could be meant",
                f"name one as `{self.phone.name}@udid=...`: {ids}",
            )
        if attached:
            there = ", ".join(f"{p.model} (`{p.product}`{f', udid `{p.udid}`' if self.udid else ''})" for p in attached)
            asked = f"{wanted} with udid `{self.udid}`" if self.udid else wanted
            return _Obstacle("unplugged", f"no {asked} is attached, but {there}", f"attach {self._titles()}")
        return _Obstacle("unplugged", f"no {wanted} is attached", "plug it in with a cable, unlock it, and tap Trust")

    def _titles(self) -> str:
        return " or ".join(f"an {d}" for d in self.phone.devices)

    @staticmethod
    def _team() -> str:
        return os.environ.get(TEAM_VARIABLE, "").strip()

    @property
    def model(self) -> LatencyModel:
        """The fit behind `predict`."""
        return self._calibration or shipped_model(self.phone.name)

    @property
    def latency_model(self) -> LatencyModel | None:
        """See `Target.latency_model`."""
        return self.model if self._predicts else None

    def calibrated(self, model: LatencyModel) -> PhoneTarget:
        """The same phone, predicted by a fit to the user's own measurements."""
        target = copy(self)
        target._calibration = model
        return target

    def predict(self, spec: ArchSpec, resolution: Resolution) -> Measurement:
        """Predicted latency in ms, with flags for operations that may leave the Neural Engine.

        Raises:
            TargetError: the latencies that were published do not suffice.
        """
        if self.units != UNITS[0]:
            raise TargetError(
                f"`{self.name}` has no predictor: {self._why_not()}",
                f"`{self.phone.name}` predicts; with `units` it only measures",
            )
        parts = lower(spec, resolution)
        return self.model.predict(parts, target=self.name, flags=fallback_risks(spec, parts, self.phone.name))

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Convert to Core ML; see `Target.prepare`."""
        from mvsearch.models import build
        from mvsearch.targets.coreml.convert import convert

        path = folder / f"{spec.arch_id}.mlpackage"
        convert(build(spec, seed=seed).eval(), resolution, path, channels=spec.in_channels)
        return artifact_of(path, spec)

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Measure a package on the attached phone; see `runner` and `benchmarker` for the protocols.

        Raises:
            MeasureError: the phone is not ready or not believed, or refuses the network.
        """
        found = self._look()
        self._seen = (self.clock(), found)
        if isinstance(found, _Obstacle):
            raise MeasureError(
                found.kind, f"`{self.name}` cannot be measured: {found.reason}", found.fix, retryable=found.retryable
            )
        if artifact.path is None:
            raise MeasureError("load", f"`{artifact.key}` has no package on disk", "`prepare` makes one")
        policy = policy or POLICY
        if self.runner == "coremltools":
            return measure_remote(found, artifact, self.spec, self.units, self._team(), self.control, policy)
        if self._swift is None or self._swift.team != self._team():
            self._swift = SwiftRunner(self.control, self._team())
        report = self._swift.measure(found, artifact.path, self.units, policy)
        return record_of(report, artifact, self.spec, found, policy)


def _older(version: str, major: int) -> bool:
    number = re.match(r"\d+", version)
    return bool(number) and int(number[0]) < major  # type: ignore[index]


def phone_target(name: str, options: Mapping[str, str]) -> PhoneTarget:
    """The phone of this name.

    Raises:
        TargetError: an unknown phone, option or value.
    """
    return PhoneTarget(name, options)
