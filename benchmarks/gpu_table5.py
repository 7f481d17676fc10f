"""MobileViTv3's Table 5 on the GPU at hand: nine networks at batch 1 and 100, by its protocol and by ours.

Every repeat builds and measures every network anew, and repeats are the outer loop, so that their spread holds whatever
moves within minutes. The table is printed, and `--json` written, with what there is when the time is up.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvsearch.costs import count
from mvsearch.errors import MeasureError
from mvsearch.spec.published import network
from mvsearch.targets.host.gpu.target import GpuTarget
from mvsearch.targets.record import LatencyRecord
from mvsearch.targets.take import take

RESOLUTION = 256
GOAL = 0.02

PUBLISHED = {
    "mobilevit_xxs": (7.24, 2124),
    "mobilevitv3_xxs": (7.12, 2146),
    "mobilevitv3_xxs_l2": (6.24, 2308),
    "mobilevit_xs": (7.32, 1097),
    "mobilevitv3_xs": (7.20, 1078),
    "mobilevitv3_xs_l2": (6.35, 1129),
    "mobilevit_s": (7.34, 822),
    "mobilevitv3_s": (7.29, 824),
    "mobilevitv3_s_l2": (6.60, 876),
}
"""(ms for one image, images/s at batch 100) on a GeForce RTX 2080 Ti; arXiv 2209.15159, Table 5."""


class Way(NamedTuple):
    """A column of the table: how it is measured, and whether time or throughput is shown."""

    title: str
    options: dict[str, str]
    throughput: bool


Results = dict[tuple[str, str], list[LatencyRecord]]
"""Records in order by (title of the way, network)."""


def ways(runs: int, batch_runs: int) -> tuple[Way, ...]:
    """The columns, theirs first."""
    theirs = {"preset": "mobilevitv3"}
    return (
        Way("its protocol: ms", {**theirs, "runs": str(runs)}, False),
        Way("its protocol, batch 100: images/s", {**theirs, "batch": "100", "runs": str(batch_runs)}, True),
        Way("graph, float16: ms", {}, False),
        Way("graph, float16, batch 100: images/s", {"batch": "100"}, True),
    )


def measure_all(
    columns: Sequence[Way],
    targets: Sequence[GpuTarget],
    names: Sequence[str],
    repeats: int,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
    on_repeat: Callable[[Results], None] = lambda results: None,
) -> tuple[Results, list[str]]:
    """Records, and what went wrong; a repeat begins only if the longest so far would still fit into the time."""
    results: Results = {(way.title, name): [] for way in columns for name in names}
    faults: list[str] = []
    began, longest = clock(), 0.0
    for repeat in range(repeats):
        start = clock()
        if start - began + longest > limit_s:
            faults.append(f"the time was up after {repeat} of {repeats} repeats")
            break
        for way, target in zip(columns, targets, strict=True):
            for name in names:
                if clock() - began > limit_s:
                    faults.append(f"the time was up in repeat {repeat + 1}, before `{name}` by {way.title}")
                    on_repeat(results)
                    return results, faults
                try:
                    artifact = target.prepare(network(name), RESOLUTION, Path(tempfile.gettempdir()))
                    results[way.title, name].append(take(target, artifact, attempts=2))
                except MeasureError as error:
                    faults.append(f"`{name}` by {way.title}, repeat {repeat + 1}: {error.message}")
        longest = max(longest, clock() - start)
        print(f"repeat {repeat + 1} of {repeats}: {clock() - start:.0f} s", file=sys.stderr, flush=True)
        on_repeat(results)
    return results, faults


def shown(way: Way, record: LatencyRecord) -> float:
    """What the column shows of a record."""
    return 1e3 * record.batch / record.value_ms if way.throughput else record.value_ms


def spread(values: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    return (max(values) - min(values)) / statistics.median(values)


def table(columns: Sequence[Way], results: Results, names: Sequence[str]) -> str:
    """Markdown: medians over the repeats with their spread."""
    head = ["network", "M params", "RTX 2080 Ti: ms", "RTX 2080 Ti, batch 100: images/s", *(way.title for way in columns)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in names:
        cells = [name, f"{count(network(name), RESOLUTION).params / 1e6:.2f}"]
        cells += [f"{PUBLISHED[name][0]:.2f}", str(PUBLISHED[name][1])]
        for way in columns:
            values = [shown(way, r) for r in results[way.title, name]]
            number = f"{statistics.median(values):{',.0f' if way.throughput else '.3f'}}" if values else "none"
            cells.append(f"{number} (±{spread(values) / 2:.1%})" if len(values) > 1 else number)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def repeatability(columns: Sequence[Way], results: Results) -> list[str]:
    """One line per column: the largest spread of a network over the repeats."""
    lines = []
    for way in columns:
        spreads = {
            name: spread([shown(way, r) for r in records])
            for (title, name), records in results.items()
            if title == way.title and len(records) > 1
        }
        if spreads:
            name = max(spreads, key=lambda n: spreads[n])
            verdict = "within" if spreads[name] <= GOAL else "NOT within"
            lines.append(
                f"- {way.title}: largest minus smallest of the repeats is at most {spreads[name]:.1%} of the median "
                f"({name}), {verdict} {GOAL:.0%}"
            )
    return lines


def conditions(results: Results) -> list[str]:
    """Hardware, versions, and the range of every reading."""
    records = [r for group in results.values() for r in group]
    if not records:
        return []
    first = records[0]
    lines = [f"- {first.condition('device')}; " + ", ".join(f"{n} {v}" for n, v in first.versions)]
    names = dict.fromkeys(n for r in records for n, _ in r.conditions if n.endswith(("_before", "_after")))
    for name in [*names, "other_processes", "drift"]:
        values = sorted({v for r in records if (v := r.condition(name))}, key=_number)
        if values:
            lines.append(f"- {name}: {values[0]}" + (f" to {values[-1]}" if len(values) > 1 else ""))
    flags = sorted({f.partition(":")[0] for r in records for f in r.flags})
    lines.append(f"- flags: {', '.join(flags) or 'none'}")
    return lines


def _number(text: str) -> tuple[float, str]:
    head = text.split()[0]
    return (float(head) if head.replace(".", "", 1).isdigit() else -1.0, text)


def plain(results: Results) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Records as plain data by column and network; of the samples only their number and quantiles."""
    data: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for (title, name), records in results.items():
        data.setdefault(title, {})[name] = [
            {**{k: v for k, v in r.to_json().items() if k != "samples_ms"}, "n": r.n, "p50_ms": r.p50_ms, "p90_ms": r.p90_ms}
            for r in records
        ]
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=500, help="single images by the paper's protocol, which has 10000")
    parser.add_argument("--batch-runs", type=int, default=30, help="batches of 100 by the paper's protocol, which has 1000")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after this time with what there is")
    parser.add_argument("--json", type=Path, help="write all records there, after every repeat")
    options = parser.parse_args(arguments)
    columns, names = ways(options.runs, options.batch_runs), list(PUBLISHED)
    targets = [GpuTarget(way.options) for way in columns]
    capability = targets[0].capability()
    if capability.status != "available":
        print(f"no GPU to measure on: {capability.reason}\n\nhint: {capability.fix}", file=sys.stderr)
        return 2

    command = shlex.join(["python", "benchmarks/gpu_table5.py", *(sys.argv[1:] if arguments is None else arguments)])

    def save(results: Results, faults: Sequence[str] = ()) -> None:
        if options.json:
            data = {"command": command, "faults": list(faults), "records": plain(results)}
            options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    results, faults = measure_all(columns, targets, names, options.repeats, 60 * options.minutes, on_repeat=save)
    save(results, faults)
    repeats = max(len(records) for records in results.values())
    print(f"{time.strftime('%d %B %Y', time.gmtime())}, `{command}`, median of {repeats} repeats (± half of largest minus")
    print(f"smallest), {RESOLUTION} px. By the paper's protocol {options.runs} single images instead of 10,000, and")
    print(f"{options.batch_runs} batches instead of 1,000; float32 without TF32, eager, batch norm not folded.\n")
    print(table(columns, results, names), "", *repeatability(columns, results), *conditions(results), sep="\n")
    print(*(f"- missing: {fault}" for fault in faults), sep="\n")
    return 0 if any(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
