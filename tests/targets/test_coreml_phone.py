"""What can be done with a phone here: found out cheaply, said with the next step."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.published import network
from mvsearch.targets import Artifact
from mvsearch.targets.coreml.phone import MODELS, SEEN_S, TEAM_VARIABLE, PhoneTarget, phone_target
from mvsearch.targets.predictor.phones import PHONES
from mvsearch.targets.predictor.shipped import refusal
from tests.targets.simulated_phone import NOT_FOUND, TEAM, SimulatedMac, SimulatedPhone

IPHONE13 = SimulatedPhone("iPhone14,5", "iPhone 13", "00008110-0002")
PRO = SimulatedPhone("iPhone13,3", "iPhone 12 Pro", "00008101-0003")


@pytest.fixture(autouse=True)
def team(monkeypatch) -> None:
    monkeypatch.setenv(TEAM_VARIABLE, TEAM)


def target(mac: SimulatedMac, name: str = "iphone12", **options: str) -> PhoneTarget:
    return PhoneTarget(name, options, mac.control, "darwin")


def test_the_right_phone_is_available() -> None:
    capability = target(SimulatedMac(SimulatedPhone())).capability()
    assert (capability.status, capability.fix) == ("available", "")
    assert "iPhone 12 with iOS 17.6.1" in capability.reason and "mvsearch-runner-1" in capability.reason
    assert target(SimulatedMac(PRO)).capability().status == "available", "its chip is the same"
    assert target(SimulatedMac(IPHONE13, SimulatedPhone())).capability().status == "available"
    assert target(SimulatedMac(IPHONE13, SimulatedPhone(attached=False)), "iphone13").capability().status == "available"


@pytest.mark.parametrize(
    ("mac", "reason", "fix"),
    [
        (SimulatedMac(), "no iPhone 12 is attached", "plug it in with a cable"),
        (SimulatedMac(SimulatedPhone(attached=False)), "no iPhone 12 is attached", "plug it in with a cable"),
        (SimulatedMac(IPHONE13), "but iPhone 13 (`iPhone14,5`)", "an iPhone 12 or an iPhone 12 Pro"),
        (SimulatedMac(SimulatedPhone("iPhone13,1", "iPhone 12 mini")), "but iPhone 12 mini", "an iPhone 12"),
        (SimulatedMac(SimulatedPhone(), PRO), "2 phones are attached", "`iphone12@udid=...`: `00008101-0001` (iPhone 12)"),
        (SimulatedMac(SimulatedPhone(paired=False)), "does not trust this Mac", "tap Trust"),
        (SimulatedMac(SimulatedPhone(developer_mode=False)), "Developer Mode is off", "Privacy & Security"),
        (SimulatedMac(SimulatedPhone(os="16.7.1")), "has iOS 16.7.1, and iOS 17 or newer", "update"),
        (SimulatedMac(SimulatedPhone(locked=True)), "is locked", "unlock it"),
        (SimulatedMac(SimulatedPhone(), xcode=False), "Xcode is not set up", "xcode-select"),
        (SimulatedMac(SimulatedPhone(), hangs="list devices"), "did not end within 30 s", "plug it in again"),
        (SimulatedMac(before=lambda words: NOT_FOUND if "list" in words else None), "was not found", "plug the phone in"),
    ],
)
def test_what_stands_in_the_way_is_named_with_the_next_step(mac, reason, fix) -> None:
    phone = target(mac)
    capability = phone.capability()
    assert capability.status == "predict only"
    assert reason in capability.reason and fix in capability.fix
    assert "latency is predicted" in capability.reason
    with pytest.raises(MeasureError) as error:
        phone.measure(Artifact("a", 256))
    assert reason in error.value.message and fix in error.value.hint
    assert mac.count("process launch") == 0


@pytest.mark.parametrize(
    ("value", "state"), [("", "is not set"), ("My Team", "is `My Team`"), ("a1b2c3d4e5", "is `a1b2c3d4e5`")]
)
def test_a_team_is_needed(monkeypatch, value, state) -> None:
    monkeypatch.setenv(TEAM_VARIABLE, value)
    capability = target(SimulatedMac(SimulatedPhone())).capability()
    assert capability.status == "predict only"
    assert f"`{TEAM_VARIABLE}` {state}" in capability.reason and TEAM_VARIABLE in capability.fix


def test_without_a_mac_nothing_is_asked() -> None:
    mac = SimulatedMac(SimulatedPhone())
    phone = PhoneTarget("iphone12", {}, mac.control, "linux")
    capability = phone.capability()
    assert capability.status == "predict only"
    assert "no phone can be driven from here" in capability.reason and "Mac" in capability.fix
    with pytest.raises(MeasureError, match="no phone can be driven") as error:
        phone.measure(Artifact("a", 256))
    assert (error.value.kind, error.value.retryable) == ("unavailable", False)
    assert mac.commands == []


def test_no_xcode_at_all() -> None:
    from mvsearch.targets.coreml.devicectl import DeviceControl
    from mvsearch.targets.coreml.shell import run_command

    def shell(command, timeout_s, folder=None):
        return run_command(["no-such-xcodebuild", *command[1:]], timeout_s, folder)

    capability = PhoneTarget("iphone12", {}, DeviceControl(shell), "darwin").capability()
    assert "cannot be run" in capability.reason and "install Xcode" in capability.fix


def test_a_phone_is_chosen_by_its_udid() -> None:
    mac = SimulatedMac(SimulatedPhone(), PRO)
    phone = target(mac, udid="00008101-0003")
    assert "iPhone 12 Pro" in phone.capability().reason
    assert phone.name == "iphone12@udid=00008101-0003"
    other = target(mac, udid="00008101-0009").capability()
    assert "no iPhone 12 with udid `00008101-0009`" in other.reason and "00008101-0003" in other.reason


def test_an_answer_holds_for_seconds_and_a_measurement_asks_again() -> None:
    now = [0.0]
    phone = SimulatedPhone()
    mac = SimulatedMac(phone)
    iphone = PhoneTarget("iphone12", {}, mac.control, "darwin", lambda: now[0])
    for _ in range(5):
        assert iphone.capability().status == "available"
    assert mac.count("list devices") == 1
    phone.attached = False
    assert iphone.capability().status == "available"
    with pytest.raises(MeasureError, match="no iPhone 12 is attached"):
        iphone.measure(Artifact("a", 256))
    assert iphone.capability().status == "predict only", "what the measurement saw is remembered"
    phone.attached, now[0] = True, SEEN_S + 1
    assert iphone.capability().status == "available"


def test_options_change_the_target() -> None:
    plain = phone_target("iphone12", {})
    cpu = phone_target("iphone12", {"units": "cpu_only"})
    fallback = phone_target("iphone12", {"runner": "coremltools"})
    assert (plain.name, cpu.name, fallback.name) == ("iphone12", "iphone12@units=cpu_only", "iphone12@runner=coremltools")
    assert {plain.resource, cpu.resource, fallback.resource} == {"iphone12"}
    assert len({plain.spec.key, cpu.spec.key, fallback.spec.key}) == 3
    assert (plain.spec.protocol, fallback.spec.protocol) == ("mvsearch-runner-1", "coremltools-remote-9")
    assert phone_target("iphone12", {"units": "all", "runner": "swift"}).spec == plain.spec


def test_published_latencies_are_of_all_units_only() -> None:
    cpu = phone_target("iphone12", {"units": "cpu_and_gpu"})
    with pytest.raises(TargetError, match="`iphone12@units=cpu_and_gpu` has no predictor"):
        cpu.predict(network("mobilevit_xxs"), 256)
    assert cpu.capability().status == "unavailable"
    assert "measured only" in cpu.describe()
    predicted = phone_target("iphone12", {}).predict(network("mobilevit_xxs"), 256)
    assert predicted.protocol != "mvsearch-runner-1", "a prediction keeps the protocol that it predicts"


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"unit": "all"}, "`iphone12` has no option `unit`", "`units`"),
        ({"units": "gpu"}, "`units` of `iphone12` is `gpu`", "`cpu_and_gpu`"),
        ({"runner": "xcode"}, "`runner` of `iphone12` is `xcode`", "`swift`, `coremltools`"),
        ({"preset": "x"}, "no option `preset`", "`runner`"),
    ],
)
def test_unknown_options(options, message, hint) -> None:
    with pytest.raises(TargetError, match=message) as error:
        phone_target("iphone12", options)
    assert hint in error.value.hint


def test_every_phone_with_published_latencies_can_be_told_from_others() -> None:
    for phone in PHONES.values():
        assert set(phone.devices) <= set(MODELS.values()), phone.name
    with pytest.raises(TargetError, match="iphone99"):
        phone_target("iphone99", {})


def test_a_package_is_needed() -> None:
    with pytest.raises(MeasureError, match="no package on disk") as error:
        target(SimulatedMac(SimulatedPhone())).measure(Artifact("a", 256))
    assert error.value.kind == "load"


def test_it_travels_to_workers() -> None:
    phone = phone_target("iphone12", {"units": "cpu_only"})
    assert pickle.loads(pickle.dumps(phone)).spec == phone.spec


def test_nothing_is_asked_and_nothing_heavy_loaded_by_import() -> None:
    code = (
        "import subprocess, sys; subprocess.run = subprocess.Popen = None;"
        "from mvsearch.targets.coreml.phone import phone_target; from mvsearch.targets.coreml.mac import MacTarget;"
        "phone_target('iphone12', {}).describe(); MacTarget({}, None, 'linux').capability();"
        "print(sorted({'numpy', 'coremltools', 'torch', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_phone_whose_published_latencies_do_not_suffice_is_measured_only() -> None:
    for name in PHONES:
        away, there = target(SimulatedMac(), name), target(SimulatedMac(_of(name)), name)
        assert there.capability().status == "available"
        if why := refusal(name):
            assert away.capability().status == "unavailable" and why in away.capability().reason
            assert "measured only" in away.describe()
            with pytest.raises(TargetError, match=f"`{name}` has no predictor"):
                away.predict(network("mobilevit_xxs"), 256)
        else:
            assert away.capability().status == "predict only"
            assert away.predict(network("mobilevit_xxs"), 256).target == name


def _of(name: str) -> SimulatedPhone:
    device = PHONES[name].devices[0]
    return SimulatedPhone(next(product for product, model in MODELS.items() if model == device), device)
