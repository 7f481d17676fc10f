"""The default sampler against random sampling with the same screen: dominated area at equal numbers of trials.

Both see the same exact costs, estimates and predictions, and neither ever evaluates a candidate twice or over
budget. The area is that of (lower bound of top-1, latency) down to the floor and the slowest candidate seen by
either, as a share of the larger.
"""

from __future__ import annotations

import argparse
import random
import statistics

from mvsearch.search.estimate import estimate
from mvsearch.search.evolution import GENERATION_SIZE, Known, next_generation
from mvsearch.search.pareto import Pair, hypervolume
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="2M-params")
    parser.add_argument("--space", default="mobilevit")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    space, target = load_space(options.space), get_target("iphone12")
    budgets = parse_budgets([options.budget])
    goals = goals_of(RunSettings(budgets, "iphone12", space.name, space.content_hash, 1, 0, 256, 0.8), target)

    def evolution(seed: int) -> list[Pair]:
        known: list[Known] = []
        for number in range(-(-options.trials // GENERATION_SIZE)):
            for p in next_generation(space, goals.excess, known, seed, number).proposals:
                pair = goals.objectives(estimate(p.spec, 256, target))
                known.append(Known(p.point, p.spec.arch_id, pair, max(0.0, goals.floor - pair[0])))
        return [k.objectives for k in known if k.objectives]

    def screened_random(seed: int) -> list[Pair]:
        rng, found = random.Random(seed), {}
        while len(found) < options.trials:
            spec = space.decode(space.random_point(rng))
            if spec.arch_id not in found and goals.excess(spec) <= 0:
                found[spec.arch_id] = goals.objectives(estimate(spec, 256, target))
        return list(found.values())

    marks = [m for m in (100, 300, 1000, 3000) if m <= options.trials]
    areas: dict[str, list[list[float]]] = {"evolution": [], "random": []}
    for seed in range(options.seeds):
        runs = {"evolution": evolution(seed), "random": screened_random(seed)}
        reference = (goals.floor, max(cost for pairs in runs.values() for _, cost in pairs))
        for name, pairs in runs.items():
            areas[name].append([hypervolume(pairs[:m], reference) for m in marks])
    print(f"{options.budget}, `{space.name}`, iphone12 (predicted), {options.seeds} seeds; area of random at each mark = 1")
    for i, mark in enumerate(marks):
        ratios = [e[i] / r[i] if r[i] else float("inf") for e, r in zip(areas["evolution"], areas["random"], strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{mark:6,} trials: evolution / random  median {statistics.median(ratios):.2f}  {spread}")


if __name__ == "__main__":
    main()
