"""Races of search engines on the bench's problems."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError

if TYPE_CHECKING:
    from mvsearch.search.bench.problems import Problem
    from mvsearch.search.bench.race import Ledger, Row
    from mvsearch.search.bench.results import Race

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Bench:
    """What a bench found.

    Attributes:
        problems: raced on.
        reference: hypervolume of each problem's reference front; 0 where none is known.
        races: (problem, contender, variant, seed) -> rows.
        trials: per race.
        machine, versions: where and with what, as in a run.
    """

    problems: tuple[Problem, ...]
    reference: dict[str, float]
    races: dict[Race, list[Row]]
    trials: int
    machine: str
    versions: tuple[tuple[str, str], ...]


def bench(
    problems: Sequence[str] = (),
    contenders: Sequence[str] = (),
    variants: Sequence[str] = (),
    *,
    trials: int = 1000,
    seeds: int = 5,
    out: str | Path,
    resume: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> Bench:
    """Race search engines on equal terms; every finished race is on disk before the next one ends.

    Args:
        problems: names; all by default.
        contenders: names; all by default.
        variants: `as-is`, `screened`, `started`; the first two by default (see `VARIANTS`).
        trials: evaluations per race.
        seeds: races of each engine on each problem; seeds from 0.
        out: folder for `races.csv`, `bench.json`, the table and the picture.
        resume: go on in a folder that holds races already.
        processes: races at the same time; seconds of a race are CPU seconds of its own process.
        progress: called with races done, races to do, and what is at hand.

    Raises:
        InputError: an unknown name, a number out of range, a package that is missing, or a folder that is not empty.
    """
    from mvsearch.search.bench.problems import PROBLEMS
    from mvsearch.search.bench.reference import load_reference, reference_volume
    from mvsearch.search.bench.results import Results
    from mvsearch.search.folder import machine, versions

    if trials < 1 or seeds < 1 or processes < 1:
        name, value = next((n, v) for n, v in (("trials", trials), ("seeds", seeds), ("processes", processes)) if v < 1)
        raise InputError(f"`--{name}` is `{value}`", "an integer of at least 1")
    plan = _plan(problems or PROBLEMS, contenders, variants, seeds)
    folder = Path(out)
    results = Results(folder / "races.csv")
    if results.path.exists() and not resume:
        raise InputError(f"`{results.path}` exists", "add `--resume` to go on with it, or give another folder")
    # Races that are not asked for now, or went less far, stay in the file.
    known, done = results.races(), results.finished(trials)
    made = {name: _problem(name) for name in dict.fromkeys(race[0] for race in (*plan, *known))}
    reference = {n: reference_volume(load_reference(n), p.directions, p.reference) for n, p in made.items()}
    folder.mkdir(parents=True, exist_ok=True)
    if resume:
        results.rewrite(known, reference)
    todo = [race for race in plan if race not in done]
    for number, rows in enumerate(_raced(todo, trials, processes), start=1):
        results.add(rows, reference)
        done[rows[0].problem, rows[0].contender, rows[0].variant, rows[0].seed] = rows
        if progress:
            last = rows[-1]
            name = f"{last.problem}, {last.contender} {last.variant}, seed {last.seed}"
            progress(number, len(todo), f"{name}: {last.hypervolume:.4g} after {last.trials} trials, {last.seconds:.1f} CPU s")
    results.rewrite(known | done, reference)
    asked = tuple(made[name] for name in dict.fromkeys(race[0] for race in plan))
    found = Bench(asked, reference, {race: done[race] for race in plan}, trials, machine(), tuple(versions()))
    (folder / "bench.json").write_text(
        json.dumps(_record(found, tuple(made.values()), seeds), indent=1) + "\n", encoding="utf-8"
    )
    return found


def _plan(problems: Sequence[str], contenders: Sequence[str], variants: Sequence[str], seeds: int) -> list[Race]:
    """Races in order: a problem at a time, cheap to miss last."""
    from mvsearch.search.bench.contenders import CONTENDERS, DEFAULT_VARIANTS, OURS, VARIANTS, variants_of

    for name in contenders:
        if name not in CONTENDERS:
            raise InputError(f"unknown contender `{name}`", f"one of {', '.join(CONTENDERS)}")
    for name in variants:
        if name not in VARIANTS:
            raise InputError(f"unknown variant `{name}`", f"one of {', '.join(VARIANTS)}")
    return [
        (problem, contender, variant, seed)
        for problem in dict.fromkeys(problems)
        for variant in VARIANTS
        for contender in CONTENDERS
        # Ours is raced once, whatever is lent to the others.
        if variant in (variants or DEFAULT_VARIANTS) or contender == OURS
        if (not contenders or contender in contenders) and variant in variants_of(contender)
        for seed in range(seeds)
    ]


def _raced(todo: Sequence[Race], trials: int, processes: int) -> Iterator[list[Row]]:
    """Races as they finish."""
    if processes == 1:
        for race in todo:
            yield _run(race, trials)
        return
    import multiprocessing

    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        pending: set[Future[list[Row]]] = {pool.submit(_run, race, trials) for race in todo}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()


_LEDGERS: dict[str, Ledger] = {}
"""One per problem and process: evaluations are shared between races."""


def _problem(name: str) -> Problem:
    return _ledger(name).problem


def _ledger(name: str) -> Ledger:
    from mvsearch.search.bench.problems import problem_of
    from mvsearch.search.bench.race import Ledger

    if name not in _LEDGERS:
        _LEDGERS[name] = Ledger(problem_of(name))
    return _LEDGERS[name]


def _run(race: Race, trials: int) -> list[Row]:
    from mvsearch.search.bench.race import race as run_race

    problem, contender, variant, seed = race
    ledger = _ledger(problem)
    return run_race(ledger.problem, contender, variant, seed, trials, ledger)


def _record(found: Bench, problems: Sequence[Problem], seeds: int) -> dict[str, Any]:
    return {
        "trials": found.trials,
        "seeds": seeds,
        "machine": found.machine,
        "versions": dict(found.versions),
        "problems": {
            p.name: {
                "description": p.description,
                "objectives": dict(zip(p.objectives, p.directions, strict=True)),
                "reference_point": p.reference,
                "reference_point_is": p.reference_note,
                "reference_front_hypervolume": found.reference[p.name] or None,
            }
            for p in problems
        },
    }
