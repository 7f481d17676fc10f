"""The best compound exponents for a target and a budget, found as EfficientNet's paper does, for latency too.

EfficientNet (arXiv 1905.11946, eq. 3) scales depth by alpha^phi, width by beta^phi and resolution by gamma^phi, with all
three at least 1 and such that a unit of phi doubles the MACs; alpha, beta and gamma come from a small grid of trained
networks. Here the constraint is met by the real cost, counted or predicted: depth and resolution run over every
network that rounding leaves distinct, the width takes what is left of the budget, and what is maximised is the lower bound
of the estimated top-1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from mvsearch.accuracy.calibration import TIE_THRESHOLD, tied
from mvsearch.scaling.families import EFFICIENTNET, LARGEST_FACTOR, Point, cost, near_side
from mvsearch.scaling.gains import probability_worse
from mvsearch.scaling.rules import depth_factors, scaled, sides
from mvsearch.scaling.solve import solve_width
from mvsearch.scaling.view import CompoundFit, CompoundOption, Member
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets import Target

TOLERANCE = 0.05
"""Share of the budget that a candidate may miss; widths go in steps of 8."""
LEAST_DOUBLINGS = 0.3
"""Between the base and the budget: nearer than that, rounding says more about the exponents than accuracy does."""
COMPARED = 0.1
"""The same for what it is compared with, which goes in larger steps."""
LIMITS = (
    "The estimate knows a network's size and how far its shape is from published ones, not how it trains: that depth "
    "against width is never trained here.",
    "Published evidence on depth is of other families: thin and deep beat wide and shallow in 8 of 8, by 0.2 to 1.9 points.",
    "Images are credited what they brought published networks, up to twice the side of 256 pixels and nothing above; no "
    "MobileViT was published below 256.",
)

Evaluate = Callable[[Point], Member | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked.

    Attributes:
        spec: the base.
        side: of its image, in pixels.
        metric: that a unit of phi doubles.
        budget: in its unit.
        text: of the budget.
        confidence: of the lower bound.
    """

    spec: ArchSpec
    side: int
    metric: Literal["macs", "latency"]
    budget: float
    text: str
    confidence: float


class Unreachable(Exception):
    """No compound fit is possible; the message says why."""


def fit_compound(problem: Problem, target: Target, evaluate: Evaluate) -> CompoundFit:
    """The best exponents at a budget, and what else the same cost buys.

    Raises:
        Unreachable: the budget is the base's own cost, or nothing that scaling makes comes near it.
    """
    base = cost(problem.metric, problem.spec, problem.side, target)
    phi = math.log2(problem.budget / base)
    if abs(phi) < LEAST_DOUBLINGS:
        raise Unreachable(
            f"the budget of the compound fit ({problem.text}) is within a factor of {2**LEAST_DOUBLINGS:.2f} of the network's "
            "own cost, so that no exponents can be told; give another `--budget`"
        )
    made = [
        option for point in _candidates(problem, phi, target) if (option := _option("found", point, phi, problem, evaluate))
    ]
    if not made:
        raise Unreachable(f"no compound scaling comes within {TOLERANCE:.0%} of {problem.text}; give another `--budget`")
    found = max(made, key=lambda o: o.lower_top1)
    others, missing = _compared(problem, phi, target, evaluate)
    top1 = found.member.evaluation.measurements["top1"]
    near = [
        o for o in made
        if found.lower_top1 - o.lower_top1 < TIE_THRESHOLD and tied(o.member.evaluation.measurements["top1"], top1)
    ]  # fmt: skip
    names: tuple[Literal["alpha", "beta", "gamma"], ...] = ("alpha", "beta", "gamma")
    return CompoundFit(
        metric=problem.metric,
        budget=problem.budget,
        budget_text=problem.text,
        tolerance=TOLERANCE,
        found=found,
        others=tuple(_against(o, found) for o in others),
        missing=tuple(missing),
        ranges=tuple((n, min(getattr(o, n) for o in near), max(getattr(o, n) for o in near)) for n in names),
        tried=len(made),
        limits=LIMITS + tuple(f"What was found is flagged: {f}." for f in top1.flags if ":" in f),
    )


def _candidates(problem: Problem, phi: float, target: Target) -> list[Point]:
    """Every depth and side that leaves the width on the right side of 1: exponents are at least 1."""
    growing = phi > 0
    far = min(2.0 ** abs(2 * phi), LARGEST_FACTOR)
    depths = depth_factors(problem.spec, 1 / far, far)
    every = {problem.side, *sides(problem.spec)}
    low, high = (0.0, math.log2(LARGEST_FACTOR)) if growing else (-math.log2(LARGEST_FACTOR), 0.0)
    points = []
    for depth in (d for d in depths if (d >= 1 if growing else d <= 1)):
        for side in sorted(s for s in every if (s >= problem.side if growing else s <= problem.side)):
            solved = solve_width(problem.spec, side, depth, problem.metric, problem.budget, target, low, high)
            if solved and abs(solved[1] / problem.budget - 1) <= TOLERANCE:
                points.append(solved[0])
    return points


def _option(label: str, point: Point, phi: float, problem: Problem, evaluate: Evaluate) -> CompoundOption | None:
    member = evaluate(point._replace(factor=2**phi))
    if member is None:
        return None
    return CompoundOption(
        label=label,
        alpha=point.depth ** (1 / phi),
        beta=point.width ** (1 / phi),
        gamma=(point.side / problem.side) ** (1 / phi),
        phi=phi,
        member=replace(member, resolution=point.side / problem.side),
        lower_top1=member.evaluation.measurements["top1"].quantile(1 - problem.confidence),
        probability_worse=None,
        tied=False,
    )


def _against(option: CompoundOption, found: CompoundOption) -> CompoundOption:
    mine, best = (o.member.evaluation.measurements["top1"] for o in (option, found))
    worse = probability_worse(option.member, found.member)
    return replace(option, probability_worse=worse, tied=tied(mine, best))


def _compared(
    problem: Problem, phi: float, target: Target, evaluate: Evaluate
) -> tuple[list[CompoundOption], list[tuple[str, str]]]:
    """EfficientNet's exponents and each dimension alone, at the same cost; and (label, why) of what cannot be."""
    spec, side, growing = problem.spec, problem.side, phi > 0

    def filled(depth: float, at: int) -> tuple[Point, float] | None:
        return solve_width(spec, at, depth, problem.metric, problem.budget, target)

    def one_dimension(label: str, points: list[Point]) -> tuple[str, tuple[Point, float] | None]:
        """The nearest to the budget; if its steps miss that, the last within it, with the rest spent on width."""
        priced = [(p, cost(problem.metric, p.spec, p.side, target)) for p in points]
        nearest = min(priced, key=lambda f: abs(math.log(f[1] / problem.budget)), default=None)
        if nearest and abs(nearest[1] / problem.budget - 1) <= COMPARED:
            return label, nearest
        # As far in this dimension as the budget goes, and width for the rest.
        short = [f for f in priced if (f[1] < problem.budget if growing else f[1] > problem.budget)]
        for p, _ in sorted(short, key=lambda f: f[1], reverse=growing):
            rest = filled(p.depth, p.side) if p.depth != 1 or p.side != side else None
            if rest and abs(rest[1] / problem.budget - 1) <= TOLERANCE:
                return f"{label.split()[0]}, rest by width", rest
        return label, None

    depth = depth_factors(spec, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
    deep = [Point(d, 1.0, d, s, side) for d in depth if (d >= 1) == growing or d == 1 for s in [scaled(spec, 1.0, d)] if s]
    large = [Point(s / side, 1.0, 1.0, spec, s) for s in sides(spec) if (s >= side) == growing or s == side]
    at = near_side(spec, side, EFFICIENTNET.gamma**phi)
    tries = [
        ("EfficientNet's", filled(EFFICIENTNET.alpha**phi, at) if at else None),
        ("width only", filled(1.0, side)),
        one_dimension("depth only", deep),
        one_dimension("resolution only", large),
    ]
    options, missing = [], []
    for label, solved in tries:
        near = solved is not None and abs(solved[1] / problem.budget - 1) <= COMPARED
        option = _option(label, solved[0], phi, problem, evaluate) if solved and near else None
        if option:
            options.append(option)
        else:
            missing.append((label, f"comes no nearer to the budget than {COMPARED:.0%}"))
    return options, missing


def farther_end(low: float, high: float, base: float) -> float:
    """The end of a range that lies farther from the base's cost, in the logarithm."""
    return high if abs(math.log(high / base)) >= abs(math.log(low / base)) else low
