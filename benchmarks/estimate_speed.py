"""Estimated top-1 of candidates that were never seen, on one core, against counting their exact costs.

python benchmarks/estimate_speed.py [--candidates 1000]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence

from mvsearch.accuracy import estimate_top1
from mvsearch.costs import count
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space_file import load_space

RESOLUTION = 256


def seconds(do: Callable[[ArchSpec], object], specs: Sequence[ArchSpec]) -> float:
    """CPU seconds for all of them; the machine may be shared."""
    start = time.process_time()
    for spec in specs:
        do(spec)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=1000)
    n = parser.parse_args().candidates
    space, rng = load_space("mobilevit"), random.Random(0)
    # Two sets, so that neither profits from what the other has left in memory.
    counted, estimated = ([space.decode(space.random_point(rng)) for _ in range(n)] for _ in range(2))
    warm = space.decode(space.random_point(rng))
    count(warm, RESOLUTION), estimate_top1(warm, RESOLUTION)
    baseline = seconds(lambda spec: count(spec, RESOLUTION), counted)
    own = seconds(lambda spec: estimate_top1(spec, RESOLUTION), estimated)
    counted_too = seconds(lambda spec: (count(spec, RESOLUTION), estimate_top1(spec, RESOLUTION)), counted)
    print(f"{n} random candidates, none seen before, CPU seconds on one core")
    print(f"exact costs (baseline)              {baseline:.2f} s")
    print(f"estimated top-1                     {own:.2f} s, {own / baseline:.2f} of the baseline")
    print(f"both, the costs known by then       {counted_too:.2f} s")


if __name__ == "__main__":
    main()
