"""The Swift runner's way from the package to the record, with a phone that is played: well, and in every bad way."""

from __future__ import annotations

import json
import math
import time

import pytest

from mvsearch.errors import MeasureError
from mvsearch.targets import LatencyRecord, MeasurementCache, StopPolicy, take
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.coreml.phone import TEAM_VARIABLE, PhoneTarget
from mvsearch.targets.coreml.runner import SwiftRunner
from tests.targets.simulated_phone import (
    LOCKED,
    LOST,
    TEAM,
    SimulatedMac,
    SimulatedPhone,
    envelope,
    write_package,
)
from tests.targets.test_coreml_package import OURS, SPEC

SHORT = StopPolicy(warm_up_s=0.5, max_s=5, min_rounds=4, max_drift=0.15)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(TEAM_VARIABLE, TEAM)


@pytest.fixture
def artifact(tmp_path):
    return artifact_of(write_package(tmp_path / "net.mlpackage", OURS))


def target(mac: SimulatedMac, **options: str) -> PhoneTarget:
    return PhoneTarget("iphone12", options, mac.control, "darwin")


def fault(mac: SimulatedMac, artifact, **options: str) -> MeasureError:
    with pytest.raises(MeasureError) as error:
        target(mac, **options).measure(artifact, SHORT)
    assert error.value.hint
    return error.value


def test_a_good_phone(artifact) -> None:
    phone = SimulatedPhone()
    mac = SimulatedMac(phone)
    record = target(mac).measure(artifact)
    assert record.value_ms == pytest.approx(5.03)
    assert record.low_ms <= record.value_ms <= record.high_ms
    assert (record.n, record.rounds, record.statistic) == (1000, 20, "median")
    assert (record.protocol, record.target, record.artifact) == ("mvsearch-runner-1", "iphone12", artifact.key)
    assert (record.arch_id, record.resolution) == (SPEC.arch_id, 64)
    assert (record.load_ms, record.warm_up_n, record.warm_up_s) == (812, 100, 0.512)
    for what, value in {
        "device": "iPhone 12", "device_model": "iPhone13,2", "os": "iOS 17.6.1 (21G93)", "units": "all", "low_power": "off",
        "thermal_before": "nominal", "thermal_after": "nominal", "ane_operations": "40 of 46", "ane_cost_share": "0.800",
        "off_ane": "resize_bilinear on cpu (6)", "inputs": "image float16 1x3x64x64", "package_sha256": artifact.sha256,
    }.items():  # fmt: skip
        assert record.condition(what) == value, what
    assert float(record.condition("trimmed_mean_ms")) == pytest.approx(5.03, abs=0.01)
    assert record.flags == ("ane-fallback: 6 of 46 operations",)
    assert LatencyRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert phone.udid not in json.dumps(record.to_json())
    assert record.measurement().kind == "measured"
    assert phone.files == {}, "the network is deleted from the phone"


def test_what_xcode_and_the_runner_are_asked(artifact) -> None:
    mac = SimulatedMac(SimulatedPhone())
    target(mac, units="cpu_only").measure(artifact, SHORT)
    build = next(c for c in mac.commands if "-derivedDataPath" in c)
    assert f"DEVELOPMENT_TEAM={TEAM}" in build and "platform=iOS,id=00008101-0001" in build
    assert "PRODUCT_BUNDLE_IDENTIFIER=org.mvsearch.runner.a1b2c3d4e5" in build
    launch = next(c for c in mac.commands if "launch" in c)
    options = dict(word.split("=") for word in launch if "=" in word)
    assert (options["units"], options["rounds"], options["runs"], options["max_s"]) == ("cpu_only", "4", "50", "5")
    assert float(options["warm_up_s"]) >= 0.5 and int(options["warm_up_runs"]) >= 20
    assert launch.index("--json-output") < launch.index("org.mvsearch.runner.a1b2c3d4e5")
    assert all(limit < 1000 for limit in mac.limits)


def test_the_app_is_built_and_installed_once(artifact, tmp_path) -> None:
    mac = SimulatedMac(SimulatedPhone())
    phone = target(mac)
    for _ in range(3):
        phone.measure(artifact, SHORT)
    target(mac).measure(artifact, SHORT)
    assert mac.count("-derivedDataPath") == 1
    assert mac.count("install app") == 2, "once for each target object"
    now = (tmp_path / "cache").stat().st_mtime
    (known,) = mac.control.phones()
    SwiftRunner(mac.control, TEAM, clock=lambda: now + 7 * 86_400).app(known)
    assert mac.count("-derivedDataPath") == 2, "a free team's profile ends after seven days"
    SwiftRunner(mac.control, "Z" * 10).app(known)
    assert mac.count("-derivedDataPath") == 3, "another team signs another app"


def test_an_app_that_was_deleted_is_installed_again(artifact) -> None:
    phone = SimulatedPhone()
    mac = SimulatedMac(phone)
    iphone = target(mac)
    iphone.measure(artifact, SHORT)
    phone.installed.clear()
    assert iphone.measure(artifact, SHORT).n == 200
    assert mac.count("install app") == 2


def test_a_slow_network_is_a_slow_network(artifact) -> None:
    record = target(SimulatedMac(SimulatedPhone(latency_ms=lambda r, i: 800.0 + i % 3))).measure(artifact, SHORT)
    assert record.value_ms == pytest.approx(801)


@pytest.mark.parametrize("state", ["serious", "critical"])
def test_a_hot_phone_is_refused_and_may_cool_down(artifact, state) -> None:
    error = fault(SimulatedMac(SimulatedPhone(thermal=lambda i: "fair" if i < 5 else state)), artifact)
    assert (error.kind, error.retryable) == ("hot", True)
    assert f"`{state}`" in error.message and "cool down" in error.hint


def test_a_warm_phone_is_flagged(artifact) -> None:
    record = target(SimulatedMac(SimulatedPhone(thermal=lambda i: "fair" if i > 2 else "nominal"))).measure(artifact, SHORT)
    assert "thermal: fair" in record.flags
    assert (record.condition("thermal_before"), record.condition("thermal_after")) == ("nominal", "fair")


def test_a_phone_that_slows_down_is_unsteady(artifact) -> None:
    error = fault(SimulatedMac(SimulatedPhone(latency_ms=lambda r, i: 5.0 + 2 * r)), artifact)
    assert (error.kind, error.retryable) == ("unsteady", True)
    assert "drifted by" in error.message


@pytest.mark.parametrize(
    ("reported", "kind", "retryable"),
    [
        (("load", "Core ML does not load the network: error in plan"), "load", False),
        (("predict", "Core ML does not run the network: no memory"), "load", False),
        (("input", "input `image` is no array"), "load", False),
        (("hot", "the thermal state is still `serious` after 120 s"), "hot", True),
        (("low-power", "low power mode is on"), "low-power", False),
        (("usage", "unknown argument `x`"), "tool", False),
    ],
)
def test_the_runner_s_own_faults(artifact, reported, kind, retryable) -> None:
    error = fault(SimulatedMac(SimulatedPhone(fault=reported)), artifact)
    assert (error.kind, error.retryable) == (kind, retryable)
    assert reported[1] in error.message


def test_low_power_in_the_report_is_refused_too(artifact) -> None:
    assert fault(SimulatedMac(SimulatedPhone(low_power=True)), artifact).kind == "low-power"


def test_another_phone_that_answers_is_refused(artifact) -> None:
    error = fault(SimulatedMac(SimulatedPhone(answers_as="arm64")), artifact)
    assert error.kind == "tool" and "`arm64` answered instead of the `iPhone13,2`" in error.message


@pytest.mark.parametrize("place", ["install app", "copy to", "process launch"])
def test_unplugged_in_the_middle(artifact, place) -> None:
    phone = SimulatedPhone()

    def unplug(words: str):
        if place in words:
            phone.attached = False
            return LOST
        return None

    error = fault(SimulatedMac(phone, before=unplug), artifact)
    assert (error.kind, error.retryable) == ("unplugged", True)
    assert "plug" in error.hint


def test_a_phone_that_goes_while_the_runner_runs_is_noticed_by_its_absence(artifact) -> None:
    phone = SimulatedPhone()
    run = phone.run

    def unplug(options):
        phone.attached = False
        return run(options)[:40]

    phone.run = unplug  # type: ignore[method-assign]
    error = fault(SimulatedMac(phone), artifact)
    assert (error.kind, error.retryable) == ("unplugged", True)
    assert "in the middle of a measurement" in error.message


def test_a_phone_that_locks_itself_before_the_launch(artifact) -> None:
    mac = SimulatedMac(SimulatedPhone(), before=lambda words: LOCKED if "process launch" in words else None)
    error = fault(mac, artifact)
    assert (error.kind, error.retryable) == ("locked", True)
    assert "Auto-Lock" in error.hint


@pytest.mark.parametrize("words", ["list devices", "install app", "copy to", "process launch", "coremlcompiler"])
def test_what_hangs_ends_with_a_timeout(artifact, words) -> None:
    mac = SimulatedMac(SimulatedPhone(), hangs=words)
    error = fault(mac, artifact)
    assert (error.kind, error.retryable) == ("timeout", True)
    assert words.split()[-1] in error.message
    assert 20 < mac.now < 1000


GOOD = json.loads(SimulatedPhone().run({"rounds": "3", "runs": "2", "units": "all"}).split("\r\n")[1])


def broken(**changes: object) -> str:
    return envelope({"schema": 1, "report": {**GOOD["report"], **changes}})


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "Launched application.\n",
        'mvsearch-runner-begin 1 900\n{"schema":1',
        "mvsearch-runner-begin 1 900\n{}\nmvsearch-runner-end\n",
        envelope({"schema": 1}),
        envelope({"schema": 1, "report": []}),
        envelope({"schema": 1, "fault": "x"}),
        envelope({}).replace("begin 1", "begin 2"),
        broken(rounds=[]),
        broken(rounds=[{"ns": [], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": [1, 2], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": [-5e6], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": [math.nan], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": ["5000000"], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": [10**12], "thermal_before": "fair", "thermal_after": "fair"}]),
        broken(rounds=[{"ns": [5_000_000], "thermal_before": "lukewarm", "thermal_after": "fair"}]),
        broken(device=None),
        broken(plan={"operations": {"conv on ane": -1}, "cost": {}}),
        broken(plan={"operations": {"conv on ane": 1}, "cost": {"ane": math.inf}}),
    ],
)
def test_garbage_is_no_latency(artifact, printed) -> None:
    assert fault(SimulatedMac(SimulatedPhone(printed=printed)), artifact).kind == "tool"


def test_a_plan_that_is_not_known_is_said_so(artifact) -> None:
    phone = SimulatedPhone(printed=broken(plan=None, plan_error="the compute plan needs iOS 17.4 or macOS 14.4"))
    record = target(SimulatedMac(phone)).measure(artifact, SHORT)
    assert record.condition("compute_plan") == "not known: the compute plan needs iOS 17.4 or macOS 14.4"
    assert record.flags == ()


def test_a_package_that_the_compiler_refuses(tmp_path) -> None:
    error = fault(SimulatedMac(SimulatedPhone()), artifact_of(write_package(tmp_path / "refused.mlpackage", OURS)))
    assert (error.kind, error.retryable) == ("load", False)
    assert "compiler refuses `refused.mlpackage`: coremlc: error" in error.message


@pytest.mark.parametrize(
    ("printed", "hint"),
    [
        ('note: x\nerror: Signing for "MvsearchRunner" requires a development team. Select a development team', "Accounts"),
        ("Main.swift:3:1: error: no such module 'CoreML'\n** BUILD FAILED **", "xcode-select -p"),
    ],
)
def test_a_build_that_fails_shows_the_errors(artifact, printed, hint) -> None:
    mac = SimulatedMac(SimulatedPhone(), build_error=printed)
    error = fault(mac, artifact)
    assert error.kind == "tool" and "error: " in error.message and "note: x" not in error.message
    assert hint in error.hint
    mac.build_error = ""
    assert target(mac).measure(artifact, SHORT).n == 200, "nothing of the failed build is kept"


def test_take_tries_again_and_keeps_the_record(artifact, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda s: None)
    cache = MeasurementCache(tmp_path / "records")
    hot = iter([True, False])
    phone = SimulatedPhone()
    run = phone.run

    def heats_up(options):
        phone.thermal = (lambda i: "serious") if next(hot) else (lambda i: "nominal")
        return run(options)

    phone.run = heats_up  # type: ignore[method-assign]
    mac = SimulatedMac(phone)
    record = take(target(mac), artifact, SHORT, cache)
    assert mac.count("process launch") == 2
    assert take(target(mac), artifact, SHORT, cache) == record
    assert mac.count("process launch") == 2
    other = target(mac, units="cpu_only")
    assert cache.get(artifact.key, other.spec) is None, "other compute units are another target"
