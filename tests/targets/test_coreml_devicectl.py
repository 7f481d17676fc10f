"""devicectl's answers, in both of its layouts, and what its faults mean."""

from __future__ import annotations

import sys

import pytest

from mvsearch.errors import MeasureError
from mvsearch.targets.coreml.devicectl import DeviceControl
from mvsearch.targets.coreml.shell import Done, run_command
from tests.targets.simulated_phone import LOCKED, LOST, NO_APP, NOT_FOUND, UNTRUSTED, SimulatedMac, SimulatedPhone


@pytest.mark.parametrize("version", [2, 5])
def test_a_phone_is_read_from_either_layout(version) -> None:
    (phone,) = SimulatedMac(SimulatedPhone(version=version)).control.phones()
    assert (phone.product, phone.model, phone.udid, phone.os) == ("iPhone13,2", "iPhone 12", "00008101-0001", "17.6.1")
    assert (phone.attached, phone.paired, phone.developer_mode) == (True, True, True)
    assert phone.udid not in phone.udid_hash


@pytest.mark.parametrize("version", [2, 5])
def test_states_are_read_from_either_layout(version) -> None:
    away = SimulatedPhone(version=version, attached=False, paired=False, developer_mode=False)
    (phone,) = SimulatedMac(away).control.phones()
    assert (phone.attached, phone.paired, phone.developer_mode) == (False, False, False)


def test_simulators_tablets_and_what_has_no_id_are_no_phones() -> None:
    mac = SimulatedMac(SimulatedPhone(reality="simulated"), SimulatedPhone(product="iPad8,1"), SimulatedPhone(udid=""))
    assert mac.control.phones() == ()


@pytest.mark.parametrize(
    ("said", "kind", "retryable", "hint"),
    [
        (LOCKED, "locked", True, "unlock the phone"),
        (NOT_FOUND, "unplugged", True, "plug the phone in"),
        (LOST, "unplugged", True, "plug the phone in"),
        (UNTRUSTED, "tool", False, "VPN & Device Management"),
        (NO_APP, "tool", False, "Make sure that the device is unlocked"),
        ((12, "The developer disk image could not be mounted on this device.", ""), "tool", True, "ddiServices"),
        ((9, "Developer Mode is disabled.", ""), "tool", False, "Privacy & Security"),
    ],
)
def test_faults_are_told_apart(said, kind, retryable, hint) -> None:
    mac = SimulatedMac(SimulatedPhone(), before=lambda words: said if "copy to" in words else None)
    (phone,) = mac.control.phones()
    with pytest.raises(MeasureError) as error:
        mac.control.copy_to(phone, "org.mvsearch.runner.x", phone, "Documents/x")  # type: ignore[arg-type]
    assert (error.value.kind, error.value.retryable) == (kind, retryable)
    assert hint in error.value.hint
    assert error.value.message.startswith("`devicectl device copy to` failed: ") and said[1] in error.value.message


def test_an_answer_without_json_is_judged_by_what_was_printed() -> None:
    def shell(command, timeout_s, folder=None):
        return Done(72, "", 'xcrun: error: unable to find utility "devicectl", not a developer tool or in PATH')

    with pytest.raises(MeasureError, match="unable to find utility") as error:
        DeviceControl(shell).phones()
    assert error.value.kind == "tool" and "xcode-select" in error.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"result": {}}', '{"result": {"devices": {}}}', "not json"])
def test_garbage_is_an_error_of_the_tool(text) -> None:
    def shell(command, timeout_s, folder=None):
        from pathlib import Path

        Path(command[command.index("--json-output") + 1]).write_text(text)
        return Done(0)

    with pytest.raises(MeasureError) as error:
        DeviceControl(shell).phones()
    assert error.value.kind == "tool"


def test_the_lock_state_may_be_unknown() -> None:
    mac = SimulatedMac(SimulatedPhone(), before=lambda words: NOT_FOUND if "lockState" in words else None)
    assert mac.control.is_locked(mac.control.phones()[0]) is None
    for locked in (True, False):
        mac = SimulatedMac(SimulatedPhone(locked=locked))
        assert mac.control.is_locked(mac.control.phones()[0]) is locked


def test_the_real_shell_keeps_its_limit_and_names_what_is_missing() -> None:
    done = run_command([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"], 60)
    assert (done.status, done.out, done.err) == (3, "out\n", "err\n")
    with pytest.raises(MeasureError, match=r"did not end within 0 s") as error:
        run_command([sys.executable, "-c", "import time; time.sleep(30)"], 0.3)
    assert (error.value.kind, error.value.retryable) == ("timeout", True)
    with pytest.raises(MeasureError, match="`no-such-program` cannot be run") as error:
        run_command(["no-such-program"], 5)
    assert error.value.kind == "tool"
