"""The study behind a run: ask and tell, whichever sampler proposes; rebuilt from the store when a run is resumed."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from mvsearch.search.belief import Excess, Prior
from mvsearch.search.breeding import Breeder
from mvsearch.search.proposer import Generation, Proposal
from mvsearch.search.screen import Screen
from mvsearch.search.study.sampler import ARCH_ID, GENERATION, FrontSampler, SpaceExhaustedError, distributions
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Trial
from mvsearch.spec.run import SAMPLERS
from mvsearch.spec.space import Point, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)

CONSTRAINT = "budgets_and_floor"
MAX_ATTEMPTS = 60
"""Proposals of one of Optuna's samplers that are rejected in a row before its batch ends."""


@dataclass(frozen=True, slots=True)
class _Engine:
    """One of Optuna's samplers.

    Attributes:
        make: from a seed.
        batch: candidates that it is asked for before it is told of any.
        generation: system attribute that tells to which of its generations a trial belongs; empty if it has none.
    """

    make: Callable[[int], BaseSampler]
    batch: int
    generation: str = ""


_ENGINES = {
    "tpe": _Engine(lambda seed: TPESampler(seed=seed), 10),
    "nsga2": _Engine(lambda seed: NSGAIISampler(seed=seed), 50, "NSGAIISampler:generation"),
    "nsga3": _Engine(lambda seed: NSGAIIISampler(seed=seed), 50, "NSGAIIISampler:generation"),
    "random": _Engine(lambda seed: RandomSampler(seed=seed), 50),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial that is to be evaluated.

    Attributes:
        number: of the trial.
        proposal: its candidate.
        generation: that it belongs to.
    """

    number: int
    proposal: Proposal
    generation: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates to be evaluated before the study is asked again.

    Attributes:
        number: of the batch, ascending; the same if it is asked for again after a resume, with the default sampler.
        screened: what was rejected on the way.
        asked: one by one.
    """

    number: int
    screened: Generation
    asked: tuple[Asked, ...]


class _SharedInt(IntDistribution):
    def __deepcopy__(self, _: Any) -> _SharedInt:
        return self


class _SharedCategorical(CategoricalDistribution):
    def __deepcopy__(self, _: Any) -> _SharedCategorical:
        return self


def _shared(distribution: BaseDistribution) -> BaseDistribution:
    """The same, one object for all trials: Optuna would copy it into each, 10 kB a trial."""
    if isinstance(distribution, IntDistribution):
        return _SharedInt(distribution.low, distribution.high, step=distribution.step)
    assert isinstance(distribution, CategoricalDistribution)
    return _SharedCategorical(distribution.choices)


Finished = tuple[Trial, tuple[float, float] | None, float]
"""A finished trial, its objectives (None if it failed) and its constraint."""


class SearchStudy:
    """Ask and tell over an in-memory Optuna study; the store holds the truth.

    Attributes:
        exhausted: what it means that there is no candidate to ask for.

    Args:
        space: the search space.
        excess: by how much a network exceeds the counted budgets.
        prior: beliefs about candidates.
        sampler: one of `spec.run.SAMPLERS`.
        screened: whether what one of Optuna's samplers proposes has to pass our screen; the default has its own.
        seed: of the sampler.
        finished: trials of a run that is resumed, in order.
    """

    exhausted = "nothing was found any more that would add to the front"

    def __init__(
        self,
        space: SearchSpace,
        excess: Excess,
        prior: Prior,
        sampler: str = SAMPLERS[0],
        screened: bool = True,
        seed: int = 0,
        finished: Sequence[Finished] = (),
    ) -> None:
        self._space, self._excess, self._prior = space, excess, prior
        self._screened, self._seed = screened, seed
        self._engine = _ENGINES.get(sampler)
        self._front_sampler = FrontSampler(space, excess=excess, prior=prior, seed=seed)
        self._distributions = {n: d if self._engine else _shared(d) for n, d in distributions(space).items()}
        self._screen = Screen(("maximize", "minimize"))
        self._asked: dict[int, optuna.Trial] = {}
        self._handed_out: dict[int, Asked] = {}
        self._number = 0
        self.study = optuna.create_study(
            directions=[StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE],  # Lower bound of top-1, latency.
            sampler=self._front_sampler,
        )
        for trial, objectives, constraint in finished:
            arch_id = trial.evaluation.arch_id
            self.study.add_trial(self._frozen(trial.point, arch_id, trial.generation, objectives, constraint))
            self._number = trial.number + 1
            if self._engine:
                self._note(trial.evaluation.spec, objectives, constraint)

    def ask(self, limit: int) -> Batch:
        """Candidates up to the end of the current generation, at most `limit` of them.

        Raises:
            SpaceExhaustedError: there is none.
        """
        batch = self._ask_engine(self._engine, limit) if self._engine else self._ask_default(limit)
        if not batch.asked:
            raise SpaceExhaustedError
        return batch

    def tell(self, number: int, objectives: tuple[float, float] | None, constraint: float) -> None:
        """Report a trial: its objectives (None if it failed), and its constraint, at most 0 where budgets are kept."""
        if asked := self._handed_out.pop(number, None):
            p = asked.proposal
            self.study.add_trial(self._frozen(p.point, p.spec.arch_id, asked.generation, objectives, constraint))
            return
        trial = self._asked.pop(number)
        self._note(self._space.decode(trial.params), objectives, constraint)
        if objectives is None:
            self.study.tell(trial, state=TrialState.FAIL)
            return
        if math.isfinite(constraint):
            trial.set_constraint(CONSTRAINT, constraint)
        self.study.tell(trial, objectives)

    def _note(self, spec: ArchSpec, objectives: tuple[float, float] | None, constraint: float) -> None:
        self._screen.add(spec, objectives or (-math.inf, math.inf), objectives is not None and constraint <= 0)

    def _ask_default(self, limit: int) -> Batch:
        number, generation, proposals = self._front_sampler.hand_out(self.study, limit)
        asked = tuple(Asked(self._number + i, p, number) for i, p in enumerate(proposals))
        self._number += len(asked)
        self._handed_out |= {a.number: a for a in asked}
        return Batch(number, generation, asked)

    def _ask_engine(self, engine: _Engine, limit: int) -> Batch:
        """One of Optuna's samplers; made anew for each batch, with a seed that a resumed run has again."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some of them experimental.
            self.study.sampler = engine.make(random.Random(f"{self._seed}/{self._number}").randrange(2**31))
        seeds = self._seeds() if self._number == 0 and self._screened else []
        origin, start = "seed" if seeds else "sampled", self._number
        asked: list[Asked] = []
        drawn = over = duplicates = 0
        taken: set[str] = set()
        wanted = min(limit, max(engine.batch, len(seeds)))
        rejected = 0
        while len(asked) < wanted and rejected < MAX_ATTEMPTS:
            if seeds:
                self.study.enqueue_trial(seeds.pop(0))
            trial = self.study.ask(self._distributions)
            spec = self._space.decode(trial.params)
            drawn += 1
            excess = self._excess(spec)
            reason = self._screen.reason(spec, excess, self._prior([spec])[0]) if self._screened else None
            if spec.arch_id in taken or self._screen.knows(spec) or reason == "duplicate":
                duplicates += 1
            elif reason is None:
                taken.add(spec.arch_id)
                rejected = 0
                own = int(self.study.get_trials(deepcopy=False)[-1].system_attrs.get(engine.generation, 0))
                asked.append(self._take(trial, Proposal(dict(trial.params), spec, origin), own))
                continue
            rejected += 1
            over += reason == "over-budget"
            self._reject(trial, excess)
        if not asked and (point := self._random_point()):
            # A sampler may go on proposing what it knows, in a small space above all: chance leads it out.
            self.study.enqueue_trial(point)
            trial = self.study.ask(self._distributions)
            asked = [self._take(trial, Proposal(dict(point), self._space.decode(point), "random"), 0)]
        return Batch(start, Generation((), drawn, over, duplicates), tuple(asked))

    def _random_point(self) -> dict[str, Any] | None:
        """A new network that keeps the counted budgets; None if many draws bring none."""
        breeder = Breeder(self._space, self._excess, random.Random(f"{self._seed}/{self._number}/random"))
        for _ in range(MAX_ATTEMPTS):
            point = breeder.random_in_budget()
            if point is None or not self._screen.knows(self._space.decode(point)):
                return point
        return None

    def _seeds(self) -> list[dict[str, Any]]:
        """Where a screened search starts: hardly a random network keeps a tight budget."""
        breeder = Breeder(self._space, self._excess, random.Random(self._seed))
        points = {self._space.decode(p).arch_id: p for p, _ in breeder.seeds()}
        return [dict(p) for p in points.values()]

    def _reject(self, trial: optuna.Trial, excess: float) -> None:
        """Told as missing a budget by so much where that is so, which leads the sampler back; else as failed."""
        if excess > 0:
            trial.set_constraint(CONSTRAINT, excess)
            self.study.tell(trial, (0.0, 1e6))
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    def _take(self, trial: optuna.Trial, proposal: Proposal, generation: int) -> Asked:
        trial.set_user_attr(ARCH_ID, proposal.spec.arch_id)
        self._asked[self._number] = trial
        self._number += 1
        return Asked(self._number - 1, proposal, generation)

    def _frozen(
        self, point: Point, arch_id: str, generation: int, objectives: tuple[float, float] | None, constraint: float
    ) -> FrozenTrial:
        attribute = self._engine.generation if self._engine else GENERATION
        shared: dict[str, Any] = {
            "params": dict(point),
            "distributions": self._distributions,
            "user_attrs": {ARCH_ID: arch_id},
            "system_attrs": {attribute: generation} if attribute else {},
        }
        if objectives is None:
            return create_trial(state=TrialState.FAIL, **shared)
        constraints = {CONSTRAINT: constraint} if math.isfinite(constraint) else {}
        return create_trial(state=TrialState.COMPLETE, values=list(objectives), constraints=constraints, **shared)
