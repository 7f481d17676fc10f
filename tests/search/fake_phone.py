"""A phone without a phone: predicted as the iPhone 12 is, measured by arithmetic. Importable by workers."""

import json
import math
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mvsearch.errors import MeasureError
from mvsearch.search.final import VerifiedMember
from mvsearch.search.packages import pack
from mvsearch.spec.arch import to_json
from mvsearch.targets import Capability, LatencyRecord, get_target
from mvsearch.targets.coreml.package import artifact_of
from tests.targets.simulated_phone import write_package

IPHONE12 = get_target("iphone12")


@dataclass
class FakePhone:
    """Attributes:
    available: on this machine.
    factor: measured over predicted, but for a share of up to `noise` that depends on the network.
    faults: kind of the `MeasureError` by `arch_id`; `*` for every network.
    seconds: that a measurement takes.
    between: standard deviation, in logs, of a session's own factor, the same every time that the n-th of a network is taken.
    measured: networks in the order in which they were measured in this process.
    """

    available: bool = True
    factor: float = 1.0
    noise: float = 0.1
    faults: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    between: float = 0.0
    measured: list = field(default_factory=list)
    spec = replace(IPHONE12.spec, name="fakephone", device="a fake phone", protocol="arithmetic")
    name = resource = "fakephone"

    @property
    def latency_model(self):
        return IPHONE12.latency_model

    def describe(self):
        return "a fake phone"

    def capability(self):
        return Capability("available", "it is") if self.available else Capability("predict only", "it is not here", "bring it")

    def predict(self, spec, resolution):
        return replace(IPHONE12.predict(spec, resolution), target="fakephone")

    def prepare(self, spec, resolution, folder, seed=0):
        return artifact_of(package(folder / f"{spec.arch_id}.mlpackage", spec, resolution), spec)

    def truth(self, spec, resolution):
        """Measured latency in ms."""
        share = random.Random(spec.arch_id).uniform(1 - self.noise, 1 + self.noise)
        return self.predict(spec, resolution).value * self.factor * share

    def measure(self, artifact, policy=None):
        assert (artifact.path / "Manifest.json").is_file()
        time.sleep(self.seconds)
        kind = self.faults.get(artifact.spec.arch_id) or self.faults.get("*")
        if kind:
            raise MeasureError(kind, f"the fake phone is {kind}", "it is meant to be")
        session = self.measured.count(artifact.spec.arch_id)
        self.measured.append(artifact.spec.arch_id)
        factor = math.exp(random.Random(f"{artifact.spec.arch_id} {session}").gauss(0, self.between))
        return record(artifact, self.truth(artifact.spec, artifact.resolution) * factor)


def record(artifact, ms):
    return LatencyRecord(
        artifact.key, artifact.spec.arch_id, artifact.resolution, "fakephone", FakePhone.spec.key, "arithmetic", ms, ms * 0.99,
        ms * 1.01, 0.95, "median", (ms, ms, ms), conditions=(("device", "a fake phone"),), taken_at="2026-11-21T00:00:00Z",
    )  # fmt: skip


def package(path, spec, resolution):
    """A package that says what ours say, with nothing in it to run."""
    metadata = {
        "mvsearch.arch_id": spec.arch_id, "mvsearch.spec": json.dumps(to_json(spec)),
        "mvsearch.resolution": str(resolution), "mvsearch.precision": "float16",
    }  # fmt: skip
    return write_package(path, metadata)


def climb(task):
    """What `verify_member` does, without the work."""
    evaluation = replace(task.evaluation, rung="converted" if task.convert else "built")
    if not task.convert:
        return VerifiedMember(evaluation)
    with tempfile.TemporaryDirectory() as folder:
        path = package(Path(folder) / "a.mlpackage", evaluation.spec, evaluation.resolution)
        return VerifiedMember(evaluation, pack(path))
