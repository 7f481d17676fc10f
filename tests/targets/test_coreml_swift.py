"""The Swift runner as far as it can be checked without Apple's SDK.

It has never been built for a phone. Where a Swift compiler is installed, all of it but the app's own window is
compiled against `swift/CoreML.swift`, which declares by hand what it uses of Core ML, and run; elsewhere its text
is compared with what the Python side writes and reads.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from importlib.resources import files
from pathlib import Path

import pytest

from mvsearch.errors import MeasureError
from mvsearch.targets.coreml import report as report_module
from mvsearch.targets.coreml.devicectl import KnownPhone
from mvsearch.targets.coreml.options import UNITS
from mvsearch.targets.coreml.report import BEGIN, END, SCHEMA, THERMAL, find_report, parse_report
from mvsearch.targets.coreml.rounds import POLICY, RUNS
from mvsearch.targets.coreml.runner import record_of, run_arguments, sources_hash
from mvsearch.targets.target import Artifact, StopPolicy, TargetSpec
from tests.targets.simulated_phone import SimulatedPhone

SWIFT = Path(str(files("mvsearch.targets.coreml") / "swift"))
SOURCES = {p.name: p.read_text(encoding="utf-8") for p in sorted((SWIFT / "Sources").glob("*.swift"))}
PROJECT = (SWIFT / "MvsearchRunner.xcodeproj" / "project.pbxproj").read_text(encoding="utf-8")
SCHEME = SWIFT / "MvsearchRunner.xcodeproj" / "xcshareddata" / "xcschemes" / "MvsearchRunner.xcscheme"
needs_swift = pytest.mark.skipif(shutil.which("swiftc") is None, reason="no Swift compiler (`swiftc`) is installed")


def test_the_runner_takes_what_it_is_given() -> None:
    taken = set(re.findall(r'case "(\w+)":', SOURCES["Options.swift"]))
    assert {a.partition("=")[0] for a in run_arguments("Documents/x.mlmodelc", "all", POLICY)} == taken
    assert not any(a.startswith("-") for a in run_arguments("Documents/x.mlmodelc", "all", POLICY))
    assert set(re.findall(r'case "(\w+)": return \.', SOURCES["Model.swift"])) == set(UNITS)


def test_the_report_s_keys_are_those_that_are_read() -> None:
    def keys(struct: str) -> set[str]:
        body = re.search(rf"struct {struct}: .*?\n}}\n", SOURCES["Report.swift"], re.DOTALL)
        assert body, struct
        return set(re.findall(r'case \w+ = "(\w+)"', body[0]))

    text = SimulatedPhone().run({"rounds": "3", "runs": "2", "units": "all"})
    example = json.loads(find_report(text) or "")
    assert keys("Message") == {*example, "fault"}
    assert keys("Report") == set(example["report"])
    assert keys("Round") == set(example["report"]["rounds"][0])
    assert keys("Feature") == set(example["report"]["inputs"][0])
    assert keys("Plan") == set(example["report"]["plan"])
    assert f"let schema = {SCHEMA}\n" in SOURCES["Report.swift"]
    assert f'"\\n{BEGIN} \\(schema) \\(data.count)"' in SOURCES["Report.swift"] and f'"{END}"' in SOURCES["Report.swift"]


def test_every_kind_of_fault_and_state_is_known() -> None:
    raised = {kind for text in SOURCES.values() for kind in re.findall(r'Fault\(\s*"([\w-]+)"', text)}
    assert raised == {*report_module._KINDS, "usage"}
    assert set(re.findall(r'return "(\w+)"', SOURCES["Device.swift"].partition("func isHot")[0])) == set(THERMAL)


def test_the_project_builds_these_sources_and_no_others() -> None:
    assert set(re.findall(r"path = (\w+\.swift);", PROJECT)) == set(SOURCES)
    defined = re.findall(r"^\t\t([0-9A-F]{24})\b.* = \{", PROJECT, re.MULTILINE)
    assert len(defined) == len(set(defined))
    assert set(re.findall(r"\b[0-9A-F]{24}\b", PROJECT)) == set(defined), "every id that is used is defined"
    references = dict(re.findall(r"([0-9A-F]{24}) /\* (\w+\.swift) \*/ = \{isa = PBXFileReference", PROJECT))
    built = {i for i, _ in re.findall(r"([0-9A-F]{24}) /\* (\w+\.swift) \*/ = \{isa = PBXBuildFile", PROJECT)}
    phase = PROJECT.partition("isa = PBXSourcesBuildPhase;")[2].partition(");")[0]
    assert set(re.findall(r"[0-9A-F]{24}", phase)) == built and len(built) == len(references) == len(SOURCES)
    assert PROJECT.count("{") == PROJECT.count("}") and PROJECT.count("(") == PROJECT.count(")")
    assert "IPHONEOS_DEPLOYMENT_TARGET = 17.0;" in PROJECT, "older phones cannot be driven by devicectl"
    target = next(i for i in defined if f"{i} /* MvsearchRunner */ = {{\n\t\t\tisa = PBXNativeTarget" in PROJECT)
    assert {r.get("BlueprintIdentifier") for r in ElementTree.parse(SCHEME).iter("BuildableReference")} == {target}


def test_the_wheel_holds_the_sources() -> None:
    root = Path(__file__).parents[2]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert settings["targets"]["wheel"]["packages"] == ["mvsearch"]
    assert "exclude" not in settings and "exclude" not in settings["targets"]["wheel"]
    for file in SWIFT.rglob("*"):
        # hatchling leaves out what git ignores.
        ignored = subprocess.run(["git", "check-ignore", "-q", str(file)], cwd=root, check=False).returncode
        assert ignored != 0, file


def test_the_hash_is_of_what_is_built(tmp_path) -> None:
    copy = Path(shutil.copytree(SWIFT, tmp_path / "swift"))
    assert sources_hash(copy) == sources_hash(SWIFT)
    (copy / "MvsearchRunner.xcodeproj" / "xcuserdata").mkdir()
    assert sources_hash(copy) == sources_hash(SWIFT)
    (copy / "Sources" / "Timing.swift").write_text("// another\n")
    assert sources_hash(copy) != sources_hash(SWIFT)


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Path:
    """The runner for this system, with a Core ML that only has the names."""
    folder = tmp_path_factory.mktemp("swift")
    stub = Path(__file__).parent / "swift" / "CoreML.swift"
    module = ["-emit-module", "-emit-library", "-static", "-module-name", "CoreML", "-parse-as-library", str(stub)]
    program = ["-swift-version", "5", "-I", ".", "-L", ".", "-lCoreML", *map(str, sorted((SWIFT / "Sources").glob("*.swift")))]
    for arguments in ([*module, "-o", "libCoreML.a"], [*program, "-o", "runner"]):
        done = subprocess.run(["swiftc", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "error:" not in done.stderr
    for name in ("net", "broken", "failing"):
        (folder / f"{name}.mlmodelc").mkdir()
    return folder / "runner"


def _run(runner: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([str(runner), *arguments], capture_output=True, text=True, check=False, timeout=60)
    text = find_report(done.stdout)
    assert text is not None, done.stdout
    return done.returncode, text


@needs_swift
def test_what_it_prints_becomes_a_record(runner) -> None:
    model = runner.parent / "net.mlmodelc"
    policy = StopPolicy(warm_up_s=0.0, max_s=5, min_rounds=4, max_drift=1.0)
    arguments = [a for a in run_arguments(str(model), "cpu_and_ne", policy) if not a.startswith("delete")]
    status, text = _run(runner, *arguments)
    report = parse_report(text)
    assert status == 0 and len(report.rounds) == 4 and all(len(r.ms) == RUNS for r in report.rounds)
    assert report.warm_up_n >= 20 and report.warm_up_s >= 0.5
    assert report.inputs == ("image float16 1x3x8x8",)
    assert report.plan is not None and report.plan.conditions()[0] == ("ane_operations", "2 of 3")
    phone = KnownPhone("i", "u", "n", report.device, "iPhone 12", "17", "", True, True, True)
    spec = TargetSpec("iphone12", "iPhone 12", "", "Core ML", "float16", "", 1, "mvsearch-runner-1")
    record = record_of(report, Artifact("a", 8), spec, phone, policy)
    assert 1.0 < record.value_ms < 20, "the network that is played sleeps for a millisecond"
    assert record.n == 200 and "thermal: unknown" in record.flags
    assert model.is_dir()


@needs_swift
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["model=broken.mlmodelc"], "load", "does not load the network"),
        (["model=failing.mlmodelc"], "load", "does not run the network"),
        (["model=none.mlmodelc"], "load", "there is no"),
        (["model=net.mlmodelc", "units=gpu"], "tool", "unknown compute units `gpu`"),
        (["model=net.mlmodelc", "rounds=0"], "tool", "`rounds` is `0`"),
        (["model=net.mlmodelc", "warm_up_s=nan"], "tool", "`warm_up_s` is `nan`"),
        (["--model=net.mlmodelc"], "tool", "unknown argument `--model`"),
        (["net.mlmodelc"], "tool", "is not `key=value`"),
        ([], "tool", "`model` is missing"),
    ],
)
def test_its_faults_are_read(runner, arguments, kind, message) -> None:
    placed = [a.replace("model=", f"model={runner.parent}/") for a in arguments if not a.startswith("--")]
    status, text = _run(runner, *(placed or arguments))
    assert status == 1
    with pytest.raises(MeasureError) as error:
        parse_report(text)
    assert error.value.kind == kind and message in error.value.message


@needs_swift
def test_it_finds_a_folder_in_a_folder_and_deletes_what_was_copied(runner) -> None:
    place = runner.parent / "copied.mlmodelc"
    (place / "copied.mlmodelc").mkdir(parents=True)
    status, text = _run(runner, f"model={place}", "rounds=1", "runs=3", "warm_up_s=0", "warm_up_runs=1", "delete=yes")
    assert status == 0 and len(parse_report(text).rounds[0].ms) == 3
    assert not place.exists()
