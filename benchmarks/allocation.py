"""What it is worth to spend a fixed size one way or another: train the designed networks, all alike.

python benchmarks/allocation.py --list
python benchmarks/allocation.py --data DIR_OR_ZIP --out CSV [--seeds 0 1] [--only NAME ...] [--workers 2] [--steps 400]

A row is written when its training ends, and a row that is there is not trained again: it can be stopped at any
time and goes on where it was. `python -m mvsearch.accuracy.allocation CSV` shows the effects.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.accuracy.allocation.cases import cases
from mvsearch.accuracy.allocation.design import BASE_NAME, NUM_CLASSES, RESOLUTION, by_name, design
from mvsearch.accuracy.allocation.table import append_result, read_results, result_of
from mvsearch.accuracy.images import ImageCache, ImageSet, load_images, prepare_images
from mvsearch.accuracy.trained import Recipe, TrainingRecord
from mvsearch.costs import count
from mvsearch.errors import InputError
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import format_count

if TYPE_CHECKING:
    from concurrent.futures import Future

BASE_SEEDS, CASE_SEEDS = (0, 1, 2, 3), (0, 1)
EVALUATIONS = 1

Job = tuple[str, int]
"""Name of a network, and a seed."""


def network_of(name: str) -> ArchSpec:
    """A network of the design or a case, with the design's classes."""
    candidate = by_name(name)
    if candidate is not None:
        return candidate.spec
    if name in cases():
        return cases()[name].with_classes(NUM_CLASSES)
    known = ", ".join([c.name for c in design()] + list(cases()))
    raise InputError(f"no network `{name}` in the design", f"one of {known}")


def jobs(seeds: Sequence[int]) -> list[Job]:
    """Everything in the order of its worth: all networks once, the base's noise, the cases, then the other seeds."""
    names = [c.name for c in design()]
    order = [(name, seeds[0]) for name in names]
    for seed in CASE_SEEDS:
        order += [(name, seed) for name in cases()]
    order += [(BASE_NAME, seed) for seed in BASE_SEEDS]
    order += [(name, seed) for seed in seeds[1:] for name in names]
    return list(dict.fromkeys(order))


@lru_cache(maxsize=1)
def _images(cache: ImageCache) -> ImageSet:
    return load_images(cache)


def run_one(job: Job, cache: ImageCache, recipe: Recipe, parent: int) -> tuple[Job, TrainingRecord]:
    """Train one network in this process, on one thread."""
    import torch

    from mvsearch.accuracy.training import train

    def stop_with_parent(step: int, steps: int) -> None:
        # A parent that was killed cannot write the row any more.
        if os.getppid() != parent:
            os._exit(1)

    torch.set_num_threads(1)
    name, seed = job
    device = torch.device("cpu")
    return job, train(network_of(name), _images(cache), recipe, seed, device, stop_with_parent)


def run_all(todo: Sequence[Job], cache: ImageCache, recipe: Recipe, out: Path, workers: int) -> int:
    """Train these in so many processes; returns how many failed."""
    failed, start = 0, time.monotonic()
    # A fork would inherit torch's threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures: list[Future[tuple[Job, TrainingRecord]]] = [
            pool.submit(run_one, job, cache, recipe, os.getpid()) for job in todo
        ]
        for done, future in enumerate(as_completed(futures), 1):
            (name, seed), record = future.result()
            left = (time.monotonic() - start) / done * (len(todo) - done)
            if record.failure is not None:
                failed += 1
                print(f"{name} seed {seed}: failed, {record.failure}", file=sys.stderr, flush=True)
                continue
            append_result(out, result_of(name, record))
            print(
                f"{done}/{len(todo)}  {name} seed {seed}: trained top-1 {record.top1:.1f} %, loss {record.val_loss:.3f}, "
                f"{record.images_per_second:.0f} images/s, {record.seconds:.0f} s; about {left / 60:.0f} min to go",
                flush=True,
            )
    return failed


def print_design() -> None:
    """What the design holds; all of it counted."""
    print(f"{'name':<34}{'params':>9}{'activ.':>9}{'MACs':>9}   at {RESOLUTION} px, {NUM_CLASSES} classes, counted")
    for candidate in design():
        costs = candidate.costs
        steps = ", ".join(f"{knob} {step:+.2f}" for knob, step in candidate.steps.items()) or "base"
        print(
            f"{candidate.name:<34}{format_count(costs.params):>9}{format_count(costs.activations):>9}"
            f"{format_count(costs.macs):>9}   {steps}; widths x{candidate.width_factor:.2f}, tilt {candidate.tilt:+.2f}"
        )
    for name in cases():
        costs = count(network_of(name), RESOLUTION)
        print(
            f"{name:<34}{format_count(costs.params):>9}{format_count(costs.activations):>9}{format_count(costs.macs):>9}   case"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="show the networks and train nothing")
    parser.add_argument("--data", help="folder or archive of images, a folder per class")
    parser.add_argument("--out", type=Path, help="table that rows are added to")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the candidates")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks alone, with --seeds")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    if args.list:
        print_design()
        return
    if args.data is None or args.out is None:
        parser.error("--data and --out are needed")
    try:
        order = [(name, s) for s in args.seeds for name in args.only] if args.only else jobs(args.seeds)
        for name, _ in order:
            network_of(name)
        recipe = Recipe(args.steps, resolution=RESOLUTION, evaluations=EVALUATIONS)
        cache = prepare_images(args.data, RESOLUTION)
        there = {r.key for r in read_results(args.out)} if args.out.exists() else set()
    except InputError as error:
        parser.error(f"{error.message}\nhint: {error.hint}")
    todo = [job for job in order if (network_of(job[0]).arch_id, cache.key, recipe.key, job[1]) not in there]
    print(f"{len(todo)} trainings to do, {len(order) - len(todo)} are there; {recipe.describe()}", flush=True)
    sys.exit(1 if run_all(todo, cache, recipe, args.out, args.workers) else 0)


if __name__ == "__main__":
    main()
