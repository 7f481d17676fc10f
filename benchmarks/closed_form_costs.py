"""Closed-form costs against build + fvcore: the same random candidates, one run, one thread.

Caches are empty before the closed form starts, and every candidate is new to it. The two counts are compared
as integers on the way.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import torch

from mvsearch.costs import count
from mvsearch.models import build
from mvsearch.models.witness import count_built
from mvsearch.search.folder import machine, versions
from mvsearch.spec.space_file import load_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--space", default="mobilevit")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    space, rng = load_space(options.space), random.Random(options.seed)
    specs = [space.decode(space.random_point(rng)) for _ in range(options.candidates)]
    count_built(build(specs[0]), options.resolution)  # imports and first-call work of the baseline are not timed

    closed_ms, built_ms = [], []
    for spec in specs:
        start = time.perf_counter()
        costs = count(spec, options.resolution)
        closed_ms.append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()
        built = count_built(build(spec), options.resolution)
        built_ms.append(1e3 * (time.perf_counter() - start))
        assert (costs.params, costs.macs) == (built.params, built.macs), spec.arch_id

    ratios = [b / c for b, c in zip(built_ms, closed_ms, strict=True)]
    print(f"{machine()}; " + ", ".join(f"{n} {v}" for n, v in versions()[:3]))
    print(f"{len(specs)} random candidates of `{space.name}` at {options.resolution} px, seed {options.seed}, counts equal")
    print(f"closed form, new candidate   median {statistics.median(closed_ms):8.3f} ms")
    print(f"build + fvcore               median {statistics.median(built_ms):8.1f} ms")
    of_sums = sum(built_ms) / sum(closed_ms)
    print(f"ratio                        median {statistics.median(ratios):8.0f}   (of sums {of_sums:.0f})")


if __name__ == "__main__":
    main()
