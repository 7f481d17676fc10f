"""Families of sizes: which networks a rule can make in a range, and which of them are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from mvsearch.costs import count
from mvsearch.scaling.ranges import SizeRange
from mvsearch.scaling.rules import depth_factors, scaled, side_step, sides
from mvsearch.scaling.view import CostMetric
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import V2_MULTIPLIERS
from mvsearch.targets import Target

LARGEST_FACTOR = 8.0
"""Of width, of depth, and their inverse: beyond it nothing of a network's design is left."""
LARGEST_PHI = 6.0
"""Doublings of cost, up or down, that compound scaling is looked at for."""
COARSE = 8
"""Factors per doubling that find the range."""
FINEST = 1 / 2000
"""Of log2 of the factor, up to which networks are told apart."""


class Point(NamedTuple):
    """A network that a rule makes.

    Attributes:
        factor: of the rule; 2^phi for compound scaling.
        width, depth: factors of these.
        spec: the network.
        side: of its image, in pixels.
    """

    factor: float
    width: float
    depth: float
    spec: ArchSpec
    side: int


@dataclass(frozen=True, slots=True)
class Exponents:
    """Compound scaling (arXiv 1905.11946, eq. 3): depth alpha^phi, width beta^phi, resolution gamma^phi."""

    alpha: float
    beta: float
    gamma: float


EFFICIENTNET = Exponents(1.2, 1.1, 1.15)
"""Found there by a grid search on EfficientNet-B0 for MACs; they double when alpha beta^2 gamma^2 = 2 (1.92)."""


class Path(NamedTuple):
    """A rule with one number to turn.

    Attributes:
        at: logarithm (base 2) of the factor -> what the rule makes of it; None where there is no such network.
        limit: of that logarithm, up and down.
    """

    at: Callable[[float], Point | None]
    limit: float


def cost(metric: CostMetric, spec: ArchSpec, side: int, target: Target) -> float:
    """Counted parameters or MACs, or predicted ms."""
    if metric == "latency":
        return target.predict(spec, side).value
    costs = count(spec, side)
    return float(costs.params if metric == "params" else costs.macs)


def width_path(spec: ArchSpec, side: int) -> Path:
    """By width alone."""

    def at(x: float) -> Point | None:
        made = scaled(spec, 2**x, 1.0)
        return None if made is None else Point(2**x, 2**x, 1.0, made, side)

    return Path(at, math.log2(LARGEST_FACTOR))


def compound_path(spec: ArchSpec, side: int, exponents: Exponents) -> Path:
    """By compound exponents; the factor is 2^phi."""

    def at(phi: float) -> Point | None:
        width, depth = exponents.beta**phi, exponents.alpha**phi
        made, large = scaled(spec, width, depth), near_side(spec, side, exponents.gamma**phi)
        return None if made is None or large is None else Point(2**phi, width, depth, made, large)

    return Path(at, LARGEST_PHI)


def near_side(spec: ArchSpec, side: int, factor: float) -> int | None:
    """The side nearest to the factor that the patches tile, or the base's own; None where there is none."""
    if factor == 1:
        return side
    step = side_step(spec)
    wanted = math.floor(side * factor / step + 0.5) * step
    return wanted if wanted in sides(spec, wanted, wanted) else None


def on_path(path: Path, within: SizeRange, target: Target, first: Sequence[float] = ()) -> list[Point]:
    """Every distinct network along a path in a range, by rising factor.

    Args:
        path: the rule.
        within: the range.
        target: for a range in ms.
        first: logarithms of factors that are kept where they round to the same network as others.
    """
    places = np.arange(-path.limit, path.limit + 1e-9, 1 / COARSE).tolist()
    coarse = [(x, p) for x in places if (p := path.at(x)) is not None]
    sizes = [cost(within.metric, p.spec, p.side, target) for _, p in coarse]
    if not sizes:
        return []
    above = [i for i, s in enumerate(sizes) if s > within.high]
    below = [i for i, s in enumerate(sizes) if s < within.low]
    low = coarse[below[-1] if below else 0][0]
    high = coarse[above[0] if above else -1][0]
    if high <= low:
        return []
    found: dict[tuple[str, int], Point] = {}
    for x in (x for x in first if low <= x <= high):
        if (p := path.at(x)) is not None:
            found.setdefault(_key(p), p)
    inside = [(x, p) for x, p in coarse if low <= x <= high]
    for p in chain((p for _, p in inside), *(_between(path, *a, *b) for a, b in pairwise(inside))):
        found.setdefault(_key(p), p)
    return _within(found.values(), within, target)


def _key(point: Point) -> tuple[str, int]:
    return point.spec.arch_id, point.side


def _between(path: Path, x: float, here: Point, end: float, there: Point) -> Iterator[Point]:
    """Networks between two places of a path; none lies between two that are the same, for every rounding is monotone."""
    if _key(here) == _key(there) or end - x < FINEST:
        return
    middle = (x + end) / 2
    found = path.at(middle)
    if found is not None:
        yield from _between(path, x, here, middle, found)
        yield found
        yield from _between(path, middle, found, end, there)


def by_depth(spec: ArchSpec, side: int, within: SizeRange, target: Target) -> list[Point]:
    """Every distinct network by depth alone in a range."""
    factors = depth_factors(spec, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
    made = [(f, scaled(spec, 1.0, f)) for f in factors]
    return _within((Point(f, 1.0, f, s, side) for f, s in made if s is not None), within, target)


def by_resolution(spec: ArchSpec, side: int, within: SizeRange, target: Target) -> list[Point]:
    """The network at every side that its patches tile, and at its own, in a range."""
    every = sorted({side, *sides(spec)})
    return _within((Point(s / side, 1.0, 1.0, spec, s) for s in every), within, target)


def _within(points: Iterable[Point], within: SizeRange, target: Target) -> list[Point]:
    kept = [p for p in points if cost(within.metric, p.spec, p.side, target) in within]
    return sorted(kept, key=lambda p: p.factor)


def published_factors(multiplier: float | None) -> tuple[float, ...]:
    """Logarithms of the factors that lead to MobileViTv2's published widths, and of 1."""
    if multiplier is None:
        return (0.0,)
    return (0.0, *(math.log2(m / multiplier) for m in V2_MULTIPLIERS))


def spread(sizes: Sequence[float], number: int, keep: int | None = None) -> list[int]:
    """Places of at most `number` sizes that lie evenly in their logarithm, the smallest and the largest among them.

    Args:
        sizes: above zero, in any order.
        number: at least 2, or 1 for the first.
        keep: a place that has to be among them.

    Returns:
        Places by rising size.
    """
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    logs = np.log([sizes[i] for i in order])
    number = min(number, len(order))
    chosen: list[int] = []
    for i, wanted in enumerate(np.linspace(logs[0], logs[-1], number)):
        # Sizes can differ by less than their logarithms tell: the largest is chosen by its place.
        nearest = len(order) - 1 if 0 < i == number - 1 else int(np.abs(logs - wanted).argmin())
        chosen.append(min(max(nearest, chosen[-1] + 1 if chosen else 0), len(order) - number + i))
    places = [order[i] for i in chosen]
    if keep is not None and keep not in places:
        at = min(range(len(places)), key=lambda i: abs(math.log(sizes[places[i]] / sizes[keep])))
        places[at] = keep
    return sorted(places, key=lambda i: sizes[i])
