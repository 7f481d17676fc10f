"""The default way to propose candidates: bred in the mind, screened, and chosen for what they should add to the front.

Estimates cost a fraction of a millisecond, a trial may cost minutes. So a generation is bred for several rounds without any
trial. A `Sketch` picks the children that are worth judging; those over a counted budget and known networks are dropped; a
`Judge` corrects what is believed of the others by what was observed. Proposed are, one after the other, those that promise
the largest expected gain in hypervolume. While beliefs come true exactly, what they say to be dominated, or over a predicted
budget, is not proposed at all: a generation is then shorter.

A generation is a pure function of (seed, its number, the trials of earlier generations). So a run that was killed proposes
the same candidates when it is resumed, and so does a run on many workers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mvsearch.search.belief import Belief, Excess, Prior
from mvsearch.search.breeding import Breeder
from mvsearch.search.encoding import Encoder
from mvsearch.search.improvement import non_dominated
from mvsearch.search.judge import Candidate, Judge, Judged
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.sketch import Sketch
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Point, SearchSpace, Value

GENERATION_SIZE = 50
LEARNING_SIZE = 10
"""Of a generation, at least, while beliefs have to be corrected: a tenth of the trials so far."""
SKETCHED, JUDGED = 40, 5
"""Points that are bred, and networks that are judged, for one that is proposed."""
ROUNDS, MAX_ROUNDS = 5, 25
"""In which a generation is bred; more than the first number only while nothing worth a trial was found."""
STEPS = 2
"""Of breeding in a round; the second starts from what the sketch likes of the first."""
MIN_SKETCHED = 100
SHARE_RANDOM = 0.03
NEIGHBOURS = 10
"""Parents are crossed with one that is at most so many places along the front away."""
MAX_SKETCH = 500
"""Points that a sketch is learned from."""
MIN_PARENTS = 8
SHARE_FIRST = 5
"""Of a generation is its fifth part, where a search starts from random points."""
MAX_ATTEMPTS = 20
"""At a random point, for one that is wanted."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate that is worth a trial."""

    point: dict[str, Value]
    spec: ArchSpec
    origin: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation proposes, and what was rejected on the way.

    Attributes:
        proposals: distinct in-budget candidates; fewer than asked for where nothing else is worth a trial.
        proposed: networks that were looked at.
        over_budget: of these, over a counted budget.
        duplicates: of these, known or looked at already.
        judged: of these, judged by what is believed of them.
    """

    proposals: tuple[Proposal, ...]
    proposed: int
    over_budget: int
    duplicates: int
    judged: int = 0


@dataclass(frozen=True, slots=True)
class _Parent:
    """A point to breed from: known, or judged in this generation."""

    point: Point
    losses: tuple[float, ...]
    constraint: float
    excess: float

    @property
    def outputs(self) -> tuple[float, ...]:
        """What a sketch learns: losses, and what has to stay at most 0 (0 where nothing is limited)."""
        return (*self.losses, *(x if math.isfinite(x) else 0.0 for x in (self.constraint, self.excess)))


class Proposer:
    """Makes generations.

    Args:
        space: where candidates come from.
        excess: the screen on counted costs.
        prior: beliefs about candidates, as losses; None without any.
        seed: of the run.
    """

    def __init__(self, space: SearchSpace, excess: Excess, prior: Prior | None, seed: int) -> None:
        self._space = space
        self._excess = excess
        self._prior = prior
        self._seed = seed
        self._encoder = Encoder(space)
        # What was worked out about networks that are still of use; a cache, so that nothing depends on it.
        self._beliefs: dict[str, Belief | None] = {}
        self._excesses: dict[str, float] = {}

    def generation(self, knowledge: Knowledge, number: int, size: int = GENERATION_SIZE) -> Generation:
        """Propose candidates.

        Args:
            knowledge: of all trials of earlier generations.
            number: of this generation, from 0.
            size: how many candidates are wanted.
        """
        draw = _Draw(self._space, self._excess, random.Random(f"{self._seed}/{number}"), knowledge.seen)
        observed = knowledge.observations()
        self._forget({t.arch_id for t in (*observed, *knowledge.parents())})
        judge = Judge(self._encoder, [(t, self._belief(t)) for t in observed], knowledge.front)
        if number == 0 or not judge.ready or all(self._excess_of(t) > 0 for t in knowledge.parents()):
            return draw.generation(self._first(draw, size))
        if not judge.exact:
            size = min(size, max(LEARNING_SIZE, len(knowledge.seen) // 10))
        return draw.generation(judge.choose(self._breed(draw, judge, knowledge, size), size))

    def _breed(self, draw: _Draw, judge: Judge, knowledge: Knowledge, size: int) -> list[Judged]:
        """Candidates that promise something."""
        known = [_Parent(t.point, t.losses, t.constraint, self._excess_of(t)) for t in knowledge.parents() if t.losses]
        features, outputs = self._encoder.encode([p.point for p in known]), np.array([p.outputs for p in known])
        pool, beyond = list[Judged](), list[Judged]()
        for number in range(MAX_ROUNDS):
            if number >= ROUNDS and pool:
                break
            sketch = Sketch(features, outputs)
            parents = _parents([*known, *(_parent(j) for j in pool)])
            wanted = JUDGED * size // ROUNDS
            points = self._sketched(draw, judge, sketch, parents, max(MIN_SKETCHED, SKETCHED * size // (ROUNDS * STEPS)))
            taken = draw.take(points, wanted)
            if len(taken) < wanted // 2:
                draw.widen()  # What lies near is known already.
            judged = judge.judge(self._believed(taken))
            if judged:
                new = self._encoder.encode([j.candidate.point for j in judged])
                features = np.concatenate([features, new])[-MAX_SKETCH:]
                outputs = np.concatenate([outputs, [_parent(j).outputs for j in judged]])[-MAX_SKETCH:]
            pool += [j for j in judged if judge.region is None or j.gain > 0]
            beyond += judged if not pool else []
        return pool or [j for j in judge.from_afar(beyond) if j.gain > 0]

    def _sketched(
        self, draw: _Draw, judge: Judge, sketch: Sketch, parents: Sequence[Point], wanted: int
    ) -> list[tuple[Point, str]]:
        """Children, the most promising by the sketch first."""
        children: list[tuple[Point, str]] = []
        scores = np.zeros(0)
        for _ in range(STEPS):
            new = draw.children(parents, wanted)
            guess = sketch.guess(self._encoder.encode([p for p, _ in new]))
            missed = np.clip(guess[:, -2:], 0, None).sum(axis=1)
            gains = judge.rough.gain(guess[:, :-2]) if judge.rough else np.zeros(len(new))
            children += new
            scores = np.concatenate([scores, np.where(missed > 0, -missed, gains)])
            best = [int(i) for i in np.argsort(-scores, kind="stable")[: max(MIN_PARENTS, wanted // 4)]]
            parents = [children[i][0] for i in best]
        return [children[i] for i in np.argsort(-scores, kind="stable")]

    def _first(self, draw: _Draw, size: int) -> list[Candidate]:
        """Published networks, and of the scaled ones those that no other seed is believed to dominate."""
        seeds = self._believed(draw.seeds(size))
        kept = [c for c in seeds if c.belief is None or c.belief.constraint <= 0]
        if not kept:
            return sorted(seeds, key=lambda c: c.belief.constraint if c.belief else 0.0)[: max(1, size // SHARE_FIRST)]
        if self._prior:
            on = non_dominated(np.array([c.belief.values for c in kept if c.belief]))
            kept = [c for c, o in zip(kept, on, strict=True) if o or c.origin in ("published", "random")]
        return kept[:size]

    def _believed(self, candidates: list[Candidate]) -> list[Candidate]:
        """With what is believed of them; without those that cannot be judged."""
        if self._prior is None or not candidates:
            return candidates
        beliefs = self._prior([c.spec for c in candidates])
        for c, b in zip(candidates, beliefs, strict=True):
            self._beliefs[c.spec.arch_id], self._excesses[c.spec.arch_id] = b, c.excess
        return [replace(c, belief=b) for c, b in zip(candidates, beliefs, strict=True) if b is not None]

    def _belief(self, t: Known) -> Belief | None:
        if self._prior and t.arch_id not in self._beliefs:
            self._beliefs[t.arch_id] = self._prior([self._space.decode(t.point)])[0]
        return self._beliefs.get(t.arch_id)

    def _excess_of(self, t: Known) -> float:
        if t.arch_id not in self._excesses:
            self._excesses[t.arch_id] = self._excess(self._space.decode(t.point))
        return self._excesses[t.arch_id]

    def _forget(self, but: set[str]) -> None:
        self._beliefs = {i: b for i, b in self._beliefs.items() if i in but}
        self._excesses = {i: e for i, e in self._excesses.items() if i in but}


def _parent(j: Judged) -> _Parent:
    return _Parent(j.candidate.point, tuple(j.mean.tolist()), j.constraint, j.candidate.excess)


def _parents(candidates: Sequence[_Parent]) -> list[Point]:
    """What nobody is expected to dominate, in the order of the first objective; where that is little, the best of the rest."""
    kept = [c for c in candidates if c.constraint <= 0 and c.excess <= 0]
    if len(kept) < MIN_PARENTS:
        return [c.point for c in sorted(candidates, key=lambda c: max(0.0, c.constraint))[: 5 * MIN_PARENTS]]
    on = non_dominated(np.array([c.losses for c in kept]))
    front = [c for c, o in zip(kept, on, strict=True) if o]
    chosen = front if len(front) >= MIN_PARENTS else kept[-5 * MIN_PARENTS :]
    return [c.point for c in sorted(chosen, key=lambda c: c.losses)]


class _Draw:
    """Draws points, and of these the networks that pass the screen on counted costs and are new."""

    def __init__(self, space: SearchSpace, excess: Excess, rng: random.Random, seen: set[str]) -> None:
        self._space, self._excess, self._rng, self._seen = space, excess, rng, seen
        self._breeder = Breeder(space, excess, rng)
        self._taken: set[str] = set()
        self._share_random = SHARE_RANDOM
        self._drawn = self._over_budget = self._duplicates = self._judged = 0

    def seeds(self, size: int) -> list[Candidate]:
        """What a search starts from; a few random points that keep the counted budgets where nothing published does."""
        found = [c for point, origin in self._breeder.seeds() if (c := self._screen(point, origin))]
        attempts = 0 if found else MAX_ATTEMPTS * size
        while len(found) < max(1, size // SHARE_FIRST) and attempts:
            attempts -= 1
            point = self._breeder.random_in_budget()
            if point is None:
                break  # Whatever is at its least is over.
            if candidate := self._screen(point, "random"):
                found.append(candidate)
        self._judged += len(found)
        return found

    def children(self, parents: Sequence[Point], wanted: int) -> list[tuple[Point, str]]:
        """So many points bred from these, which are in the order of the front; not screened."""
        rng, found = self._rng, list[tuple[Point, str]]()
        for _ in range(wanted):
            if not parents or rng.random() < self._share_random:
                found.append((self._breeder.random(), "random"))
                continue
            i = int(rng.random() * len(parents))
            step = 1 + int(rng.random() * NEIGHBOURS)
            near = i + step if rng.random() < 0.5 else i - step
            child = self._breeder.child(parents[i], parents[min(len(parents) - 1, max(0, near))])
            found.append(({**child, **self._breeder.held}, "bred"))
        return found

    def widen(self) -> None:
        """Draw more at random from now on."""
        self._share_random = min(1.0, 3 * self._share_random)

    def take(self, points: Sequence[tuple[Point, str]], wanted: int) -> list[Candidate]:
        """The first so many that pass the screen."""
        found: list[Candidate] = []
        for point, origin in points:
            if len(found) == wanted:
                break
            if candidate := self._screen(point, origin):
                found.append(candidate)
        self._judged += len(found)
        return found

    def _screen(self, point: Point, origin: str) -> Candidate | None:
        point = {**point, **self._breeder.held}
        spec = self._space.decode(point)
        self._drawn += 1
        if spec.arch_id in self._seen or spec.arch_id in self._taken:
            self._duplicates += 1
            return None
        self._taken.add(spec.arch_id)
        if (excess := self._excess(spec)) > 0:
            self._over_budget += 1
            return None
        return Candidate(point, spec, origin, None, excess)

    def generation(self, chosen: Sequence[Candidate]) -> Generation:
        """What was chosen, with the counts."""
        proposals = tuple(Proposal(c.point, c.spec, c.origin) for c in chosen)
        return Generation(proposals, self._drawn, self._over_budget, self._duplicates, self._judged)
