"""Estimated top-1 of candidates that were never seen, on one core, against counting their exact costs.

A search counts first, to see whether a candidate keeps the budget, and what was counted is remembered; so the two are
timed in turns of a generation, 50 candidates each. An estimate without a count before it costs the sum.

python benchmarks/estimate_speed.py [--candidates 1000]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence

from mvsearch.accuracy import estimate_top1
from mvsearch.costs import count
from mvsearch.search.proposer import GENERATION_SIZE
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
    candidates = [space.decode(space.random_point(rng)) for _ in range(n)]
    warm = space.decode(space.random_point(rng))
    count(warm, RESOLUTION), estimate_top1(warm, RESOLUTION)
    counting = estimating = 0.0
    for start in range(0, n, GENERATION_SIZE):
        generation = candidates[start : start + GENERATION_SIZE]
        counting += seconds(lambda spec: count(spec, RESOLUTION), generation)
        estimating += seconds(lambda spec: estimate_top1(spec, RESOLUTION), generation)
    print(f"{n} random candidates, none seen before, CPU seconds on one core")
    print(f"exact costs (baseline)    {counting:.2f} s")
    print(f"estimated top-1           {estimating:.2f} s, {estimating / counting:.2f} of the baseline")
    print(f"both                      {counting + estimating:.2f} s")


if __name__ == "__main__":
    main()
