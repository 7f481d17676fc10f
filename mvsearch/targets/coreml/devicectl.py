"""`xcrun devicectl`: Apple's own control of an attached phone (Xcode 15 or newer, iOS 17 or newer).

Every call writes its answer as JSON into a file, has a time limit, and fails with a `MeasureError` that says
what to do. Both layouts of the device list are read: `hardwareProperties` and its sisters (up to Xcode 26), and
`properties` (Xcode 27), which lists simulators too.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvsearch.errors import MeasureError, MeasureFault
from mvsearch.targets.coreml.shell import Done, Shell, run_command

LIST_S, ASK_S, INSTALL_S, COPY_S = 30.0, 20.0, 180.0, 300.0
"""Time limits in seconds."""


@dataclass(frozen=True, slots=True)
class KnownPhone:
    """A phone that the Mac knows.

    Attributes:
        identifier: CoreDevice's own id of it.
        udid: Apple's id of it.
        name: given by its owner.
        product: model identifier, e.g. `iPhone13,2`.
        model: what it is sold as, e.g. `iPhone 12`.
        os, os_build: of the system.
        attached: whether it can be reached now, by cable or network.
        paired: whether it trusts this Mac.
        developer_mode: whether Developer Mode is on; None if it does not say.
    """

    identifier: str
    udid: str
    name: str
    product: str
    model: str
    os: str
    os_build: str
    attached: bool
    paired: bool
    developer_mode: bool | None

    @property
    def udid_hash(self) -> str:
        """Tells phones apart in records, without their ids."""
        return hashlib.sha256(self.udid.encode()).hexdigest()[:12]


class DeviceControl:
    """Drives attached phones.

    Args:
        shell: runs programs.
    """

    def __init__(self, shell: Shell = run_command) -> None:
        self.shell = shell

    def phones(self) -> tuple[KnownPhone, ...]:
        """Every physical phone that this Mac knows, attached or not.

        Raises:
            MeasureError: devicectl is missing or fails.
        """
        answer = self._call(["list", "devices"], LIST_S)
        devices = answer.get("devices")
        if not isinstance(devices, list):
            raise MeasureError("tool", "`devicectl list devices` answered without a list of devices", "update Xcode")
        return tuple(p for p in (_phone(d) for d in devices if isinstance(d, dict)) if p is not None)

    def is_locked(self, phone: KnownPhone) -> bool | None:
        """Whether its screen is locked; None if it does not say."""
        try:
            answer = self._call(["device", "info", "lockState", "--device", phone.identifier], ASK_S)
        except MeasureError as error:
            return True if error.kind == "locked" else None
        state = answer.get("passcodeRequired")
        return state if isinstance(state, bool) else None

    def install(self, phone: KnownPhone, app: Path) -> None:
        """Install an app, or replace it; its files on the phone stay.

        Raises:
            MeasureError: the phone is gone or locked, or refuses the app.
        """
        self._call(["device", "install", "app", "--device", phone.identifier, str(app)], INSTALL_S)

    def copy_to(self, phone: KnownPhone, bundle: str, source: Path, destination: str) -> None:
        """Copy a folder's files into a folder of an app's container.

        Args:
            phone: where to.
            bundle: identifier of the app.
            source: a folder.
            destination: a path inside the container, made if absent.

        Raises:
            MeasureError: the phone is gone or locked, or the app is not there.
        """
        self._call(
            ["device", "copy", "to", "--device", phone.identifier, "--domain-type", "appDataContainer",
             "--domain-identifier", bundle, "--source", str(source), "--destination", destination],
            COPY_S,
        )  # fmt: skip

    def launch(
        self, phone: KnownPhone, bundle: str, arguments: Sequence[str], timeout_s: float
    ) -> tuple[str, MeasureError | None]:
        """Start an app, wait for its end, and return what it printed with the fault, if devicectl names one.

        Args:
            phone: where.
            bundle: identifier of the app; an instance that still runs is ended.
            arguments: none may begin with a dash.
            timeout_s: after which devicectl is killed.

        Raises:
            MeasureError: `timeout`.
        """
        command = ["device", "process", "launch", "--device", phone.identifier, "--terminate-existing", "--console"]
        done, answer = self._run(command, timeout_s, [bundle, *arguments])
        failed = done.status != 0 or "error" in answer
        return done.out, _fault("device process launch", done, answer) if failed else None

    def _call(self, command: Sequence[str], timeout_s: float) -> Mapping[str, Any]:
        done, answer = self._run(command, timeout_s)
        result = answer.get("result")
        if done.status != 0 or "error" in answer or not isinstance(result, dict):
            raise _fault(" ".join(command[:3]), done, answer)
        return result

    def _run(self, command: Sequence[str], timeout_s: float, last: Sequence[str] = ()) -> tuple[Done, dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            file = Path(folder) / "answer.json"
            # Options before what is passed on to an app, so that devicectl keeps its own.
            done = self.shell(["xcrun", "devicectl", *command, "--json-output", str(file), *last], timeout_s)
            try:
                answer = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                answer = {}
        return done, answer if isinstance(answer, dict) else {}


_TRUST = "on the phone, unlock it, tap Trust, and see Settings > General > VPN & Device Management"
# In order: what an error's text says, what kind it is, what to do, whether it may pass.
_FAULTS: tuple[tuple[str, MeasureFault, str, bool], ...] = (
    (r"unable to find utility|requires xcode|no developer tools|not a developer tool", "tool",
     "install Xcode 15 or newer, and `sudo xcode-select -s /Applications/Xcode.app`", False),
    (r"developer mode", "tool", "on the phone, Settings > Privacy & Security > Developer Mode", False),
    (r"\block(ed)?\b|unlocked|passcode", "locked", "unlock the phone and keep it unlocked (Auto-Lock: Never)", True),
    (r"explicitly trusted|invalid code signature|not paired|must be paired", "tool", _TRUST, False),
    (r"developer disk image|\bddi\b", "tool",
     "unlock the phone, then `xcrun devicectl device info ddiServices --device UDID`", True),
    (r"was not found|no device|disconnect|not connected|connection (was|has been) |tunnel|unreachable|no longer",
     "unplugged", "plug the phone in with a cable, unlock it, and measure again", True),
    (r"timed out|timeout", "timeout", "unlock the phone and plug it in again", True),
)  # fmt: skip


def _fault(what: str, done: Done, answer: Mapping[str, Any]) -> MeasureError:
    texts = _texts(answer.get("error"), _SAYS)
    lines = [line for line in done.output.splitlines() if line.strip()]
    message = f"`devicectl {what}` failed: {(texts or lines or [f'exit status {done.status}'])[0].strip()}"
    known = fault_of(" ".join(texts) or " ".join(lines), message)
    # Apple's suggestion names no fault: to unlock the phone goes with many of them.
    suggested = " ".join(_texts(answer.get("error"), _SUGGESTS))
    return known or MeasureError("tool", message, suggested or "run `xcrun devicectl list devices`, and see what Xcode says")


def fault_of(said: str, message: str) -> MeasureError | None:
    """The fault that a text of Apple's tools tells of, with our message; None if it is not known."""
    for pattern, kind, hint, retryable in _FAULTS:
        if re.search(pattern, said, re.IGNORECASE):
            return MeasureError(kind, message, hint, retryable=retryable)
    return None


_SAYS = ("NSLocalizedDescription", "NSLocalizedFailureReason", "BSErrorCodeDescription")
_SUGGESTS = ("NSLocalizedRecoverySuggestion",)


def _texts(error: Any, keys: Sequence[str]) -> list[str]:
    """What an error says under these keys, then what the errors beneath it say."""
    if not isinstance(error, dict):
        return []
    info = error.get("userInfo")
    info = info if isinstance(info, dict) else {}
    found = [_text(info.get(key)) for key in keys]
    beneath = info.get("NSUnderlyingError")
    return [t for t in found if t] + _texts(beneath.get("error") if isinstance(beneath, dict) else None, keys)


def _text(value: Any) -> str:
    """A text, which devicectl wraps by its type."""
    if isinstance(value, dict):
        value = value.get("string", value.get("stringValue", ""))
    return value if isinstance(value, str) else ""


def _phone(device: Mapping[str, Any]) -> KnownPhone | None:
    new = _part(device, "properties")
    hardware = {**_part(device, "hardwareProperties"), **_part(new, "hardware")}
    connection = {**_part(device, "connectionProperties"), **_part(new, "connection")}
    state = {**_part(device, "deviceProperties"), **_part(new, "software"), **_part(new, "state")}
    product, udid = _text(hardware.get("productType")), _text(hardware.get("udid"))
    if not product.startswith("iPhone") or not udid or hardware.get("reality", "physical") != "physical":
        return None
    link = _text(connection.get("state")) or _text(connection.get("tunnelState"))
    mode = state.get("developerModeStatus")
    # A string up to Xcode 26; {"enabled": {...}} from Xcode 27 on.
    mode = next(iter(mode), "") if isinstance(mode, dict) else mode
    return KnownPhone(
        identifier=_text(device.get("identifier")) or udid,
        udid=udid,
        name=_text(state.get("name")),
        product=product,
        model=_text(hardware.get("marketingName")) or product,
        os=_text(state.get("osVersionNumber")),
        os_build=_text(state.get("osBuildUpdate")),
        # An idle tunnel is `disconnected` and opens on demand; a phone that is away is `unavailable`, and has no transport.
        attached=link != "unavailable" and bool(connection.get("transportType")),
        paired=connection.get("pairingState") == "paired",
        developer_mode=None if mode not in ("enabled", "disabled") else mode == "enabled",
    )


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = data.get(key)
    return part if isinstance(part, dict) else {}
