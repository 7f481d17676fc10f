"""Does pessimism work? A run's front under refits of the estimator, beside fronts chosen by the plain estimate.

python benchmarks/estimator_stability.py RUN [--refits 100]

The plain estimate is what size, block kinds and patches say, without the shifts for departing from evidence and
without the lower bound. Two plain fronts: the one of the same trials, and that of a search of its own for it, with as
many trials and the same seed, space and budgets. Every refit estimates the members of each front anew by what that
front was chosen by; long fronts are thinned evenly to 40 members, as a run's is.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mvsearch.accuracy import estimate_top1, explain_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.stability import (
    Matrix,
    Objective,
    Refit,
    Spread,
    Stability,
    bootstrap_refits,
    estimates,
    family_refits,
    shaken_bounds,
    stability,
    winner,
)
from mvsearch.search.belief import Belief
from mvsearch.search.final import MAX_MEMBERS, verified_so_far
from mvsearch.search.folder import RunFolder
from mvsearch.search.goals import Goals
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.pareto import front, spread
from mvsearch.search.proposer import Proposer
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of, published_points
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space import SearchSpace
from mvsearch.spec.space_file import load_space
from mvsearch.targets import Target, get_target

NUM_RIVALS = 100
"""Networks beside the members that a refit might call best: those of the largest gain by the shipped fit."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with its latency and what its front is chosen by."""

    spec: ArchSpec
    latency_ms: float
    gain: float


@dataclass(frozen=True, slots=True)
class Front:
    """Members, fastest first, and the best of what was left behind."""

    name: str
    objective: Objective
    members: tuple[Candidate, ...]
    rivals: tuple[Candidate, ...]


def plain_top1(spec: ArchSpec, resolution: int) -> float:
    return explain_top1(spec, resolution).plain


def plain_floor(goals: Goals, target: Target) -> float:
    """The run's own rule, by the plain estimate: that of the least published network within the budgets."""
    feasible = [p.evaluation.spec for p in published_points(goals, target) if p.feasible]
    return min((plain_top1(spec, goals.resolution) for spec in feasible), default=float("-inf"))


def front_of(name: str, objective: Objective, candidates: Sequence[Candidate]) -> Front:
    on = [candidates[i] for i in front([(c.gain, c.latency_ms) for c in candidates])]
    members = [on[i] for i in spread(len(on), MAX_MEMBERS)]
    return Front(name, objective, tuple(members), rivals_of(members, candidates))


def rivals_of(members: Sequence[Candidate], candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    ids = {m.spec.arch_id for m in members}
    others = [c for c in candidates if c.spec.arch_id not in ids]
    return tuple(sorted(others, key=lambda c: -c.gain)[:NUM_RIVALS])


def search_plain(space: SearchSpace, goals: Goals, target: Target, seed: int, trials: int, floor: float) -> list[Candidate]:
    """The default search with another objective: fewer trials where nothing else promises to add to the front."""

    def believed(specs: Sequence[ArchSpec]) -> list[Belief]:
        beliefs = []
        for spec in specs:
            latency, gain = target.predict(spec, goals.resolution), plain_top1(spec, goals.resolution)
            misses = [math.log(latency.quantile(goals.confidence) / b.limit) for b in goals.budgets if not b.is_counted]
            beliefs.append(Belief((-gain, latency.value), max([floor - gain, *misses])))
        return beliefs

    proposer, knowledge = Proposer(space, goals.excess, believed, seed), Knowledge()
    found: list[Candidate] = []
    done = number = 0
    while done < trials and (proposals := proposer.generation(knowledge, number).proposals[: trials - done]):
        beliefs = believed([p.spec for p in proposals])
        knowledge.add(Known(p.point, p.spec.arch_id, b.values, b.constraint) for p, b in zip(proposals, beliefs, strict=True))
        found += [
            Candidate(p.spec, b.values[1], -b.values[0]) for p, b in zip(proposals, beliefs, strict=True) if b.constraint <= 0
        ]
        done, number = done + len(proposals), number + 1
    return found


def fronts(path: Path) -> tuple[list[Front], RunSettings]:
    folder = RunFolder(path)
    settings = RunSettings.from_json(folder.read()["settings"])
    space, target = load_space(settings.space), get_target(settings.target)
    goals = goals_of(settings, target)
    with closing(Store(folder.store, space, settings.resolution)) as store:
        trials = [t for t in store.trials() if t.feasible and not t.evaluation.failure]
        ids = [t.evaluation.arch_id for t in verified_so_far(trials, goals, store).members]

    def candidate(evaluation: Evaluation, gain: float) -> Candidate:
        return Candidate(evaluation.spec, evaluation.measurements["latency"].value, gain)

    # Estimated anew: a run may be older than the estimator.
    low = 1 - settings.confidence
    bounds = {
        t.evaluation.arch_id: candidate(t.evaluation, estimate_top1(t.evaluation.spec, settings.resolution).quantile(low))
        for t in trials
    }
    members = [bounds[i] for i in ids]
    found = [Front("run", "lower bound", tuple(members), rivals_of(members, list(bounds.values())))]
    floor = plain_floor(goals, target)
    same = [candidate(t.evaluation, plain_top1(t.evaluation.spec, settings.resolution)) for t in trials]
    found.append(front_of("plain, same trials", "plain", [c for c in same if c.gain >= floor]))
    searched = search_plain(space, goals, target, settings.seed, settings.trials, floor)
    found.append(front_of("plain, own search", "plain", searched))
    return found, settings


def judge(f: Front, refits: Sequence[Refit], settings: RunSettings) -> Stability:
    def say(candidates: Sequence[Candidate], by: Sequence[Refit]) -> tuple[Matrix, Matrix]:
        return estimates([c.spec for c in candidates], by, f.objective, settings.confidence, settings.resolution)

    shipped = say(f.members, [Refit("shipped", load_estimator())])
    rivals = say(f.rivals, refits) if f.rivals else None
    return stability(shipped, say(f.members, refits), [c.latency_ms for c in f.members], rivals)


def judge_shaken(f: Front, count: int, settings: RunSettings) -> Stability:
    specs, rivals = [c.spec for c in f.members], [c.spec for c in f.rivals]
    shipped = estimates(specs, [Refit("shipped", load_estimator())], f.objective, settings.confidence, settings.resolution)
    gain, value = shaken_bounds([*specs, *rivals], count, settings.confidence, resolution=settings.resolution)
    n = len(specs)
    others = (gain[:, n:], value[:, n:]) if rivals else None
    return stability(shipped, (gain[:, :n], value[:, :n]), [c.latency_ms for c in f.members], others)


def show(fronts: Sequence[Front], columns: dict[str, dict[str, Stability]]) -> None:
    def figures(s: Spread) -> str:
        return f"{s.median:.2f} ({s.worse:.2f})"

    rows = {
        "tau to the shipped order": lambda s: figures(s.kendall_to_shipped),
        "tau between refits": lambda s: figures(s.kendall_between),
        "pairs within 10 % of latency": lambda s: str(s.near_pairs),
        "  tau to the shipped order": lambda s: figures(s.near_to_shipped),
        "  tau between refits": lambda s: figures(s.near_between),
        "winner behind the best, points": lambda s: figures(s.winner_gap),
        "  by less than 0.5": lambda s: f"{s.winner_within:.0%}",
        "winner in the best tier or the next": lambda s: f"{s.winner_in_next:.0%}",
    }
    for title, judged in columns.items():
        print(f"\n{title}: median (worse 5 %)\n{'':36}" + "".join(f"{f.name:>20}" for f in fronts if f.name in judged))
        for name, text in rows.items():
            print(f"{name:36}" + "".join(f"{text(judged[f.name]):>20}" for f in fronts if f.name in judged))


def describe(f: Front, settings: RunSettings) -> str:
    """The front under the shipped fit: how far from evidence it is, and what is left of its winner."""
    explained = [explain_top1(c.spec, settings.resolution) for c in f.members]
    shipped = [Refit("shipped", load_estimator())]
    specs = [c.spec for c in f.members]
    gain, value = estimates(specs, shipped, f.objective, settings.confidence, settings.resolution)
    first = winner(gain[0], value[0], [c.latency_ms for c in f.members])
    e, bound = explained[first], estimate_top1(specs[first], settings.resolution).quantile(1 - settings.confidence)
    depths = ",".join(str(s.depth) for s in specs[first].transformer_stages)
    return (
        f"{f.name:20} {len(f.members):3} members, sigma {statistics.median(x.sigma for x in explained):.2f} in the median, "
        f"{sum(bool(x.flags) for x in explained)} flagged; winner {f.members[first].latency_ms:.2f} ms, L {depths}, "
        f"plain {e.plain:.1f}, estimate {e.value:.1f} +- {e.sigma:.1f}, at least {bound:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run, with its `trials.sqlite`")
    parser.add_argument("--refits", type=int, default=100, help="bootstrap refits, and draws of the judgements")
    options = parser.parse_args()
    start = time.process_time()
    every, settings = fronts(options.run)
    budgets = ", ".join(b.text for b in settings.budgets)
    print(f"{budgets} on {settings.target}, `{settings.space}`, seed {settings.seed}, confidence {settings.confidence:g}")
    print(
        "every top-1 is estimated, every latency predicted; a plain winner: the fastest within 0.5 of the best plain estimate"
    )
    for f in every:
        print(describe(f, settings))
    bootstrap, families = bootstrap_refits(options.refits), family_refits()
    columns = {
        f"{len(bootstrap)} bootstrap refits": {f.name: judge(f, bootstrap, settings) for f in every},
        f"{len(families)} refits, each without one family": {f.name: judge(f, families, settings) for f in every},
        f"{options.refits} draws of the judgements (biases, kappas), the shipped fit": {
            every[0].name: judge_shaken(every[0], options.refits, settings)
        },
    }
    show(every, columns)
    print(f"\n{time.process_time() - start:.0f} s of CPU")


if __name__ == "__main__":
    main()
