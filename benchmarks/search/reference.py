"""Make or improve the reference fronts of `mvsearch bench`, and write them where the package keeps them.

The table is evaluated whole. The other fronts are merged from what is there already and from long runs of pymoo's NSGA-II
(population 200, as its users would run it) and of our default, several seeds each; then local search: all neighbours of all
members, one knob changed to any value, or two knobs by a step each, until the front's hypervolume grows no more or the time
is up.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

from mvsearch.search.belief import Belief
from mvsearch.search.bench import contenders, tabular
from mvsearch.search.bench.problems import Problem, problem_of
from mvsearch.search.bench.pymoo_nsga2 import PymooContender
from mvsearch.search.bench.race import Ledger, race
from mvsearch.search.bench.reference import Member, load_reference, merge, reference_volume, save_reference
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Point, SearchSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem", choices=("two-objectives", "three-objectives", "tabular"))
    parser.add_argument("--engines", nargs="+", default=["pymoo", contenders.OURS], help="`pymoo`, or contenders of the bench")
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=100, help="beyond those of the bench")
    parser.add_argument("--polish-minutes", type=float, default=0.0)
    options = parser.parse_args()
    if options.problem == "tabular":
        evaluate_table()
        return
    problem = problem_of(options.problem)
    members = load_reference(problem.name)
    contenders.CONTENDERS["pymoo"] = lambda p, seed, prior: PymooContender(p, seed, population=200)
    for engine, seed in itertools.product(options.engines, range(options.first_seed, options.first_seed + options.seeds)):
        members = merge([*members, *long_run(problem, engine, seed, options.trials)], problem.directions)
        save(problem, members, f"{engine}, seed {seed}, {options.trials:,} trials")
    polish(problem, members, time.monotonic() + 60 * options.polish_minutes)


def save(problem: Problem, members: list[Member], after: str) -> None:
    save_reference(problem.name, problem.objectives, members)
    volume = reference_volume(members, problem.directions, problem.reference)
    print(
        f"{time.strftime('%H:%M')} {problem.name}: {len(members)} members, hypervolume {volume:.6g} after {after}", flush=True
    )


def long_run(problem: Problem, engine: str, seed: int, trials: int) -> list[Member]:
    """All feasible networks that the run evaluated."""
    found: dict[str, Member] = {}

    def evaluate(spec: ArchSpec) -> Belief:
        outcome = problem.evaluate(spec)
        if problem.constraint(spec, outcome) <= 0:
            found[spec.arch_id] = Member(spec.arch_id, outcome.values, text_of(problem.space, problem.space.encode(spec)))
        return outcome

    watched = replace(problem, evaluate=evaluate)
    race(watched, engine, "as-is", seed, trials, Ledger(watched), step=trials)
    return list(found.values())


def polish(problem: Problem, members: list[Member], until: float) -> None:
    """Local search on the front."""
    space, tried = problem.space, set[str]()
    fresh = members
    while fresh and time.monotonic() < until:
        found = []
        for m in fresh:
            if time.monotonic() > until:
                break
            for point in neighbours(space, point_of(space, m.point)):
                spec = space.decode(point)
                if spec.arch_id in tried:
                    continue
                tried.add(spec.arch_id)
                if problem.excess(spec) > 0:
                    continue
                outcome = problem.evaluate(spec)
                if problem.constraint(spec, outcome) <= 0:
                    found.append(Member(spec.arch_id, outcome.values, text_of(space, point)))
            if len(found) > 5000:
                found = merge(found, problem.directions)
        known = {m.arch_id for m in members}
        members = merge([*members, *found], problem.directions)
        fresh = [m for m in members if m.arch_id not in known]
        save(problem, members, f"local search, {len(tried):,} neighbours tried in all, {len(fresh)} new members")


def neighbours(space: SearchSpace, point: Point) -> Iterator[Point]:
    """One knob changed to any other choice, or two knobs moved by a step each."""
    steps: dict[str, list[object]] = {}
    for d in space.dimensions:
        at = d.choices.index(point[d.name])
        near = [c for c in d.choices if c != point[d.name]]
        yield from ({**point, d.name: c} for c in near)
        steps[d.name] = [d.choices[i] for i in (at - 1, at + 1) if 0 <= i < len(d.choices)] if d.ordered else near
    for a, b in itertools.combinations(space.dimensions, 2):
        for x, y in itertools.product(steps[a.name], steps[b.name]):
            yield {**point, a.name: x, b.name: y}  # type: ignore[dict-item]


def text_of(space: SearchSpace, point: Point) -> str:
    return "|".join(str(point[d.name]) for d in space.dimensions)


def point_of(space: SearchSpace, text: str) -> Point:
    return {
        d.name: next(c for c in d.choices if str(c) == cell)
        for d, cell in zip(space.dimensions, text.split("|"), strict=True)
    }  # fmt: skip


def evaluate_table() -> None:
    space = tabular.table_space()
    truth, excess = tabular.truth_of(space), tabular.excess_of(space)
    feasible = [
        Member(spec.arch_id, truth(spec).values, text_of(space, space.encode(spec)))
        for spec in tabular.all_specs(space)
        if excess(spec) <= 0
    ]
    members = merge(feasible, ("maximize", "minimize"))
    save_reference("tabular", ("top-1 (made up, %)", "latency (made up, ms)"), members)
    print(f"tabular: {len(members)} members of {len(feasible):,} networks within the budget, of {space.num_points:,} in all")


if __name__ == "__main__":
    main()
