"""What the Swift runner prints, checked before anything is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from mvsearch.errors import MeasureError, MeasureFault
from mvsearch.targets.coreml.plan import ComputePlan

SCHEMA = 1
"""Number of the format; `schema` in `swift/Sources/Report.swift`."""
BEGIN, END = "mvsearch-runner-begin", "mvsearch-runner-end"
SHORTEST_NS, LONGEST_NS = 1_000, 60_000_000_000
"""A prediction outside of 1 us to 60 s is no prediction."""
THERMAL = ("nominal", "fair", "serious", "critical", "unknown")
HOT = ("serious", "critical")
_LINE = re.compile(rf"^{BEGIN} (\d+) (\d+)\s*\n(.*?)\r?\n{END}", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Round:
    """Back-to-back predictions.

    Attributes:
        ms: each, in ms.
        thermal_before, thermal_after: the phone's thermal state, see `THERMAL`.
    """

    ms: tuple[float, ...]
    thermal_before: str
    thermal_after: str


@dataclass(frozen=True)
class RunnerReport:
    """One measurement as the runner tells it.

    Attributes:
        device: model identifier, e.g. `iPhone13,2`.
        os, os_build: of the system.
        units: compute units that it was asked for.
        low_power: whether low power mode was on.
        inputs, outputs: `name type shape` of each.
        load_ms: to load the compiled network; the first time on a phone it is specialised for its chip.
        waited_s: before the warm-up, for the phone to cool down.
        warm_up_n, warm_up_s: runs and seconds before the first round.
        rounds: in their order.
        plan: where Core ML says that it runs the operations; None if it does not.
        plan_error: why it does not.
    """

    device: str
    os: str
    os_build: str
    units: str
    low_power: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    load_ms: float
    waited_s: float
    warm_up_n: int
    warm_up_s: float
    rounds: tuple[Round, ...]
    plan: ComputePlan | None
    plan_error: str

    @property
    def thermal(self) -> tuple[str, ...]:
        """Thermal states from before the first round to after the last."""
        return tuple(state for r in self.rounds for state in (r.thermal_before, r.thermal_after))


def find_report(output: str) -> str | None:
    """The JSON text between the markers of what the runner printed; None if there are none.

    Raises:
        MeasureError: it is cut, or of another format.
    """
    match = _LINE.search(output)
    if not match:
        if BEGIN in output:
            raise MeasureError("tool", "the runner's report is cut", "measure again", retryable=True)
        return None
    schema, size, text = int(match[1]), int(match[2]), match[3].strip()
    if schema != SCHEMA:
        raise MeasureError("tool", f"the runner reports in schema `{schema}`, and {SCHEMA} is read here", "reinstall mvsearch")
    if len(text.encode()) != size:
        raise MeasureError(
            "tool", f"the runner's report is cut: {len(text.encode())} of {size} bytes", "measure again", retryable=True
        )
    return text


def parse_report(text: str) -> RunnerReport:
    """Read and check a report.

    Raises:
        MeasureError: the runner tells of a fault, or the report is not believable.
    """
    try:
        message = json.loads(text)
        if "fault" in message:
            raise _runner_fault(str(message["fault"]["kind"]), str(message["fault"]["message"]))
        report = _report(message["report"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unbelievable(f"{type(error).__name__}: {error}") from None
    return report


_KINDS: Mapping[str, tuple[MeasureFault, str, bool]] = {
    "load": ("load", "the phone's Core ML refuses this network; open it in Xcode on the Mac to see why", False),
    "input": ("load", "only networks with array inputs are measured", False),
    "predict": ("load", "the phone's Core ML fails to run this network; open it in Xcode on the Mac to see why", False),
    "hot": ("hot", "let the phone cool down: out of its case, out of the sun, screen dimmed", True),
    "low-power": ("low-power", "on the phone, Settings > Battery > Low Power Mode", False),
}


def _runner_fault(kind: str, message: str) -> MeasureError:
    fault, hint, retryable = _KINDS.get(kind, ("tool", "this is a fault of mvsearch; please report it", False))
    return MeasureError(fault, f"the runner on the phone says: {message}", hint, retryable=retryable)


def _unbelievable(why: str) -> MeasureError:
    return MeasureError("tool", f"the runner's report is not believable: {why}", "measure again", retryable=True)


def _report(data: Mapping[str, Any]) -> RunnerReport:
    rounds = tuple(_round(r) for r in data["rounds"])
    if not rounds or not all(r.ms for r in rounds):
        raise ValueError("a round without runs")
    every = [ms for r in rounds for ms in r.ms]
    if not SHORTEST_NS <= 1e6 * median(every) <= LONGEST_NS:
        raise ValueError(f"a median of {median(every):g} ms")
    return RunnerReport(
        device=_text(data["device"]),
        os=_text(data["os"]),
        os_build=_text(data["os_build"]),
        units=_text(data["units"]),
        low_power=bool(data["low_power"]),
        inputs=tuple(_feature(f) for f in data["inputs"]),
        outputs=tuple(_feature(f) for f in data["outputs"]),
        load_ms=_count(data["load_ns"]) / 1e6,
        waited_s=_count(data["waited_ns"]) / 1e9,
        warm_up_n=_count(data["warm_up_runs"]),
        warm_up_s=_count(data["warm_up_ns"]) / 1e9,
        rounds=rounds,
        plan=_plan(data["plan"]) if data.get("plan") else None,
        plan_error=_text(data["plan_error"]),
    )


def _round(data: Mapping[str, Any]) -> Round:
    before, after = _text(data["thermal_before"]), _text(data["thermal_after"])
    for state in (before, after):
        if state not in THERMAL:
            raise ValueError(f"a thermal state `{state}`")
    return Round(tuple(_count(ns) / 1e6 for ns in data["ns"]), before, after)


def _feature(data: Mapping[str, Any]) -> str:
    return f"{_text(data['name'])} {_text(data['type'])} {'x'.join(str(_count(n)) for n in data['shape'])}"


def _plan(data: Mapping[str, Any]) -> ComputePlan:
    operations: dict[tuple[str, str], int] = {}
    for key, n in data["operations"].items():
        kind, _, unit = key.rpartition(" on ")
        # Core ML prefixes operations with the opset that they are from.
        name = (kind.rpartition(".")[2], unit)
        operations[name] = operations.get(name, 0) + _count(n)
    cost = {_text(unit): float(share) for unit, share in data["cost"].items()}
    if not all(math.isfinite(share) and share >= 0 for share in cost.values()):
        raise ValueError("a compute plan with an impossible cost")
    return ComputePlan(operations, cost)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{value!r}` where a text should be")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"`{value!r}` where a whole number should be")
    return value
