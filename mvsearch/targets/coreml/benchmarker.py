"""coremltools' own benchmarker on an attached phone: the fallback that needs no app of ours.

Protocol `coremltools-remote-9`: the median of 30 predictions, each sent to the phone by its own file copies and so
seconds apart. The phone's clocks are cold at every one, so these values are never compared with those of
back-to-back predictions. What coremltools 9.0 gets wrong on this path, and what is done about it here:

- a network is unloaded only by a call that its destructor never makes: it is called here, also after a fault;
- inputs that it draws itself fail for some kinds: they are always passed;
- the first load specialises the network for the chip, may take longer than the 20 polls of 0.5 s that it waits for,
  and fails: it is tried again, and then finds the specialised network on the phone;
- the pipes of the app's console are never read, and may fill: they are drained;
- an app that died is not noticed (`is_alive` is not called): it is asked here before predicting;
- `devicectl` must be on the PATH, not only behind `xcrun`: its folder is added meanwhile;
- all is `async`, and some of it blocks: it runs in a thread with a loop of its own, so that callers may have one too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from mvsearch.errors import MeasureError, MeasureFault
from mvsearch.targets.coreml.devicectl import DeviceControl, KnownPhone, fault_of
from mvsearch.targets.coreml.package import Package, read
from mvsearch.targets.coreml.rounds import POLICY, Summary, require_steady, summarise
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.target import Artifact, StopPolicy, TargetSpec, what_where_when

PROTOCOL = "coremltools-remote-9"
MAJOR = "9."
RUNS = 30
LOADS = 3
LIMIT_S = 1200.0
"""For all of it, the build of coremltools' app included."""
BUNDLE = "org.mvsearch.modelrunner"

T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """The parts of coremltools that are used."""

    ct: Any
    remote: Any
    perf: Any


def load_tools() -> Tools:
    """Import them.

    Raises:
        MeasureError: coremltools is of another major version, whose protocol is not this one.
    """
    from mvsearch.targets.coreml.convert import quiet_coremltools

    with quiet_coremltools() as (ct, _):
        if not ct.__version__.startswith(MAJOR):
            raise MeasureError(
                "tool", f"coremltools {ct.__version__} is installed, and protocol `{PROTOCOL}` is that of 9",
                "`python -m pip install 'coremltools>=9,<10'`",
            )  # fmt: skip
        home = "coremltools.models.ml_program.experimental"
        return Tools(ct, import_module(f"{home}.remote_device"), import_module(f"{home}.perf_utils"))


def measure_remote(
    phone: KnownPhone,
    artifact: Artifact,
    target: TargetSpec,
    units: str,
    team: str,
    control: DeviceControl,
    policy: StopPolicy = POLICY,
    tools: Callable[[], Tools] = load_tools,
) -> LatencyRecord:
    """Measure a package on a phone with coremltools.

    Raises:
        MeasureError: it did not come about.
    """
    if artifact.path is None:
        raise MeasureError("load", f"`{artifact.key}` has no package on disk", "`prepare` makes one")
    path, loaded = artifact.path, tools()
    with _devicectl_on_path(control):
        load_ms, samples = in_own_loop(lambda: _benchmark(loaded, phone, path, read(path), units, team), LIMIT_S)
    if len(samples) != RUNS or not all(0 < ms < 60_000 for ms in samples):
        raise MeasureError(
            "tool", f"coremltools gave {len(samples)} of {RUNS} believable times", "measure again", retryable=True
        )
    summary: Summary = summarise([[ms] for ms in samples], policy.level)
    require_steady(summary, policy, f"the {phone.model}")
    return LatencyRecord(
        **what_where_when(target, artifact),
        **summary.figures(),
        warm_up_n=1,
        load_ms=load_ms,
        conditions=(
            ("device", phone.model),
            ("device_model", phone.product),
            ("udid_hash", phone.udid_hash),
            ("os", f"iOS {phone.os} ({phone.os_build})"),
            ("units", units),
            ("thermal_before", "unknown"),
            ("thermal_after", "unknown"),
            ("low_power", "unknown"),
            ("drift", f"{summary.drift:.3f}"),
            ("package_sha256", artifact.sha256),
        ),
        versions=(("coremltools", loaded.ct.__version__), ("iOS", f"{phone.os} ({phone.os_build})")),
        flags=("thermal: unknown",),
    )


def in_own_loop(make: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
    """Run a coroutine to its end in a thread with its own event loop; works under a running loop as well.

    Raises:
        MeasureError: `timeout`. The thread is left behind: what blocks in it cannot be ended from here.
    """
    import asyncio

    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(make()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="mvsearch-coremltools", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not results:
        raise MeasureError(
            "timeout", f"coremltools did not end within {timeout_s:.0f} s", "unlock the phone and plug it in again",
            retryable=True,
        )  # fmt: skip
    return results[0]


async def _benchmark(
    tools: Tools, phone: KnownPhone, path: Path, package: Package, units: str, team: str
) -> tuple[float, list[float]]:
    """(ms to load, ms of every prediction)."""
    remote = tools.remote
    devices = [d for d in remote.Device.get_connected_devices(remote.DeviceType.IPHONE) if d.udid == phone.udid]
    if not devices:
        raise MeasureError(
            "unplugged", f"coremltools does not see the {phone.model}", "plug it in with a cable", retryable=True
        )
    credentials = remote.AppSigningCredentials(development_team=team, bundle_identifier=f"{BUNDLE}.{team.lower()}")
    device = await _told("build and start its app", devices[0].prepare_for_model_debugging(credentials))
    _drain(device.session)
    model = tools.ct.models.MLModel(str(path), compute_units=getattr(tools.ct.ComputeUnit, units.upper()), skip_model_load=True)
    benchmarker = tools.perf.MLModelBenchmarker(model, device=device)
    inputs = _inputs(package)
    try:
        load_ms = await _load(benchmarker)
        if not device.session.is_alive():
            raise MeasureError("tool", "coremltools' app on the phone has ended", "keep the phone unlocked", retryable=True)
        measured = await _told("predict", benchmarker.benchmark_predict(inputs=inputs, iterations=RUNS, warmup=True))
        return load_ms, [float(ms) for ms in measured.samples]
    finally:
        try:
            if benchmarker._loaded_model is not None:
                await benchmarker._loaded_model.unload()
        except Exception:
            # The phone is gone, or the app: what it held went with it, and the fault itself is on its way.
            pass
        finally:
            device.session.stop()


async def _load(benchmarker: Any) -> float:
    for attempt in range(1, LOADS + 1):
        try:
            return float((await _told("load the network", benchmarker.benchmark_load(iterations=1))).samples[0])
        except MeasureError as error:
            if attempt == LOADS or error.kind in ("locked", "unplugged"):
                raise
    raise AssertionError("unreachable")


async def _told(what: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of a step, or its error in our terms."""
    try:
        return await work
    except MeasureError:
        raise
    except Exception as error:
        said = getattr(error, "message", None) or str(error)
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        message = f"coremltools could not {what}: {type(error).__name__}: {said.strip()}"
        hint = "measure with `runner=swift`, which shows what Xcode says"
        kind: MeasureFault = "load" if what == "load the network" else "tool"
        raise fault_of(said, message) or MeasureError(kind, message, hint) from error


def _inputs(package: Package) -> dict[str, Any]:
    import numpy as np

    if any(not i.shape for i in package.inputs):
        raise MeasureError("load", "only networks with array inputs are measured", "convert the network with array inputs")
    rng = np.random.default_rng(0)
    return {i.name: (0.5 + rng.random(i.shape) / 2).astype(np.float16) for i in package.inputs}


def _drain(session: Any) -> None:
    """Read what the app prints, and forget it."""
    process = getattr(session, "_process", None)
    for pipe in (getattr(process, "stdout", None), getattr(process, "stderr", None)):
        if pipe is not None:
            threading.Thread(target=lambda p=pipe: [None for _ in p], name="mvsearch-drain", daemon=True).start()


@contextmanager
def _devicectl_on_path(control: DeviceControl) -> Iterator[None]:
    found = control.shell(["xcrun", "--find", "devicectl"], 30)
    if found.status != 0 or not found.out.strip():
        raise MeasureError("tool", "`devicectl` is not there", "install Xcode 15 or newer")
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{Path(found.out.strip()).parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
