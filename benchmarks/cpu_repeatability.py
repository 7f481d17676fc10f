"""The same network measured in separate processes beside busy loops: how far apart are their results?

The baseline is the median wall time of the very same runs. The reference network is timed once, before the load
starts, as a user's machine would have it in its cache.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mvsearch.search.folder import machine
from mvsearch.spec.published import network
from mvsearch.targets import Artifact, LatencyRecord, get_target, take
from mvsearch.targets.cache import CACHE_VARIABLE
from mvsearch.targets.host.cpu import CpuTarget


def busy() -> None:
    """A loop that never ends."""
    while True:
        sum(i * i for i in range(100_000))


def measure_here(target: str, path: Path, resolution: int) -> None:
    """One measurement in this process, as JSON on stdout."""
    record = take(get_target(target), Artifact("benchmark", resolution, path=path))
    print(json.dumps(record.to_json()))


def spread(values: list[float]) -> float:
    """Largest over smallest, less one."""
    return max(values) / min(values) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mobilevit_xs")
    parser.add_argument("--target", default="cpu", help="`cpu` or `cpu@runtime=openvino`")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--load", type=int, default=os.cpu_count(), help="busy loops beside each measurement")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_here(options.target, options.measure, options.resolution)
        return
    target = get_target(options.target)
    assert isinstance(target, CpuTarget)
    with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
        os.environ[CACHE_VARIABLE] = folder
        artifact = target.prepare(network(options.network), options.resolution, Path(folder))
        reference = target.reference()
        print(f"{machine()}; " + ", ".join(f"{n} {v}" for n, v in target.versions()))
        print(f"`{options.network}` at {options.resolution} px on `{target.name}`, {options.processes} processes, "
              f"{options.load} busy loops on {os.cpu_count()} cores")  # fmt: skip
        conditions = dict(reference.conditions)
        print(f"reference {reference.value_ms:.2f} ms before the load (blocks {spread(list(reference.blocks_ms)):.1%} apart, "
              f"load average {conditions.get('load_before', '?')})")  # fmt: skip
        loops = [multiprocessing.Process(target=busy, daemon=True) for _ in range(options.load)]
        for loop in loops:
            loop.start()
        command = [sys.executable, __file__, "--target", options.target, "--resolution", str(options.resolution),
                   "--measure", str(artifact.path)]  # fmt: skip
        records = []
        print("   ratio   ± %  pairs  drift  begun  CPU ms  wall ms  reference ms  s     load  runnable")
        try:
            for _ in range(options.processes):
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                r = LatencyRecord.from_json(json.loads(done.stdout))
                records.append(r)
                c = dict(r.conditions)
                print(f"{float(c['ratio']):8.4f} {50 * (r.high_ms - r.low_ms) / r.value_ms:5.1f} {r.n:6d} {c['drift']:>6} "
                      f"{c['attempts']:>6} {r.p50_ms:7.2f} {float(c['wall_ms']):8.2f} {float(c['reference_now_ms']):13.2f} "
                      f"{time.perf_counter() - start:5.1f} {c.get('load_after', '?'):>5} "
                      f"{c.get('others_runnable_after', '?'):>5}", flush=True)  # fmt: skip
        except subprocess.CalledProcessError as error:
            sys.exit(error.stderr)
        finally:
            for loop in loops:
                loop.terminate()
    found = {
        "paired ratio of CPU times": [float(r.condition("ratio")) for r in records],
        "median CPU time": [r.p50_ms for r in records],
        "median wall time (baseline)": [float(r.condition("wall_ms")) for r in records],
    }
    for what, values in found.items():
        cv = statistics.stdev(values) / statistics.mean(values)
        print(f"{what:28s} spread (max/min - 1) {spread(values):7.1%}   standard deviation {cv:6.1%} of the mean")
    apart = [spread(v) for v in found.values()]
    print(f"baseline / ours              {apart[-1] / apart[0]:.0f} times the spread")


if __name__ == "__main__":
    main()
