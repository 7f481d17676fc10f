"""How busy Ray's workers are kept: simulated evaluations that only wait, so that cores do not matter.

python benchmarks/ray_utilisation.py [--workers 16] [--seconds 1] [--rounds 12] [--spread 0]

Busy is the share of the workers' time, from the first task handed out to the last result, in which an evaluation runs. The
baseline is a perfect scheduler: as many rounds as there are tasks for each worker. The start of the workers is not counted,
and is printed.
"""

import argparse
import os
import random
import time

from mvsearch.search.ray import RayExecutor


def evaluate(seconds: float) -> tuple[int, float, float]:
    """A simulated evaluation: (process, start, end)."""
    start = time.time()
    time.sleep(seconds)
    return os.getpid(), start, time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one evaluation")
    parser.add_argument("--rounds", type=int, default=12, help="evaluations for each worker")
    parser.add_argument("--spread", type=float, default=0.0, help="evaluations take up to this share more or less")
    options = parser.parse_args()
    began = time.monotonic()
    executor = RayExecutor(options.workers)
    started = time.monotonic() - began
    try:
        # Until every worker is there.
        while len({pid for _, (pid, _, _) in executor.map(evaluate, [0.2] * 2 * options.workers)}) < options.workers:
            pass
        there = time.monotonic() - began
        rng = random.Random(0)
        tasks = [options.seconds * (1 + options.spread * rng.uniform(-1, 1)) for _ in range(options.workers * options.rounds)]
        start = time.time()
        runs = [run for _, run in executor.map(evaluate, tasks)]
        wall = time.time() - start
    finally:
        executor.close()
    busy = sum(end - begin for _, begin, end in runs)
    perfect = sum(tasks) / options.workers
    ends: dict[int, float] = {}
    gaps = []
    for pid, begin, end in sorted(runs, key=lambda run: run[1]):
        if pid in ends:
            gaps.append(begin - ends[pid])
        ends[pid] = end
    gaps.sort()
    print(f"{len(tasks)} simulated evaluations of {options.seconds:g} s on {options.workers} workers, {os.cpu_count()} cores")
    print(f"Ray started in {started:.1f} s, all workers were there after {there:.1f} s (not counted below)")
    print(f"wall clock {wall:.2f} s, perfect {perfect:.2f} s; ratio {wall / perfect:.3f}")
    print(f"busy {busy / (wall * options.workers):.1%}")
    middle, late = (1e3 * gaps[len(gaps) * percent // 100] for percent in (50, 95))
    print(f"idle between two evaluations: median {middle:.0f} ms, 95 % {late:.0f} ms")


if __name__ == "__main__":
    main()
