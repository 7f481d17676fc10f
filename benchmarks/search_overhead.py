"""What the driver of a search costs per trial, beside the evaluations: ask, tell, store; and the memory it takes.

The baseline of each run is its own first 1,000 trials: overhead must not grow with the number of trials. With `--surprise`
the estimates are off by a factor that depends on the blocks, and by noise, so that the sampler has to correct them all
along; without it the evaluation brings what was estimated, as in a search without a device.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target


def surprised(evaluation: Evaluation) -> Evaluation:
    """The same with another latency: slower blocks, and noise of its own."""
    if evaluation.failure:
        return evaluation
    spec, latency = evaluation.spec, evaluation.measurements["latency"]
    share = sum(b.endswith("v2") for b in spec.blocks) / max(1, len(spec.blocks))
    factor = 1.3**share * math.exp(random.Random(spec.arch_id).gauss(0, 0.05))
    changed = replace(latency, value=latency.value * factor, low=latency.low and latency.low * factor, high=None)
    return replace(evaluation, measurements={**evaluation.measurements, "latency": changed})


class Clocked(InProcessExecutor):
    """Keeps how long the evaluations took, to be taken off."""

    def __init__(self, surprise: bool) -> None:
        self.surprise = surprise
        self.seconds = 0.0

    def feed(self, task, source, resource=None, timeout_s=None):  # type: ignore[no-untyped-def]
        """See `Executor.feed`."""

        def timed(item):  # type: ignore[no-untyped-def]
            start = time.process_time()
            found = task(item)
            self.seconds += time.process_time() - start
            return [surprised(e) for e in found] if self.surprise else found

        return super().feed(timed, source, resource, timeout_s)


class Marks:
    """Listens for the marks and notes time and memory there."""

    def __init__(self, marks: list[int], executor: Clocked) -> None:
        self.marks, self.executor = marks, executor
        self.start = self.last = time.process_time()
        self.evaluated = 0.0
        self.before = 0
        self.memory = peak_mb()

    def stage(self, text: str) -> None:
        """Nothing of the search."""

    def first_front(self, trials, front) -> None:  # type: ignore[no-untyped-def]
        """Not shown."""

    def progress(self, done: int, total: int, best: str) -> None:
        """At a mark, print what the trials since the last one took."""
        if done not in self.marks:
            return
        now = time.process_time()
        own = now - self.last - (self.executor.seconds - self.evaluated)
        per_trial = 1e3 * own / (done - self.before)
        print(f"{done:>9,}  {per_trial:6.2f} ms/trial since the last mark  {peak_mb():7.0f} MB peak  {best}", flush=True)
        self.last, self.evaluated, self.before = now, self.executor.seconds, done


def peak_mb() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--surprise", action="store_true")
    options = parser.parse_args()
    space, target = load_space("mobilevit"), get_target("iphone12")
    settings = RunSettings(parse_budgets(["2M-params"]), "iphone12", "mobilevit", space.content_hash, 1, 0, 256, 0.8)
    goals = goals_of(settings, target)
    estimate(next(iter(map(space.decode, space.published_points().values()))), 256, target)  # What is loaded once is loaded.
    marks = [m for m in (250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 75_000, 100_000) if m <= options.trials]
    executor = Clocked(options.surprise)
    kind = "estimates that are off" if options.surprise else "exact estimates"
    print(f"CPU time of the driver beside the evaluations; {kind}")
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "trials.sqlite", space, 256)) as store:
        listener = Marks(marks, executor)
        explorer = Explorer(space, goals, target, store, 0, listener, stop_flat=False)
        trials = explorer.run(options.trials, [executor])
    total = time.process_time() - listener.start - executor.seconds
    own, evaluations = (1e3 * s / len(trials) for s in (total, executor.seconds))
    print(f"{len(trials):>9,}  {own:6.2f} ms/trial overall; evaluations {evaluations:.2f}")


if __name__ == "__main__":
    main()
