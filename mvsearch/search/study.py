"""The Optuna side of the search: the sampler, and the study that is rebuilt from the store. Optuna is imported here only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from mvsearch.search.evolution import GENERATION_SIZE, Excess, Generation, Known, Proposal, next_generation
from mvsearch.spec.record import Trial
from mvsearch.spec.space import Dimension, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)

DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
"""Lower confidence bound of top-1 up, latency down."""
ARCH_ID = "arch_id"
CONSTRAINT = "predicted_budgets_and_floor"


class SpaceExhaustedError(Exception):
    """No new candidate within the budget was found: the search has seen what there is."""


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms: evenly stepped integers as such, everything else as categories."""
    return {d.name: _distribution(d) for d in space.dimensions}


def _distribution(d: Dimension) -> BaseDistribution:
    choices = d.choices
    if d.ordered and len(choices) > 1 and all(isinstance(c, int) for c in choices):
        steps = {int(b) - int(a) for a, b in pairwise(choices)}
        if len(steps) == 1:
            return IntDistribution(int(choices[0]), int(choices[-1]), step=steps.pop())
    return CategoricalDistribution(choices)


class ScreenedEvolutionSampler(BaseSampler):
    """Optuna sampler over one of our spaces: never over a counted budget, never the same network twice.

    Objectives are (lower bound of top-1, latency), maximised and minimised. Trials of a generation are proposed
    from the finished trials of earlier generations only; the study has to be driven so that a generation is told
    before the next one is asked for.

    Args:
        space: the search space.
        excess: by how much a network exceeds the counted budgets (log of the worst ratio).
        seed: proposals are a pure function of it and of the finished trials.
    """

    def __init__(self, space: SearchSpace, excess: Excess, seed: int) -> None:
        self._space = space
        self._excess = excess
        self._seed = seed
        self._distributions = distributions(space)
        self._independent = RandomSampler(seed=seed)
        self._current: tuple[int, Generation] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions of the space, proposed together."""
        return self._distributions

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The proposal for this trial's number.

        Raises:
            SpaceExhaustedError: the generation ended before this number.
        """
        return dict(self.proposal(study, trial.number).point)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is not of the space, at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def proposal(self, study: Study, number: int) -> Proposal:
        """The candidate that trial `number` evaluates."""
        generation = self.generation(study, number // GENERATION_SIZE)
        index = number % GENERATION_SIZE
        if index >= len(generation.proposals):
            raise SpaceExhaustedError
        return generation.proposals[index]

    def generation(self, study: Study, number: int) -> Generation:
        """A whole generation; all trials of the earlier ones have to be finished."""
        if self._current is None or self._current[0] != number:
            earlier = [t for t in study.get_trials(deepcopy=False) if t.number < number * GENERATION_SIZE]
            known = [self._known(t) for t in earlier]
            self._current = (number, next_generation(self._space, self._excess, known, self._seed, number))
        return self._current[1]

    def _known(self, trial: FrozenTrial) -> Known:
        complete = trial.state == TrialState.COMPLETE
        arch_id = trial.user_attrs.get(ARCH_ID) or self._space.decode(trial.params).arch_id
        violation = max([0.0, *getattr(trial, "constraints", {}).values()]) if complete else 0.0
        return Known(trial.params, arch_id, (trial.values[0], trial.values[1]) if complete else None, violation)


class SearchStudy:
    """Ask and tell over an in-memory Optuna study; the store holds the truth.

    Args:
        space: the search space.
        excess: by how much a network exceeds the counted budgets.
        seed: of the sampler.
        finished: trials of a run that is resumed, in order, each with its (objectives, violation).
    """

    def __init__(
        self,
        space: SearchSpace,
        excess: Excess,
        seed: int,
        finished: Sequence[tuple[Trial, tuple[float, float] | None, float]] = (),
    ) -> None:
        self.sampler = ScreenedEvolutionSampler(space, excess, seed)
        self.study = optuna.create_study(directions=list(DIRECTIONS), sampler=self.sampler)
        self._distributions = distributions(space)
        self._asked: dict[int, optuna.Trial] = {}
        self.study.add_trials([self._frozen(*entry) for entry in finished])

    def ask(self) -> tuple[int, Proposal]:
        """The next trial's number and candidate.

        Raises:
            SpaceExhaustedError: there is none.
        """
        number = len(self.study.get_trials(deepcopy=False))
        proposal = self.sampler.proposal(self.study, number)
        trial = self.study.ask(self._distributions)
        trial.set_user_attr(ARCH_ID, proposal.spec.arch_id)
        self._asked[trial.number] = trial
        return trial.number, proposal

    def tell(self, number: int, objectives: tuple[float, float] | None, violation: float) -> None:
        """Report a trial: its objectives (None if it failed), and by how much it misses budgets and the floor."""
        trial = self._asked.pop(number)
        if objectives is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_constraint(CONSTRAINT, violation)
            self.study.tell(trial, objectives)

    def _frozen(self, trial: Trial, objectives: tuple[float, float] | None, violation: float) -> FrozenTrial:
        shared: Mapping[str, Any] = {
            "params": dict(trial.point),
            "distributions": self._distributions,
            "user_attrs": {ARCH_ID: trial.evaluation.arch_id},
        }
        if objectives is None:
            return create_trial(state=TrialState.FAIL, **shared)
        return create_trial(state=TrialState.COMPLETE, values=list(objectives), constraints={CONSTRAINT: violation}, **shared)
