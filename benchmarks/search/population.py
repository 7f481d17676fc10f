"""pymoo's NSGA-II with populations of several sizes, as is and with our screen: which one is fair to it?"""

from __future__ import annotations

import argparse
import statistics

from mvsearch.search.bench import contenders
from mvsearch.search.bench.problems import problem_of
from mvsearch.search.bench.pymoo_nsga2 import PymooContender
from mvsearch.search.bench.race import Ledger, race


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="two-objectives")
    parser.add_argument("--populations", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    problem = problem_of(options.problem)
    ledger = Ledger(problem)
    print(f"{problem.name}: hypervolume after 250, 500, 1,000 trials, median (lowest to highest) of {options.seeds} seeds")
    for variant in ("as-is", "screened"):
        for population in options.populations:
            contenders.CONTENDERS["pymoo-nsga2"] = lambda p, seed, prior, n=population: PymooContender(p, seed, n)  # type: ignore[misc]
            races = [race(problem, "pymoo-nsga2", variant, seed, options.trials, ledger) for seed in range(options.seeds)]
            cells = []
            for trials in (250, 500, 1000):
                found = [rows[at].hypervolume for rows in races if (at := _index(rows, trials)) is not None]
                if found:
                    cells.append(f"{statistics.median(found):.3f} ({min(found):.2f} to {max(found):.2f})")
            print(f"{variant:9} population {population:4}  {'  '.join(cells)}", flush=True)


def _index(rows, trials):  # type: ignore[no-untyped-def]
    return next((i for i, row in enumerate(rows) if row.trials == trials), None)


if __name__ == "__main__":
    main()
