"""A Mac with phones attached, played for tests: answers to xcodebuild, coremlcompiler and devicectl.

The layouts of the answers are those of devicectl's JSON as others have recorded it (versions 2 and 5 of its
format); the fault texts are Apple's. No phone was here to record from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from mvsearch.targets.coreml.devicectl import DeviceControl
from mvsearch.targets.coreml.shell import Done, timed_out

TEAM = "A1B2C3D4E5"
OPTIONS = set(re.findall(r'case "(\w+)":', (files("mvsearch.targets.coreml") / "swift/Sources/Options.swift").read_text()))
"""What the runner's source says that it takes."""

LOCKED = (
    10002,
    "The application failed to launch.",
    'The request was denied by service delegate (SBMainWorkspace) for reason: Locked ("Unable to launch org.mvsearch.runner '
    'because the device was not, or could not be, unlocked").',
)
NOT_FOUND = (1000, "The specified device was not found. (Name: 00008101-0001)", "")
LOST = (4, "The tunnel connection failed while the system tried to connect to the device.", "")
UNTRUSTED = (
    10002,
    "The application failed to launch.",
    "Unable to launch org.mvsearch.runner because it has an invalid code signature, inadequate entitlements or its profile "
    "has not been explicitly trusted by the user.",
)
NO_APP = (7000, "The specified file service domain could not be accessed.", "")


@dataclass
class SimulatedPhone:
    """One phone, and how it behaves."""

    product: str = "iPhone13,2"
    model: str = "iPhone 12"
    udid: str = "00008101-0001"
    os: str = "17.6.1"
    build: str = "21G93"
    attached: bool = True
    paired: bool = True
    developer_mode: bool = True
    locked: bool = False
    reality: str = "physical"
    version: int = 2
    """Of devicectl's format: 2 up to Xcode 26, 5 from Xcode 27 on."""
    latency_ms: Callable[[int, int], float] = lambda round_, run: 5.0 + 0.01 * (run % 7)
    thermal: Callable[[int], str] = lambda state: "nominal"
    low_power: bool = False
    fault: tuple[str, str] | None = None
    """(kind, message) that the runner reports instead of times."""
    printed: str | None = None
    """What the runner prints instead of a report."""
    answers_as: str = ""
    """Another model than it is listed as."""
    installed: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def identifier(self) -> str:
        return f"ID-{self.udid}"

    def listed(self) -> dict[str, Any]:
        connection = {"pairingState": "paired" if self.paired else "unpaired", "transportType": "wired"}
        hardware = {"productType": self.product, "marketingName": self.model, "udid": self.udid, "platform": "iOS",
                    "deviceType": "iPhone", "reality": self.reality}  # fmt: skip
        mode = "enabled" if self.developer_mode else "disabled"
        if not self.attached:
            del connection["transportType"]
        if self.version >= 5:
            return {
                "identifier": self.identifier,
                "properties": {
                    "connection": {**connection, "state": "connected" if self.attached else "unavailable"},
                    "hardware": hardware,
                    "software": {"osVersionNumber": {"stringValue": self.os}},
                    "state": {"name": "a phone", "developerModeStatus": {mode: {"mode": 1}}},
                },
            }
        return {
            "identifier": self.identifier,
            "connectionProperties": {**connection, "tunnelState": "disconnected" if self.attached else "unavailable"},
            "deviceProperties": {"name": "a phone", "osVersionNumber": self.os, "osBuildUpdate": self.build,
                                 "developerModeStatus": mode},
            "hardwareProperties": hardware,
        }  # fmt: skip

    def run(self, options: dict[str, str]) -> str:
        """What the runner prints."""
        if self.printed is not None:
            return self.printed
        if self.fault:
            return envelope({"schema": 1, "fault": {"kind": self.fault[0], "message": self.fault[1]}})
        rounds = [
            {
                "ns": [int(1e6 * self.latency_ms(r, i)) for i in range(int(options["runs"]))],
                "thermal_before": self.thermal(2 * r),
                "thermal_after": self.thermal(2 * r + 1),
            }
            for r in range(int(options["rounds"]))
        ]
        return envelope({"schema": 1, "report": {
            "device": self.answers_as or self.product, "os": self.os, "os_build": self.build, "units": options["units"],
            "low_power": self.low_power, "load_ns": 812_000_000, "waited_ns": 0, "warm_up_runs": 100,
            "warm_up_ns": 512_000_000, "rounds": rounds, "plan_error": "",
            "inputs": [{"name": "image", "type": "float16", "shape": [1, 3, 64, 64]}],
            "outputs": [{"name": "logits", "type": "float16", "shape": [1, 1000]}],
            "plan": {"operations": {"ios16.conv on ane": 40, "ios16.resize_bilinear on cpu": 6},
                     "cost": {"ane": 0.8, "cpu": 0.2}},
        }})  # fmt: skip


def envelope(message: dict[str, Any]) -> str:
    """A message as the runner prints it, with a line of the system's before it."""
    text = json.dumps(message)
    return f"Launched application.\n\nmvsearch-runner-begin 1 {len(text)}\r\n{text}\r\nmvsearch-runner-end\r\n"


class SimulatedMac:
    """A `Shell` that plays Apple's tools.

    Args:
        phones: that this Mac knows.
        xcode: whether Xcode is set up.
        build_error: what xcodebuild prints when it fails.
        before: called with the words of every command before it is answered: the place for accidents.
        hangs: the command that holds these words never ends.
    """

    def __init__(
        self,
        *phones: SimulatedPhone,
        xcode: bool = True,
        build_error: str = "",
        before: Callable[[str], tuple[int, str, str] | None] = lambda words: None,
        hangs: str = "",
    ) -> None:
        self.phones = list(phones)
        self.xcode = xcode
        self.build_error = build_error
        self.before = before
        self.commands: list[list[str]] = []
        self.hangs = hangs
        self.limits: list[float] = []
        self.now = 0.0
        """Seconds that its commands have taken."""

    @property
    def control(self) -> DeviceControl:
        return DeviceControl(self)

    def count(self, words: str) -> int:
        """Commands that hold these words."""
        return sum(words in " ".join(c) for c in self.commands)

    def __call__(self, command: Sequence[str], timeout_s: float, folder: Path | None = None) -> Done:
        words = [str(w) for w in command]
        self.commands.append(words)
        self.limits.append(timeout_s)
        assert timeout_s > 0
        fault = self.before(" ".join(words))
        if self.hangs and self.hangs in " ".join(words):
            self.now += timeout_s
            raise timed_out(words, timeout_s)
        self.now += 1
        if words[0] == "xcodebuild":
            return self._xcodebuild(words)
        if words[:3] == ["xcrun", "--find", "devicectl"]:
            return Done(0, "/Applications/Xcode.app/Contents/Developer/usr/bin/devicectl\n")
        if words[:3] == ["xcrun", "coremlcompiler", "compile"]:
            return self._compile(Path(words[3]), Path(words[4]))
        assert words[:2] == ["xcrun", "devicectl"], words
        if fault:
            return self._fails(words, fault)
        return self._devicectl(words)

    def _xcodebuild(self, words: list[str]) -> Done:
        if not self.xcode:
            return Done(1, "", "xcode-select: error: tool 'xcodebuild' requires Xcode, but active developer directory "
                               "'/Library/Developer/CommandLineTools' is a command line tools instance")  # fmt: skip
        if words[1] == "-version":
            return Done(0, "Xcode 16.2\nBuild version 16C5032a\n")
        if self.build_error:
            return Done(65, self.build_error)
        project = Path(words[words.index("-project") + 1])
        assert (project / "project.pbxproj").is_file()
        derived = Path(words[words.index("-derivedDataPath") + 1])
        (derived / "Build/Products/Release-iphoneos/MvsearchRunner.app").mkdir(parents=True)
        return Done(0, "** BUILD SUCCEEDED **")

    def _compile(self, package: Path, folder: Path) -> Done:
        if not (package / "Manifest.json").is_file() or "refused" in package.name:
            return Done(1, "", f"coremlc: error: Error reading protobuf spec. {package.name}")
        (folder / f"{package.stem}.mlmodelc").mkdir()
        (folder / f"{package.stem}.mlmodelc" / "coremldata.bin").write_text(package.name)
        return Done(0, str(folder))

    def _devicectl(self, words: list[str]) -> Done:
        verb = words[2:]
        if verb[:2] == ["list", "devices"]:
            return self._says(words, {"devices": [p.listed() for p in self.phones]})
        chosen = words[words.index("--device") + 1]
        phone = next((p for p in self.phones if p.identifier == chosen and p.attached), None)
        if phone is None:
            return self._fails(words, NOT_FOUND)
        if verb[:3] == ["device", "info", "lockState"]:
            return self._says(words, {"passcodeRequired": phone.locked, "unlockedSinceBoot": True})
        if verb[:3] == ["device", "install", "app"]:
            build = next(c for c in self.commands if "-derivedDataPath" in c)
            phone.installed.add(next(w for w in build if w.startswith("PRODUCT_BUNDLE_IDENTIFIER=")).partition("=")[2])
            return self._says(words, {"installedApplications": []})
        if verb[:3] == ["device", "copy", "to"]:
            if words[words.index("--domain-identifier") + 1] not in phone.installed:
                return self._fails(words, NO_APP)
            source = Path(words[words.index("--source") + 1])
            assert source.suffix == ".mlmodelc" and source.is_dir()
            phone.files[words[words.index("--destination") + 1]] = (source / "coremldata.bin").read_text()
            return self._says(words, {"source": str(source)})
        if verb[:3] == ["device", "process", "launch"]:
            return self._launch(words, phone)
        raise AssertionError(f"devicectl has no `{' '.join(verb)}`")

    def _launch(self, words: list[str], phone: SimulatedPhone) -> Done:
        bundle = next(i for i, w in enumerate(words) if w.startswith("org.mvsearch"))
        if phone.locked:
            return self._fails(words, LOCKED)
        assert words[bundle] in phone.installed
        options = dict(w.split("=", 1) for w in words[bundle + 1 :])
        assert set(options) <= OPTIONS
        assert options["model"] in phone.files
        printed = phone.run(options)
        if options.get("delete") == "yes":
            del phone.files[options["model"]]
        return self._says(words, {"process": {"processIdentifier": 712}}, printed)

    def _says(self, words: list[str], result: dict[str, Any], printed: str = "") -> Done:
        file = Path(words[words.index("--json-output") + 1])
        file.write_text(json.dumps({"info": {"jsonVersion": 2, "outcome": "success"}, "result": result}))
        return Done(0, printed)

    def _fails(self, words: list[str], fault: tuple[int, str, str]) -> Done:
        code, text, beneath = fault
        info: dict[str, Any] = {
            "NSLocalizedDescription": {"string": text},
            "NSLocalizedRecoverySuggestion": {"string": "Make sure that the device is unlocked and try again."},
        }
        if beneath:
            info["NSUnderlyingError"] = {"error": {
                "code": 1, "domain": "FBSOpenApplicationServiceErrorDomain",
                "userInfo": {"NSLocalizedFailureReason": {"string": beneath}},
            }}  # fmt: skip
        error = {"code": code, "domain": "com.apple.dt.CoreDeviceError", "userInfo": info}
        file = Path(words[words.index("--json-output") + 1])
        file.write_text(json.dumps({"error": error, "info": {"jsonVersion": 2, "outcome": "failed"}}))
        return Done(1, "", f"ERROR: {text} (com.apple.dt.CoreDeviceError error {code})")


def write_package(
    path: Path, metadata: dict[str, str] | None = None, shape: tuple[int, ...] = (1, 3, 64, 64), ids: str = "1"
) -> Path:
    """A package with a model description and nothing in it to run; an empty shape makes its input an image."""
    kind = _message((5, _message((1, b"".join(map(_varint, shape))), (2, 65552)))) if shape else _message((4, b""))
    user = [(100, _message((1, k.encode()), (2, v.encode()))) for k, v in (metadata or {}).items()]
    description = _message((1, _message((1, b"image"), (3, kind))), (100, _message((1, b"a network"), *user)))
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.parent.mkdir(parents=True)
    model.write_bytes(_message((1, 7), (2, description), (502, b"\x0a\x00")))
    item = {"author": "com.apple.CoreML", "name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {ids: item}, "rootModelIdentifier": ids}
    (path / "Manifest.json").write_text(json.dumps(manifest))
    return path


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(_parts(fields))


def _parts(fields: Sequence[tuple[int, int | bytes]]) -> Iterator[bytes]:
    for number, value in fields:
        if isinstance(value, int):
            yield _varint(number << 3) + _varint(value)
        else:
            yield _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
