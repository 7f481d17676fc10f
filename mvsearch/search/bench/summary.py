"""What the races say: medians over seeds at stated numbers of trials, and our ratio to the best peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mvsearch.search.bench.contenders import CONTENDERS, OURS, VARIANTS, Variant, variants_of
from mvsearch.search.bench.race import Row
from mvsearch.search.bench.results import Race

Races = Mapping[Race, Sequence[Row]]
MARKS = (50, 100, 250, 500, 1000)


@dataclass(frozen=True, slots=True)
class Standing:
    """One engine on one problem after so many trials.

    Attributes:
        contender, variant, trials: which.
        median, low, high: hypervolume over seeds.
        seconds: median CPU seconds until then.
        seeds: races behind it.
    """

    contender: str
    variant: Variant
    trials: int
    median: float
    low: float
    high: float
    seconds: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Lead:
    """Ours against the best of the others.

    Attributes:
        variant: in which the others were raced.
        trials: after how many.
        peer: the best of them by the median over seeds.
        ratio: our median over its median; None if no peer has any hypervolume yet.
    """

    variant: Variant
    trials: int
    peer: str
    ratio: float | None


def marks_up_to(trials: int) -> tuple[int, ...]:
    """Numbers of trials at which a table says how things stand."""
    return tuple(sorted({*(m for m in MARKS if m < trials), trials}))


def row_at(rows: Sequence[Row], trials: int) -> Row | None:
    """The last row of a race at or before a number of trials."""
    return next((r for r in reversed(rows) if r.trials <= trials), None)


def standing(races: Races, problem: str, contender: str, variant: Variant, trials: int) -> Standing | None:
    """How an engine stands; None if it was not raced."""
    found = [
        row
        for (p, c, v, _), rows in races.items()
        if (p, c, v) == (problem, contender, variant) and (row := row_at(rows, trials)) is not None
    ]
    if not found:
        return None
    volumes = [r.hypervolume for r in found]
    seconds = median(r.seconds for r in found)
    return Standing(contender, variant, trials, median(volumes), min(volumes), max(volumes), seconds, len(found))


def standings(races: Races, problem: str, trials: int) -> list[Standing]:
    """All engines on a problem, ours first."""
    every = (standing(races, problem, c, v, trials) for v in VARIANTS for c in CONTENDERS if v in variants_of(c))
    return [s for s in every if s is not None]


def leads(races: Races, problem: str, trials: int) -> list[Lead]:
    """Ours against the best peer, for each variant in which peers were raced; empty without a race of ours."""
    found = standings(races, problem, trials)
    ours = next((s for s in found if s.contender == OURS), None)
    if ours is None:
        return []
    result = []
    for variant in VARIANTS:
        peers = [s for s in found if s.variant == variant and s.contender != OURS]
        if peers:
            best = max(peers, key=lambda s: s.median)
            result.append(Lead(variant, trials, best.contender, ours.median / best.median if best.median > 0 else None))
    return result
