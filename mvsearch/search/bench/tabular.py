"""A landscape that the estimates get wrong: a finite table of networks whose truth nobody knows beforehand.

The table holds every combination of eight knobs of a MobileViT: 27,648 networks, of which 1.3M-params leaves about half. The
truth of a network is half our own estimate, half a random function of its knobs (main effects and products of pairs,
seeded). What the contenders may believe is that truth, distorted: kinds of blocks and depths are favoured by several
points, latency is bent, and every network has an error of its own, as large as the differences between neighbours.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from mvsearch.search.belief import Belief
from mvsearch.search.bench.problems import CONFIDENCE, TARGET, Problem, estimated
from mvsearch.search.bench.reference import load_reference
from mvsearch.search.goals import Goals
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.space import Dimension, SearchSpace, Value
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target

LANDSCAPE_SEED = 20261121
BUDGET = "1.3M-params"
BLOCKS: tuple[Value, ...] = ("v1", "v2", "v3-v1", "v3-v2")
KNOBS: dict[str, tuple[Value, ...]] = {
    "stage3.block": BLOCKS,
    "stage4.block": BLOCKS,
    "stage5.block": BLOCKS,
    "stage3.depth": (1, 2, 3),
    "stage4.depth": (1, 2, 4),
    "stage5.depth": (1, 2, 3),
    "stage4.dim": (64, 80, 96, 128),
    "stage5.dim": (80, 96, 120, 160),
}
FIXED: dict[str, Value] = {
    "stem.channels": 16, "stage1.channels": 16, "stage1.expansion": 2, "stage2.channels": 24, "stage2.expansion": 2,
    "stage2.blocks": 3, "stage3.channels": 64, "stage3.expansion": 2, "stage3.dim": 64, "stage3.heads": 4,
    "stage3.ffn_ratio": 2, "stage3.patch": 2, "stage4.channels": 80, "stage4.expansion": 2, "stage4.heads": 4,
    "stage4.ffn_ratio": 2, "stage4.patch": 2, "stage5.channels": 128, "stage5.expansion": 2, "stage5.heads": 4,
    "stage5.ffn_ratio": 2, "stage5.patch": 1, "head": "expand",
}  # fmt: skip
TOP1_SPREAD, LATENCY_SPREAD = 2.0, 0.18
"""Standard deviations of the random part: points of top-1, log of latency."""
TOP1_CENTRE, LATENCY_CENTRE = 69.2, 1.8
"""Of our estimates over the table, %, ms."""
NOISE_TOP1, NOISE_LATENCY = 1.7, 0.15
"""Error of a belief about one network, beyond the bias: the standard deviation of the truth between neighbours in the table."""
BLOCK_BIAS: dict[Value, float] = {"v1": -1.5, "v2": 2.5, "v3-v1": -0.5, "v3-v2": 1.5}
"""Points by which a belief favours a kind of block, summed over the stages and divided by two."""
DEPTH_BIAS = 0.8
"""Points per layer, against depth."""
BEND = 1.4
"""Exponent: beliefs stretch the log of latency about its centre."""


def table_space() -> SearchSpace:
    """The default space with all but eight knobs fixed."""
    full = load_space("mobilevit")
    dimensions = tuple(
        Dimension(d.name, KNOBS.get(d.name) or (FIXED[d.name],) if d.name in {**KNOBS, **FIXED} else d.choices[:1], d.ordered)
        for d in full.dimensions
    )
    return SearchSpace("table", "eight knobs of a MobileViT of about 2 M parameters", dimensions, full.resolution)


def all_specs(space: SearchSpace) -> Iterator[ArchSpec]:
    """Every network of a small space, once."""
    seen = set()
    for choice in itertools.product(*(d.choices for d in space.dimensions)):
        spec = space.decode({d.name: c for d, c in zip(space.dimensions, choice, strict=True)})
        if spec.arch_id not in seen:
            seen.add(spec.arch_id)
            yield spec


@dataclass(frozen=True)
class Landscape:
    """A smooth random function of a network's knobs, mean 0 and standard deviation about 1.

    Attributes:
        space: the knobs.
        main: (knob, value) -> effect.
        pairs: (knob, knob, weight of the product of their effects).
    """

    space: SearchSpace
    main: dict[tuple[str, Value], float]
    pairs: tuple[tuple[str, str, float], ...]

    def __call__(self, spec: ArchSpec) -> float:
        """The function at a network of the space."""
        point = self.space.encode(spec)
        effect = {name: self.main[name, point[name]] for name in KNOBS}
        linear = sum(effect.values()) / math.sqrt(len(KNOBS))
        products = sum(w * effect[a] * effect[b] for a, b, w in self.pairs) / math.sqrt(len(self.pairs))
        return 0.75 * linear + 0.66 * products


def landscape(space: SearchSpace, seed: str) -> Landscape:
    """Draw a function; ordered knobs move monotonically but for a bend, kinds of blocks are free."""
    rng = random.Random(f"landscape/{seed}")
    main: dict[tuple[str, Value], float] = {}
    for name, choices in KNOBS.items():
        if space.by_name[name].ordered:
            slope, bend = rng.gauss(0, 1), rng.gauss(0, 0.6)
            raw = [slope * x + bend * x * x for x in _evenly(len(choices))]
        else:
            raw = [rng.gauss(0, 1) for _ in choices]
        mean = sum(raw) / len(raw)
        scale = math.sqrt(sum((r - mean) ** 2 for r in raw) / len(raw)) or 1.0
        main |= {(name, c): (r - mean) / scale for c, r in zip(choices, raw, strict=True)}
    pairs = tuple((a, b, rng.gauss(0, 1)) for a, b in itertools.combinations(KNOBS, 2))
    return Landscape(space, main, pairs)


def _evenly(count: int) -> list[float]:
    return [-1 + 2 * i / (count - 1) for i in range(count)]


def truth_of(space: SearchSpace) -> Callable[[ArchSpec], Belief]:
    """What an evaluation in the table brings: (top-1 in %, latency in ms), both made up."""
    target = get_target(TARGET)
    top1_shape, latency_shape = (landscape(space, f"{LANDSCAPE_SEED}/{what}") for what in ("top1", "latency"))

    def truth(spec: ArchSpec) -> Belief:
        m = estimated(spec, space.resolution, target).measurements
        top1 = m["top1"].value + TOP1_SPREAD * top1_shape(spec)
        return Belief((top1, m["latency"].value * math.exp(LATENCY_SPREAD * latency_shape(spec))))

    return truth


def excess_of(space: SearchSpace) -> Callable[[ArchSpec], float]:
    """The counted budget of the table."""
    return Goals(parse_budgets([BUDGET]), CONFIDENCE, space.resolution).excess


def tabular(trust: str = "") -> Problem:
    """The tabular problem.

    Args:
        trust: what beliefs are like: distorted (empty), `uninformative` (independent of the truth, the same spread) or
            `misleading` (against the truth of top-1 in part, latency unknown).
    """
    space = table_space()
    truth = truth_of(space)

    def belief(spec: ArchSpec) -> Belief:
        error = _normal(spec, "top1"), _normal(spec, "latency")
        if trust == "uninformative":
            return _of_shifts(2.0 * error[0], 0.3 * error[1])
        top1, latency = truth(spec).values
        shift, log_latency = top1 - TOP1_CENTRE, math.log(latency / LATENCY_CENTRE)
        if trust == "misleading":
            return _of_shifts(-0.7 * shift + NOISE_TOP1 * error[0], 0.3 * error[1])
        point = space.encode(spec)
        bias = sum(BLOCK_BIAS[point[f"stage{i}.block"]] for i in (3, 4, 5)) / 2
        bias -= DEPTH_BIAS * (sum(float(point[f"stage{i}.depth"]) for i in (3, 4, 5)) - 6)
        return _of_shifts(shift + bias + NOISE_TOP1 * error[0], BEND * log_latency + NOISE_LATENCY * error[1])

    name = f"tabular-{trust}" if trust else "tabular"
    stored = load_reference("tabular")
    return Problem(
        name,
        f"a table of {space.num_points:,} networks, {BUDGET}; {DESCRIPTIONS[trust]}",
        space,
        ("top-1 (made up, %)", "latency (made up, ms)"),
        ("maximize", "minimize"),
        beyond_nadir([m.values for m in stored]),
        "the worst of each objective on the exact front, and a tenth of its range beyond",
        truth,
        excess_of(space),
        lambda specs: [belief(s) for s in specs],
    )


DESCRIPTIONS = {
    "": "beliefs are biased, bent and noisy",
    "uninformative": "beliefs know nothing of the truth",
    "misleading": "beliefs about top-1 point the wrong way, those about latency nowhere",
}
BUILDERS: dict[str, Callable[[], Problem]] = {
    "": tabular,
    "-uninformative": lambda: tabular("uninformative"),
    "-misleading": lambda: tabular("misleading"),
}


def beyond_nadir(points: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """A tenth of the front's range worse than its worst, for (maximise, minimise); needs a front of two or more."""
    gain, cost = [p[0] for p in points], [p[1] for p in points]
    return min(gain) - 0.1 * (max(gain) - min(gain)), max(cost) + 0.1 * (max(cost) - min(cost))


def _of_shifts(top1: float, log_latency: float) -> Belief:
    return Belief((TOP1_CENTRE + top1, LATENCY_CENTRE * math.exp(log_latency)))


def _normal(spec: ArchSpec, what: str) -> float:
    """A standard normal number that belongs to the network."""
    digest = hashlib.sha256(f"{LANDSCAPE_SEED}/{what}/{spec.arch_id}".encode()).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest[:8], "big") + 0.5) / 2**64)
