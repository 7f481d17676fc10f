"""Phones: latency predicted from the operations that Core ML receives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from mvsearch.costs import Resolution, lower
from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.neural_engine import fallback_risks
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, Capability, StopPolicy, TargetSpec

IPHONE12 = TargetSpec(
    name="iphone12",
    device="iPhone 12",
    soc="Apple A14",
    runtime="Core ML",
    precision="float16",
    compute_unit="all (Neural Engine preferred)",
    batch=1,
    protocol="xcode14-ios16-report",
)


@lru_cache(maxsize=8)
def shipped_model(name: str) -> LatencyModel:
    """The fit in `data/NAME.json`."""
    text = (files("mvsearch.targets.predictor") / "data" / f"{name}.json").read_text(encoding="utf-8")
    return LatencyModel.from_json(json.loads(text))


class PhoneTarget:
    """A phone that is predicted by a shipped fit.

    Args:
        spec: the phone; `data/NAME.json` holds its fit.
    """

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec

    @property
    def name(self) -> str:
        """As in `--target`."""
        return self.spec.name

    @property
    def resource(self) -> str:
        """See `Target.resource`."""
        return self.spec.name

    def describe(self) -> str:
        """One line for lists and reports."""
        s = self.spec
        return f"{s.device} ({s.soc}), {s.runtime} {s.precision}, batch {s.batch}: predicted for {self.model.protocol}"

    def capability(self) -> Capability:
        """Prediction only: this version drives no phone."""
        return Capability(
            "predict only",
            f"no {self.spec.device} can be driven from here, so latency is predicted from the network's operations "
            f"({self.model.basis})",
            "to measure, open an exported `.mlpackage` in Xcode on a Mac with the phone attached, "
            "and run its performance report",
        )

    @property
    def model(self) -> LatencyModel:
        """The fit behind `predict`."""
        return shipped_model(self.spec.name)

    def predict(self, spec: ArchSpec, resolution: Resolution) -> Measurement:
        """Predicted latency in ms, with flags for operations that may leave the Neural Engine."""
        parts = lower(spec, resolution)
        return self.model.predict(parts, target=self.name, flags=fallback_risks(spec, parts))

    def prepare(self, spec: ArchSpec, resolution: int, folder: Path, seed: int = 0) -> Artifact:
        """Convert to Core ML; see `Target.prepare`."""
        from mvsearch.models import build
        from mvsearch.targets.coreml.convert import convert

        path = folder / f"{spec.arch_id}.mlpackage"
        program = convert(build(spec, seed=seed).eval(), resolution, path, channels=spec.in_channels)
        made_by = "-".join(f"{name}{version}" for name, version in program.versions)
        return Artifact(f"{spec.arch_id}@{resolution}/{program.deployment_target}-{program.precision}/{made_by}",
                        resolution, spec, path)  # fmt: skip

    def measure(self, artifact: Artifact, policy: StopPolicy | None = None) -> LatencyRecord:
        """Refused: there is no phone.

        Raises:
            MeasureError: always, with what to do.
        """
        raise MeasureError(
            "unavailable", f"`{self.name}` cannot be measured here: no phone can be driven", self.capability().fix
        )


def phone_target(name: str, options: Mapping[str, str]) -> PhoneTarget:
    """The phone of this name.

    Raises:
        TargetError: an unknown option.
    """
    for key in options:
        raise TargetError(f"`{name}` has no option `{key}`", "it has none")
    return PhoneTarget(IPHONE12)
