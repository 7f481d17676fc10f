"""Successive halving of a set of candidates, asynchronously: who is trained next, and for how long.

ASHA (Li et al. 2020, arXiv 1810.05934): whenever a worker is idle, the best third of what has finished a rung goes on
to the next one; if nobody is due, another candidate starts at the bottom. Best is by non-dominated rank on (score,
latency) and, within a rank, by crowding distance: a fast network is compared with fast ones, and the ends of the
front stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mvsearch.search.pareto import Pair, crowding, ranks

ETA = 3
"""One in so many goes on, with so many times the steps (the paper's default of 4 is for hundreds of candidates)."""
MAX_RUNGS = 3
FINALISTS = 2
"""At least so many reach the last rung: one alone would be compared with nobody."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        candidate: position among the candidates.
        rung: 0 is the shortest.
        seed: of the weights and the images' order.
    """

    candidate: int
    rung: int
    seed: int = 0


def num_rungs(candidates: int) -> int:
    """As many rungs as leave somebody to promote, at most `MAX_RUNGS`."""
    return min(MAX_RUNGS, 1 + int(math.log(max(1, candidates), ETA) + 1e-9))


def rung_steps(last: int, rungs: int) -> tuple[int, ...]:
    """Optimiser steps of each rung, ascending; the last one is given."""
    return tuple(max(1, round(last / ETA ** (rungs - 1 - k))) for k in range(rungs))


class Halving:
    """Decides who is trained next. What it decides follows from the results alone, so a resumed run goes on with them.

    Args:
        latencies: of the candidates in ms; the first candidates are started first.
        rungs: how many.
        seeds: trainings of each finalist; every other training has seed 0.
    """

    def __init__(self, latencies: Sequence[float], rungs: int, seeds: int = 1) -> None:
        self.latencies, self.rungs, self.seeds = latencies, rungs, seeds
        self._issued: set[Job] = set()
        self._losses: dict[Job, float | None] = {}

    def report(self, job: Job, loss: float | None) -> None:
        """Take in a result; None for a training that failed, after which the candidate goes no further."""
        self._issued.add(job)
        self._losses[job] = loss

    def next(self) -> Job | None:
        """The next training; None while there is nothing to do but to wait, and when all is done."""
        job = next((j for j in self._due() if j not in self._issued), None)
        if job:
            self._issued.add(job)
        return job

    def planned(self) -> list[Job]:
        """How many trainings of which rung there will be at least, finished ones included."""
        jobs = []
        entrants = len(self.latencies)
        for rung in range(self.rungs):
            jobs += [Job(i, rung) for i in range(entrants)]
            last = rung == self.rungs - 1
            entrants = entrants if last else min(entrants, max(entrants // ETA, FINALISTS))
        return jobs + [Job(i, self.rungs - 1, seed) for i in range(entrants) for seed in range(1, self.seeds)]

    def _due(self) -> Iterable[Job]:
        last = self.rungs - 1
        for rung in range(last, 0, -1):
            yield from (Job(i, rung) for i in self._promoted(rung - 1))
        finished = [job for job, loss in self._losses.items() if job.rung == last and job.seed == 0 and loss is not None]
        for seed in range(1, self.seeds):
            yield from (Job(job.candidate, last, seed) for job in sorted(finished, key=lambda j: j.candidate))
        yield from (Job(i, 0) for i in range(len(self.latencies)))

    def _promoted(self, rung: int) -> list[int]:
        """Candidates that may leave a rung by now, the best first."""
        scores = {j.candidate: loss for j, loss in self._losses.items() if j.rung == rung and j.seed == 0}
        finished = {i: loss for i, loss in sorted(scores.items()) if loss is not None}
        allowed = len(finished) // ETA
        if self._closed(rung):
            allowed = max(allowed, min(FINALISTS, len(finished)))
        return self._best_first(finished)[:allowed]

    def _closed(self, rung: int) -> bool:
        """Whether nobody else will finish the rung."""
        if rung == 0:
            return all(Job(i, 0) in self._losses for i in range(len(self.latencies)))
        return self._closed(rung - 1) and all(Job(i, rung) in self._losses for i in self._promoted(rung - 1))

    def _best_first(self, losses: dict[int, float]) -> list[int]:
        names = list(losses)
        points: list[Pair] = [(-losses[i], self.latencies[i]) for i in names]
        rank = ranks(points)
        distance: dict[int, float] = {}
        for value in set(rank):
            distance |= crowding(points, [k for k in range(len(points)) if rank[k] == value])
        order = sorted(range(len(points)), key=lambda k: (rank[k], -distance[k], losses[names[k]]))
        return [names[k] for k in order]
