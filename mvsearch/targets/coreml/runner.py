"""Our Swift runner on an attached phone: built, installed, given a compiled network, started, listened to.

Protocol `mvsearch-runner-1`: the median over all runs of 20 rounds of 50 back-to-back predictions, after a warm-up
of at least 0.5 s and 20 runs, on fixed float16 inputs, each prediction timed on the phone around
`MLModel.prediction(from:)` alone.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from mvsearch.errors import MeasureError
from mvsearch.targets.cache import cache_folder
from mvsearch.targets.coreml.devicectl import DeviceControl, KnownPhone
from mvsearch.targets.coreml.report import HOT, RunnerReport, find_report, parse_report
from mvsearch.targets.coreml.rounds import POLICY, RUNS, WARM_UP_RUNS, WARM_UP_S, require_steady, summarise
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, StopPolicy, TargetSpec, what_where_when

PROTOCOL = "mvsearch-runner-1"
PROJECT = "MvsearchRunner"
BUILD_S, COMPILE_S, LOAD_S = 900.0, 120.0, 300.0
"""Time limits in seconds; the first load of a network on a phone specialises it for its chip."""
WAIT_COOL_S = 120.0
"""How long the runner waits, before it warms up, for a phone that is hotter than fair."""
APP_LIFE_S = 6 * 86_400.0
"""A free team's profile ends after seven days: an app older than this is built anew."""


@dataclass(frozen=True)
class App:
    """The runner as an app: where it is on the Mac, and its bundle identifier."""

    path: Path
    bundle: str


class SwiftRunner:
    """The runner on attached phones.

    Args:
        control: drives them.
        team: Apple developer team that signs the app, ten letters and digits.
        folder: where the app is built; in the user's cache by default.
        clock: seconds since the epoch, as in files' times.
    """

    def __init__(
        self, control: DeviceControl, team: str, folder: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.control = control
        self.team = team
        self.folder = folder or cache_folder() / "runner"
        self.clock = clock
        self._installed: set[tuple[Path, str]] = set()

    def measure(self, phone: KnownPhone, package: Path, units: str, policy: StopPolicy) -> RunnerReport:
        """Measure a package on a phone.

        Args:
            phone: where.
            package: `*.mlpackage`.
            units: `all`, `cpu_and_ne`, `cpu_and_gpu` or `cpu_only`.
            policy: warm-up, rounds, time.

        Raises:
            MeasureError: it did not come about.
        """
        app = self.app(phone)
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            compiled = self.compile(package, Path(folder))
            place = f"Documents/mvsearch/{compiled.name}"
            fresh = self._install(phone, app)
            try:
                self.control.copy_to(phone, app.bundle, compiled, place)
            except MeasureError as error:
                if fresh or error.kind in ("unplugged", "timeout"):
                    raise
                # The app may have been deleted from the phone since.
                self._installed.clear()
                self._install(phone, app)
                self.control.copy_to(phone, app.bundle, compiled, place)
        return parse_report(self._run(phone, app, run_arguments(place, units, policy), policy))

    def _install(self, phone: KnownPhone, app: App) -> bool:
        """Install the app once for this object. Returns whether that was now."""
        if (app.path, phone.udid) in self._installed:
            return False
        self.control.install(phone, app.path)
        self._installed.add((app.path, phone.udid))
        return True

    def _run(self, phone: KnownPhone, app: App, arguments: tuple[str, ...], policy: StopPolicy) -> str:
        # What the rounds take is not known before: three always run, of networks of up to a second.
        limit = LOAD_S + WAIT_COOL_S + policy.warm_up_s + policy.max_s + 3 * RUNS
        printed, fault = self.control.launch(phone, app.bundle, arguments, limit)
        text = find_report(printed)
        if text is not None:
            return text
        if fault:
            raise fault
        if not any(p.udid == phone.udid and p.attached for p in self.control.phones()):
            raise MeasureError(
                "unplugged", f"`{phone.model}` went away in the middle of a measurement",
                "plug the phone in with a cable, unlock it, and measure again", retryable=True,
            )  # fmt: skip
        raise MeasureError(
            "tool", "the runner ended without a report", "keep the phone unlocked, with the runner in front", retryable=True
        )

    def app(self, phone: KnownPhone) -> App:
        """The signed app, built once for these sources, team, phone and Xcode, and anew when its profile is about to end.

        Raises:
            MeasureError: it does not build; the message has the compiler's errors.
        """
        from filelock import FileLock

        bundle = f"org.mvsearch.runner.{self.team.lower()}"
        with as_file(files("mvsearch.targets.coreml") / "swift") as swift:
            # The profile that Xcode makes lists the phone: another phone takes another build.
            of_what = f"{sources_hash(swift)} {self.team} {phone.udid} {xcode_version(self.control)}"
            build = self.folder / hashlib.sha256(of_what.encode()).hexdigest()[:16]
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(build.with_suffix(".lock")):
                return App(self._fresh(build) or self._build(build, swift, phone, bundle), bundle)

    def _build(self, build: Path, swift: Path, phone: KnownPhone, bundle: str) -> Path:
        shutil.rmtree(build, ignore_errors=True)
        # Xcode writes beside the project, and the installed package may be read-only.
        shutil.copytree(swift, build / "swift")
        command = [
            "xcodebuild", "-project", str(build / "swift" / f"{PROJECT}.xcodeproj"), "-scheme", PROJECT,
            "-configuration", "Release", "-destination", f"platform=iOS,id={phone.udid}",
            "-derivedDataPath", str(build / "derived"), "-allowProvisioningUpdates", "-allowProvisioningDeviceRegistration",
            f"DEVELOPMENT_TEAM={self.team}", f"PRODUCT_BUNDLE_IDENTIFIER={bundle}", "build",
        ]  # fmt: skip
        done = self.control.shell(command, BUILD_S)
        if done.status != 0 or not _app_in(build).is_dir():
            shutil.rmtree(build, ignore_errors=True)
            raise MeasureError("tool", f"the runner does not build: {_errors(done.output)}", _build_hint(done.output))
        return _app_in(build)

    def _fresh(self, build: Path) -> Path | None:
        """The app of an earlier build, unless its profile is about to end."""
        app = _app_in(build)
        return app if app.is_dir() and self.clock() - app.stat().st_mtime < APP_LIFE_S else None

    def compile(self, package: Path, folder: Path) -> Path:
        """Compile a package into `*.mlmodelc`, named by its content: no two networks share a place on the phone.

        Raises:
            MeasureError: Core ML's compiler refuses it.
        """
        from mvsearch.targets.coreml.package import content_hash

        done = self.control.shell(["xcrun", "coremlcompiler", "compile", str(package), str(folder)], COMPILE_S)
        made = folder / f"{package.stem}.mlmodelc"
        if done.status != 0 or not made.is_dir():
            raise MeasureError(
                "load", f"Core ML's compiler refuses `{package.name}`: {_errors(done.output)}", "open it in Xcode to see why"
            )
        return made.rename(folder / f"{content_hash(package)[:16]}.mlmodelc")


def _app_in(build: Path) -> Path:
    return build / "derived" / "Build" / "Products" / "Release-iphoneos" / f"{PROJECT}.app"


def xcode_version(control: DeviceControl) -> str:
    """Version and build of the selected Xcode, e.g. `Xcode 16.2 Build version 16C5032a`.

    Raises:
        MeasureError: there is none.
    """
    done = control.shell(["xcodebuild", "-version"], 30)
    if done.status != 0:
        raise MeasureError(
            "tool", f"Xcode is not set up: {_errors(done.output)}",
            "install Xcode 15 or newer, and `sudo xcode-select -s /Applications/Xcode.app`",
        )  # fmt: skip
    return " ".join(done.out.split())


def sources_hash(swift: Path) -> str:
    """Hash over the runner's sources and project."""
    total = hashlib.sha256()
    for file in sorted(f for f in swift.rglob("*") if f.is_file() and f.suffix in (".swift", ".pbxproj", ".xcscheme")):
        total.update(f"{file.relative_to(swift).as_posix()}\0".encode() + file.read_bytes())
    return total.hexdigest()


def run_arguments(model: str, units: str, policy: StopPolicy) -> tuple[str, ...]:
    """What the runner is started with; its options are in `swift/Sources/Options.swift`."""
    values = {
        "model": model,
        "units": units,
        "warm_up_s": f"{max(WARM_UP_S, policy.warm_up_s):g}",
        "warm_up_runs": WARM_UP_RUNS,
        "rounds": max(3, policy.min_rounds),
        "runs": RUNS,
        "max_s": f"{policy.max_s:g}",
        "cool_down_s": 0,
        "wait_cool_s": f"{WAIT_COOL_S:g}",
        "delete": "yes",
    }
    return tuple(f"{key}={value}" for key, value in values.items())


def record_of(
    report: RunnerReport, artifact: Artifact, target: TargetSpec, phone: KnownPhone, policy: StopPolicy = POLICY
) -> LatencyRecord:
    """A checked report as a latency record.

    Raises:
        MeasureError: the phone was hot, in low power mode or unsteady, or it is another one than was asked for.
    """
    _require_fit(report, phone, target)
    summary = summarise([r.ms for r in report.rounds], policy.level)
    require_steady(summary, policy, f"the {phone.model}")
    plan = report.plan.conditions() if report.plan else (("compute_plan", f"not known: {report.plan_error}"),)
    states = report.thermal
    worst = next((s for s in ("unknown", "fair") if s in states), "")
    return LatencyRecord(
        **what_where_when(target, artifact),
        **summary.figures(),
        warm_up_n=report.warm_up_n,
        warm_up_s=report.warm_up_s,
        load_ms=report.load_ms,
        conditions=(
            ("device", phone.model),
            ("device_model", report.device),
            ("udid_hash", phone.udid_hash),
            ("os", f"iOS {report.os} ({report.os_build})"),
            ("units", report.units),
            ("thermal_before", states[0]),
            ("thermal_after", states[-1]),
            ("low_power", "off"),
            ("waited_to_cool_s", f"{report.waited_s:.1f}"),
            ("trimmed_mean_ms", f"{summary.trimmed_mean:.6g}"),
            ("drift", f"{summary.drift:.3f}"),
            ("inputs", ", ".join(report.inputs)),
            ("outputs", ", ".join(report.outputs)),
            ("package_sha256", artifact.sha256),
            *plan,
        ),
        versions=(("iOS", f"{report.os} ({report.os_build})"),),
        flags=((f"thermal: {worst}",) if worst else ()) + (report.plan.flags(report.units) if report.plan else ()),
    )


def _require_fit(report: RunnerReport, phone: KnownPhone, target: TargetSpec) -> None:
    hot = next((s for s in report.thermal if s in HOT), "")
    if hot:
        raise MeasureError(
            "hot", f"the {phone.model} became hot in the course of a measurement: its thermal state is `{hot}`",
            "let it cool down: out of its case, out of the sun; the runner waits for it before it begins", retryable=True,
        )  # fmt: skip
    if report.low_power:
        raise MeasureError(
            "low-power", f"the {phone.model} is in low power mode", "on the phone, Settings > Battery > Low Power Mode"
        )
    if report.device != phone.product:
        raise MeasureError(
            "tool", f"`{report.device}` answered instead of the `{phone.product}` that was asked", "attach one phone only"
        )


def _errors(output: str) -> str:
    """The lines of a tool's output that say what is wrong, three at most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return "; ".join(dict.fromkeys((errors or lines[-1:])[:3])) or "it says nothing"


def _build_hint(output: str) -> str:
    if re.search(r"development team|provisioning|signing|account", output, re.IGNORECASE):
        return (
            "sign in to Xcode > Settings > Accounts with the Apple ID of this team, and see that "
            "`MVSEARCH_APPLE_TEAM` is its ten-character id"
        )
    return "install Xcode 15 or newer with the iOS platform, and see that it is selected: `xcode-select -p`"
