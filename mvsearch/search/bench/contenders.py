"""The engines of the bench, each behind the same three calls. Optuna's and pymoo's are loaded when they are made."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mvsearch.errors import InputError
from mvsearch.search.belief import Belief
from mvsearch.search.bench.problems import Problem
from mvsearch.search.screen import PATIENCE, Reason
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.space import Point

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

Variant = Literal["as-is", "screened", "started"]
VARIANTS: tuple[Variant, ...] = ("as-is", "screened", "started")
"""As an engine's users would run it; with our screen lent to it; with the screen and the published networks to start from."""
DEFAULT_VARIANTS: tuple[Variant, ...] = ("as-is", "screened")
CONSTRAINT = "budget"
VIOLATED = 1e-3
"""Constraint that a rejected proposal is told with where no budget says how large it is."""
Prior = Callable[[Sequence[ArchSpec]], list[Belief]]


class Contender(Protocol):
    """An engine under race: one proposal, then one answer, and so on."""

    def start_from(self, points: Sequence[Point]) -> None:
        """Propose these first; called before the first proposal, if at all."""

    def ask(self) -> Point:
        """The next proposal.

        Raises:
            StopIteration: there is none.
        """

    def tell(self, values: tuple[float, ...], constraint: float) -> None:
        """What the proposal's evaluation brought; a constraint above 0 is a budget missed."""

    def reject(self, reason: Reason, constraint: float) -> None:
        """The proposal was screened out, and cost no trial; its constraint, so far as it is known."""


class RandomContender:
    """Points drawn uniformly."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._space = problem.space
        self._rng = random.Random(f"bench/{seed}")
        self._starts: list[Point] = []

    def start_from(self, points: Sequence[Point]) -> None:
        """See `Contender.start_from`."""
        self._starts = list(points)

    def ask(self) -> Point:
        """See `Contender.ask`."""
        return self._starts.pop(0) if self._starts else self._space.random_point(self._rng)

    def tell(self, values: tuple[float, ...], constraint: float) -> None:
        """See `Contender.tell`."""

    def reject(self, reason: Reason, constraint: float) -> None:
        """See `Contender.reject`."""


class OptunaContender:
    """Any Optuna sampler, by ask and tell, the budget told by `trial.set_constraint`.

    Args:
        problem: the problem.
        sampler: of Optuna, seeded.
        rejected: what becomes of proposals that the screen rejects: `told` as trials that miss the constraint, `failed`
            as failed trials, `mixed` for over budget told and the rest failed.
    """

    def __init__(self, problem: Problem, sampler: BaseSampler, rejected: Literal["told", "failed", "mixed"] = "mixed") -> None:
        import optuna

        from mvsearch.search.study import distributions

        self._study = optuna.create_study(directions=list(problem.directions), sampler=sampler)
        self._distributions = distributions(problem.space)
        self._reference = problem.reference
        self._rejected = rejected
        self._fixed = {d.name: d.choices[0] for d in problem.space.dimensions if len(d.choices) == 1}
        self._trial: Any = None
        self._num_given, self._is_given = 0, False

    def start_from(self, points: Sequence[Point]) -> None:
        """See `Contender.start_from`."""
        self._num_given = len(points)
        for point in points:
            self._study.enqueue_trial(dict(point))

    def ask(self) -> Point:
        """See `Contender.ask`."""
        from mvsearch.search.study import SpaceExhaustedError

        if self._trial is None:
            self._trial = self._study.ask()
            self._is_given = self._num_given > 0
            self._num_given -= self._is_given
        try:
            drawn = {**self._fixed, **self._trial.relative_params}
        except SpaceExhaustedError:
            raise StopIteration from None
        # What the sampler draws together is not yet part of the trial, so that a rejected draw costs Optuna no trial either.
        return drawn if self._distributions.keys() <= drawn.keys() and not self._is_given else self._suggested()

    def tell(self, values: tuple[float, ...], constraint: float) -> None:
        """See `Contender.tell`."""
        self._suggested()
        self._trial.set_constraint(CONSTRAINT, constraint)
        self._study.tell(self._trial, list(values))
        self._trial = None

    def reject(self, reason: Reason, constraint: float) -> None:
        """See `Contender.reject`."""
        import optuna

        if self._rejected == "told" or (self._rejected == "mixed" and reason == "over-budget"):
            # Optuna's samplers order what misses a constraint by how far, never by its values.
            self.tell(self._reference, max(constraint, VIOLATED))
        elif self._trial.params:
            self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)
            self._trial = None
        else:
            # The same as a failed trial and a new one, but for the list of failed trials, which every `ask` walks along.
            self._trial = optuna.trial.Trial(self._study, self._trial._trial_id)

    def _suggested(self) -> Point:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        for name, d in self._distributions.items():
            if isinstance(d, IntDistribution):
                self._trial.suggest_int(name, d.low, d.high, step=d.step)
            elif isinstance(d, CategoricalDistribution):
                self._trial.suggest_categorical(name, d.choices)
        return dict(self._trial.params)


def _mvsearch(problem: Problem, seed: int, prior: Prior) -> Contender:
    from mvsearch.search.study import FrontSampler

    return OptunaContender(problem, FrontSampler(problem.space, excess=problem.excess, prior=prior, seed=seed))


def _tpe(problem: Problem, seed: int, prior: Prior) -> Contender:
    from optuna.samplers import TPESampler

    return OptunaContender(problem, TPESampler(seed=seed))


def _nsga2(problem: Problem, seed: int, prior: Prior) -> Contender:
    from optuna.samplers import NSGAIISampler

    return OptunaContender(problem, NSGAIISampler(seed=seed))


def _nsga3(problem: Problem, seed: int, prior: Prior) -> Contender:
    import warnings

    from optuna.samplers import NSGAIIISampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental
        return OptunaContender(problem, NSGAIIISampler(seed=seed))


def _pymoo(problem: Problem, seed: int, prior: Prior) -> Contender:
    from mvsearch.search.bench.pymoo_nsga2 import PymooContender

    return PymooContender(problem, seed)


OURS = "mvsearch"
CONTENDERS: dict[str, Callable[[Problem, int, Prior], Contender]] = {
    OURS: _mvsearch,
    "optuna-tpe": _tpe,
    "optuna-nsga2": _nsga2,
    "optuna-nsga3": _nsga3,
    "pymoo-nsga2": _pymoo,
    "random": lambda problem, seed, prior: RandomContender(problem, seed),
}
"""Name -> (problem, seed, beliefs) -> engine; only ours makes use of the beliefs, the others through the screen at most."""

PATIENCES = {"optuna-tpe": 10}
"""Rejected proposals in a row that an engine may make, where that is not `PATIENCE`: one of TPE's takes 50 ms and more."""


def patience_of(contender: str) -> int:
    """How many proposals in a row the screen may reject as dominated, and how many an engine may make per trial in all."""
    return PATIENCES.get(contender, PATIENCE)


def variants_of(contender: str) -> tuple[Variant, ...]:
    """How a contender is raced: ours has the screen built in."""
    return ("as-is",) if contender == OURS else VARIANTS


def make(contender: str, problem: Problem, seed: int, prior: Prior) -> Contender:
    """An engine by its name.

    Raises:
        InputError: there is none of that name, or its package is missing.
    """
    if contender not in CONTENDERS:
        raise InputError(f"unknown contender `{contender}`", f"one of {', '.join(CONTENDERS)}")
    return CONTENDERS[contender](problem, seed, prior)
