"""`LatencyRecord`: one measurement with all that is needed to compare or distrust it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, fields
from typing import Any

from mvsearch.spec.plain import read_plain, shown
from mvsearch.spec.record import Measurement

RECORD_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class LatencyRecord:
    """A latency that was measured.

    Attributes:
        artifact: key of what was measured.
        arch_id: of the network; empty if unknown.
        resolution: side of the image in pixels.
        target: name of the target, as in `--target`.
        target_key: `TargetSpec.key`.
        protocol: id of the way in which it was taken.
        value_ms: what the protocol reports, in ms for one batch.
        low_ms, high_ms, level: its interval.
        statistic: what `value_ms` is, e.g. `median`, `median ratio to mobilevit_xxs x 11.2 ms`.
        samples_ms: single runs in the order in which they were taken, as timed.
        rounds: blocks of back-to-back runs that the samples come from.
        warm_up_n, warm_up_s: runs and seconds before the first sample.
        batch: images at a time.
        load_ms: to load or compile on the device, if it was timed; not part of the latency.
        conditions: (what, value): device model, OS build, thermal state before and after, low power, clocks, drift,
            share of operations and cost on the Neural Engine, load of the machine, ...
        versions: (package or tool, version).
        host: machine that the measurement was driven from.
        taken_at: UTC, ISO 8601.
        flags: claims such as `ane-fallback: 12 of 301 operations`.
        reference_samples_ms: runs of a reference network, each timed beside the one of `samples_ms` at its place;
            empty where a protocol has none.
    """

    artifact: str
    arch_id: str
    resolution: int
    target: str
    target_key: str
    protocol: str
    value_ms: float
    low_ms: float
    high_ms: float
    level: float
    statistic: str
    samples_ms: tuple[float, ...]
    rounds: int = 1
    warm_up_n: int = 0
    warm_up_s: float = 0.0
    batch: int = 1
    load_ms: float | None = None
    conditions: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    host: str = ""
    taken_at: str = ""
    flags: tuple[str, ...] = ()
    reference_samples_ms: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """Runs that were timed."""
        return len(self.samples_ms)

    @property
    def p50_ms(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples_ms)

    @property
    def p90_ms(self) -> float:
        """Value that nine in ten samples stay below."""
        return sorted(self.samples_ms)[min(self.n - 1, int(0.9 * self.n))]

    @property
    def spread(self) -> float:
        """Interquartile range over the median."""
        if self.n < 4:
            return 0.0
        first, _, third = statistics.quantiles(self.samples_ms, n=4)
        return (third - first) / self.p50_ms

    def condition(self, what: str) -> str:
        """One of the conditions, or an empty text."""
        return dict(self.conditions).get(what, "")

    def measurement(self) -> Measurement:
        """The same as one number among others."""
        where = self.condition("device") or self.target
        return Measurement(
            "latency", self.value_ms, "ms", "measured", self.low_ms, self.high_ms, self.level, "log",
            f"{self.statistic} of {self.n:,} runs on {where}, {self.taken_at[:10]}", self.target, self.protocol, self.n,
            self.versions, self.flags,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {"schema": RECORD_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> LatencyRecord:
        """Read what `to_json` wrote.

        Raises:
            ValueError: of another schema, not a record, or of times that nothing takes.
        """
        if not isinstance(data, dict) or data.get("schema") != RECORD_SCHEMA:
            schema = data.get("schema") if isinstance(data, dict) else None
            raise ValueError(f"latency record of schema `{shown(schema)}`, this version reads {RECORD_SCHEMA}")
        names = {f.name for f in fields(cls)}
        if set(data) - {"schema"} != names:
            raise ValueError(f"latency record lacks or has too many of: {', '.join(sorted(names ^ (set(data) - {'schema'})))}")
        record = read_plain(cls, {k: v for k, v in data.items() if k != "schema"}, "record")
        times = (record.value_ms, record.low_ms, record.high_ms, *record.samples_ms, *record.reference_samples_ms)
        if not record.samples_ms or min(times) <= 0 or not 0 < record.level < 1:
            raise ValueError("latency record without times above zero")
        return record
