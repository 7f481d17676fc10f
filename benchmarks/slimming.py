"""Slimming against the default sampler: the same space, budget and estimates, at equal trials.

Said of both: the hypervolume of (lower bound of top-1, predicted latency) of what keeps the budget, down to the floor and to
the budget on latency (without one, the slowest published network within the budget), and the best lower bound; and of slimming
the seconds to the budget, from the largest network of the space. Nothing is measured on a device or trained.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer, Silent
from mvsearch.search.goals import Goals
from mvsearch.search.pareto import Pair, hypervolume
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of, published_points
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Trial
from mvsearch.spec.run import SLIM_CRITERIA, RunSettings
from mvsearch.spec.space import SearchSpace
from mvsearch.spec.space_file import load_space
from mvsearch.targets import Target, get_target

CONFIDENCE = 0.8


class Clock(Silent):
    """Notes when the first network within the budget was found."""

    def __init__(self) -> None:
        self.start, self.cpu = time.monotonic(), time.process_time()
        self.met: tuple[int, float, float] | None = None

    def progress(self, done: int, total: int, best: str) -> None:
        """See `Listener.progress`."""
        if self.met is None and best.startswith("top-1"):
            self.met = done, time.monotonic() - self.start, time.process_time() - self.cpu


def search(
    space: SearchSpace, goals: Goals, target: Target, trials: int, strategy: str, slim_by: str, seed: int
) -> tuple[list[Trial], Clock, float]:
    """(trials, clock, CPU seconds in all)."""
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "t.sqlite", space, goals.resolution)) as store:
        clock = Clock()
        explorer = Explorer(space, goals, target, store, seed, clock, stop_flat=False, strategy=strategy, slim_by=slim_by)
        return explorer.run(trials, [InProcessExecutor()]), clock, time.process_time() - clock.cpu


def row(name: str, trials: int, kept: int, volume: float, best: float, seconds: float | None) -> None:
    """Print a line; the CPU time is that of all trials."""
    spent = "" if seconds is None else f"{seconds:.1f}"
    print(f"{name:34}{trials:>7,}{kept:>11,}{volume:>13.3f}{best:>15.2f}{spent:>8}", flush=True)


def said(goals: Goals, trials: Sequence[Trial], reference: Pair) -> tuple[float, float, int]:
    """(hypervolume, best lower bound of top-1, number) of what keeps the budget."""
    points = [goals.objectives(t.evaluation) for t in trials if t.feasible]
    return hypervolume(points, reference), max((gain for gain, _ in points), default=math.nan), len(points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mobilevit")
    parser.add_argument("--target", default="iphone12")
    parser.add_argument("--budget", default="2M-params,3ms")
    parser.add_argument("--trials", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--seeds", type=int, default=3, help="of the sampler; slimming has none")
    options = parser.parse_args()
    space, target = load_space(options.space), get_target(options.target)
    settings = RunSettings(
        parse_budgets([options.budget]), options.target, options.space, space.content_hash, 1, 0, space.resolution, CONFIDENCE
    )
    goals = goals_of(settings, target)
    limits = [b.limit for b in goals.budgets if not b.is_counted]
    slowest = [p.evaluation.measurements["latency"].value for p in published_points(goals, target) if p.feasible]
    reference = (goals.floor, min(limits, default=max(slowest, default=math.inf)))
    if not all(map(math.isfinite, reference)):
        parser.error(f"no published network keeps `{options.budget}`: there is no point to measure the hypervolume from")
    print(f"{options.space} within {options.budget}, {options.target}; from {reference[0]:.2f} % and {reference[1]:.2f} ms")
    print(f"{'':34}{'trials':>7}{'in budget':>11}{'hypervolume':>13}{'best top-1 >=':>15}{'CPU s':>8}")
    rows: dict[int, list[tuple[float, float, int]]] = {n: [] for n in options.trials}
    for seed in range(options.seeds):
        trials, _, seconds = search(space, goals, target, max(rows), "sample", SLIM_CRITERIA[0], seed)
        for n, found in rows.items():
            found.append(said(goals, trials[:n], reference))
    for n, found in rows.items():
        volume, best, kept = (statistics.median(column) for column in zip(*found, strict=True))
        row(f"sample, median of {options.seeds} seeds", n, int(kept), volume, best, seconds if n == max(rows) else None)
    for slim_by in SLIM_CRITERIA:
        trials, clock, seconds = search(space, goals, target, max(rows), "slimming", slim_by, 0)
        # Where the paths have come to their end, there are no more trials to be had.
        marks = [n for n in rows if n < len(trials)]
        for n in (*marks, min(len(trials), max(rows))):
            volume, best, kept = said(goals, trials[:n], reference)
            row(f"slimming by {slim_by}", n, kept, volume, best, seconds if n == min(len(trials), max(rows)) else None)
        if clock.met:
            steps, wall, cpu = clock.met
            print(f"    met the budget at trial {steps:,} after {wall:.1f} s ({cpu:.1f} s of CPU)")


if __name__ == "__main__":
    main()
