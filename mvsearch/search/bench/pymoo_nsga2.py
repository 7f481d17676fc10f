"""pymoo's NSGA-II on integers, as pymoo's documentation has it: SBX and PM with rounding. pymoo is imported here only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvsearch.errors import InputError
from mvsearch.search.bench.problems import Problem
from mvsearch.search.screen import Reason
from mvsearch.spec.space import Point

POPULATION = 50
"""As many as Optuna's; pymoo's own default of 100 leaves ten generations to a thousand trials, and did worse."""


class PymooContender:
    """NSGA-II of pymoo; every dimension is the index of its choice.

    The budget is an inequality constraint G <= 0. A proposal that the screen finds over budget counts as one that misses it;
    duplicates and dominated ones are eliminated from the offspring, as pymoo does with duplicates itself.

    Args:
        problem: the problem.
        seed: of the algorithm.
        population: size of the population.

    Raises:
        InputError: pymoo is not installed.
    """

    def __init__(self, problem: Problem, seed: int, population: int = POPULATION) -> None:
        try:
            from pymoo.algorithms.moo.nsga2 import NSGA2
        except ImportError:
            raise InputError("`pymoo-nsga2` needs pymoo, which is not installed", "`pip install 'mvsearch[bench]'`") from None
        import numpy as np
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        self._free = [d for d in problem.space.dimensions if len(d.choices) > 1]
        self._fixed = {d.name: d.choices[0] for d in problem.space.dimensions if len(d.choices) == 1}
        self._signs = [-1.0 if d == "maximize" else 1.0 for d in problem.directions]
        self._reference = problem.reference
        self._problem = PymooProblem(
            n_var=len(self._free), n_obj=len(self._signs), n_ieq_constr=1, xl=np.zeros(len(self._free), int),
            xu=np.array([len(d.choices) - 1 for d in self._free]), vtype=int,
        )  # fmt: skip
        self._algorithm: Any = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed, verbose=False)
        self._population: Any = None
        self._at = 0
        self._starts: list[Point] = []
        self._answers: list[tuple[int, list[float], float]] = []

    def start_from(self, points: Sequence[Point]) -> None:
        """See `Contender.start_from`: they take the first places of the first population."""
        self._starts = list(points)

    def ask(self) -> Point:
        """See `Contender.ask`."""
        import numpy as np

        if self._population is None:
            self._population, self._at = self._algorithm.ask(), 0
            if self._population is None or len(self._population) == 0:
                raise StopIteration
            for individual, point in zip(self._population, self._starts, strict=False):
                individual.X = np.array([d.choices.index(point[d.name]) for d in self._free])
            self._starts = []
        x = self._population[self._at].X
        return {**self._fixed, **{d.name: d.choices[round(i)] for d, i in zip(self._free, x, strict=True)}}

    def tell(self, values: tuple[float, ...], constraint: float) -> None:
        """See `Contender.tell`."""
        self._answers.append((self._at, [s * v for s, v in zip(self._signs, values, strict=True)], constraint))
        self._advance()

    def reject(self, reason: Reason, constraint: float) -> None:
        """See `Contender.reject`."""
        if reason == "over-budget":
            # It tells the algorithm where the budget lies: without it, a budget that random points never keep is never met.
            self.tell(self._reference, constraint)
        else:
            self._advance()

    def _advance(self) -> None:
        """Go on to the next offspring; behind the last one, tell those that have an answer."""
        import numpy as np
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        self._at += 1
        if self._at < len(self._population):
            return
        if self._answers:
            kept = self._population[[i for i, _, _ in self._answers]]
            static = StaticProblem(
                self._problem, F=np.array([f for _, f, _ in self._answers]), G=np.array([[g] for _, _, g in self._answers])
            )
            Evaluator().eval(static, kept)
            self._algorithm.tell(infills=kept)
        self._population, self._answers = None, []
