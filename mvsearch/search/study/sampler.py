"""Our sampler, for anybody's Optuna study over one of our spaces."""

from __future__ import annotations

import math
import random
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mvsearch.errors import SpecError
from mvsearch.search.belief import Belief, Excess, Prior
from mvsearch.search.knowledge import Knowledge, Known
from mvsearch.search.proposer import GENERATION_SIZE, Generation, Proposal, Proposer
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Dimension, SearchSpace

ARCH_ID = "arch_id"
"""User attribute of a trial that names its network; where it is missing the trial's point is decoded."""
GENERATION = "mvsearch:generation"
NETWORK = "mvsearch:network"
"""System attribute of a trial that was given one of our proposals: its network, before it has asked for its parameters."""
FIXED = "fixed_params"
"""Optuna's system attribute of a trial that somebody enqueued."""


class SpaceExhaustedError(Exception):
    """No new candidate that is worth a trial was found: the search has seen what there is."""


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


class FrontSampler(BaseSampler):
    """Optuna sampler that proposes what should add most to the front's hypervolume (see `mvsearch.search.proposer`).

    For any study over one of our spaces, with any number of objectives: by ask and tell, by `optimize`, with several workers.
    Its trials carry the number of their generation, so that a study that is loaded again goes on where it was. Where nothing
    is left that is worth a trial, `optimize` is stopped after one more trial, at random; `ask` raises `SpaceExhaustedError`.

    Args:
        space: the search space; suggest from `distributions(space)`, or ask with them.
        excess: by how much a network exceeds counted budgets (log of the worst ratio); None without any.
        prior: beliefs about candidates, in the study's own order and directions; None if nothing is known beforehand.
        seed: proposals are a pure function of it and of the finished trials.
        size: of a generation; where a trial is dear, no more than are evaluated at a time is best.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        excess: Excess | None = None,
        prior: Prior | None = None,
        seed: int = 0,
        size: int = GENERATION_SIZE,
    ) -> None:
        self._space = space
        self._excess = excess or (lambda _: -math.inf)
        self._prior = prior
        self._seed = seed
        self._size = size
        self._distributions = distributions(space)
        self._independent = RandomSampler(seed=seed)
        self._proposer: Proposer | None = None
        self._knowledge = Knowledge()
        self._unread: list[int] = []
        self._num_read = 0
        self._number = -1
        self._generation = Generation((), 0, 0, 0)
        self._left: deque[Proposal] = deque()
        self._lock = threading.Lock()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Count what somebody enqueued to the generation under way: whoever loads the study learns of it at the same time."""
        if FIXED in trial.system_attrs:
            with self._lock:
                number = self._latest(study.get_trials(deepcopy=False))
                study._storage.set_trial_system_attr(trial._trial_id, GENERATION, number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions of the space, proposed together."""
        return self._distributions

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The next proposal.

        Raises:
            SpaceExhaustedError: there is none, and no `optimize` that could be stopped.
        """
        with self._lock:
            self._refill(study)
            proposal = self._next(study)
            study._storage.set_trial_system_attr(trial._trial_id, GENERATION, self._number)
            if proposal and FIXED not in trial.system_attrs:
                study._storage.set_trial_system_attr(trial._trial_id, NETWORK, proposal.spec.arch_id)
        if proposal is None:
            try:
                study.stop()
            except RuntimeError:
                raise SpaceExhaustedError from None
            return self._space.random_point(random.Random(f"{self._seed}/{trial.number}"))
        return dict(proposal.point)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is not of the space, at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def hand_out(self, study: Study, limit: int) -> tuple[int, Generation, tuple[Proposal, ...]]:
        """Proposals for trials that will be added to the study when they have ended, rather than asked for one by one.

        Returns:
            Number of the generation, the whole of it, and the next of its proposals: at most `limit`.
        """
        with self._lock:
            self._refill(study)
            taken = tuple(self._left.popleft() for _ in range(min(limit, len(self._left))))
            return self._number, self._generation, taken

    def _next(self, study: Study) -> Proposal | None:
        """The next proposal, but for networks that somebody else has tried since the generation was made."""
        while self._left:
            tried = {self._arch_id(t) for t in study.get_trials(deepcopy=False)[self._num_read :]}
            while self._left:
                if (proposal := self._left.popleft()).spec.arch_id not in tried:
                    return proposal
            self._refill(study)
        return None

    def _refill(self, study: Study) -> None:
        """Make the next generation if nothing is left of the current one."""
        if self._left:
            return
        trials = study.get_trials(deepcopy=False)
        signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
        if self._proposer is None:
            self._proposer = Proposer(self._space, self._excess, self._as_losses(signs), self._seed)
        last = self._latest(trials)
        if last > self._number:
            # A study that was loaded may end in the middle of a generation: that is made again, and what was tried left out.
            self._make(study, trials, signs, last)
        if not self._left:
            self._make(study, trials, signs, self._number + 1)

    def _latest(self, trials: Sequence[FrozenTrial]) -> int:
        """Number of the last generation of which there are trials."""
        return max([self._number, *(_generation_of(t) for t in trials[self._num_read :])])

    def _make(self, study: Study, trials: Sequence[FrozenTrial], signs: Sequence[float], number: int) -> None:
        assert self._proposer
        self._read(trials, signs, number)
        self._number = number
        self._generation = self._proposer.generation(self._knowledge, number, self._size)
        tried = {self._arch_id(trials[i]) for i in self._unread}
        self._left = deque(p for p in self._generation.proposals if p.spec.arch_id not in tried)

    def _read(self, trials: Sequence[FrozenTrial], signs: Sequence[float], number: int) -> None:
        """Learn of trials of earlier generations that have ended since: one after the other, as they were told."""
        ended: dict[int, list[Known]] = defaultdict(list)
        unread = []
        for i in [*self._unread, *range(self._num_read, len(trials))]:
            t = trials[i]
            arch_id = self._arch_id(t)
            if _generation_of(t) < number and arch_id and t.state.is_finished():
                ended[_generation_of(t)].append(self._known(t, arch_id, signs))
                continue
            unread.append(i)
            if _generation_of(t) < number and arch_id:
                self._knowledge.seen.add(arch_id)
        self._unread, self._num_read = unread, len(trials)
        for _, known in sorted(ended.items()):
            self._knowledge.add(known)

    def _arch_id(self, trial: FrozenTrial) -> str:
        """Of the trial's network; empty while its point is not whole, or if it is of another space."""
        known: str = trial.user_attrs.get(ARCH_ID) or trial.system_attrs.get(NETWORK, "")
        if known:
            return known
        try:
            return self._space.decode(trial.params).arch_id
        except SpecError:
            return ""

    def _known(self, trial: FrozenTrial, arch_id: str, signs: Sequence[float]) -> Known:
        point = {name: trial.params[name] for name in self._distributions if name in trial.params}
        if trial.state != TrialState.COMPLETE or len(point) < len(self._distributions):
            return Known(point, arch_id, None)
        losses = tuple(s * v for s, v in zip(signs, trial.values, strict=True))
        if not all(map(math.isfinite, losses)):
            return Known(point, arch_id, None)  # Optuna takes an infinite value for a result.
        constraint = max(trial.constraints.values(), default=-math.inf)
        if ARCH_ID not in trial.user_attrs and NETWORK not in trial.system_attrs:
            # What we did not propose may be over a counted budget, of which the study need not know.
            over = self._excess(self._space.decode(point))
            constraint = max(constraint, over) if over > 0 else constraint
        return Known(point, arch_id, losses, constraint)

    def _as_losses(self, signs: Sequence[float]) -> Prior | None:
        if self._prior is None:
            return None
        prior = self._prior

        def losses(specs: Sequence[ArchSpec]) -> list[Belief | None]:
            return [b and replace(b, values=tuple(s * v for s, v in zip(signs, b.values, strict=True))) for b in prior(specs)]

        return losses


def _generation_of(trial: FrozenTrial) -> int:
    """Number of the generation; -1 for a trial that somebody else proposed."""
    return int(trial.system_attrs.get(GENERATION, -1))
