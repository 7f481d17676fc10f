"""Networks of one size that spend it differently: the designed set that shows what allocation is worth.

Every candidate is MobileViTv3-XXS with one or two knobs moved and all widths scaled so that parameters
and activations stay what they were. One factor cannot hold both, so that the two early stages, where
the activations are, and the three late ones, where the parameters are, have a factor each; how far the
two differ (`tilt`) is kept as small as the costs allow and is part of what a candidate says about
itself. A knob's effect is hence that of the knob together with the compensation that pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import log2
from types import MappingProxyType

from mvsearch.costs import Costs, count
from mvsearch.spec.arch import SWITCHES, ArchSpec, InvertedResidualStage, MobileViTStage, MobileViTV2Stage, Stage
from mvsearch.spec.published import network

BASE_NAME = "mobilevitv3_xxs"
NUM_CLASSES = 10
RESOLUTION = 64
"""Side of the images, in pixels: the maps of the transformer stages are 8, 4 and 2 pixels wide."""
PARAMS_TOLERANCE = 0.03
ACTIVATIONS_TOLERANCE = 0.05

_SOLVED_PARAMS, _SOLVED_ACTIVATIONS = 0.02, 0.035
_EARLY_STEP, _LATE_STEP, _DIM_STEP = 1, 2, 4
_TILT_STEP, _MAX_TILT = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class Knobs:
    """Where a network of the base's layout spends its size; the defaults are the base.

    Attributes:
        depths: transformer layers (L) of stages 3 to 5.
        log_ratio: doublings of d / C over the base's.
        heads: attention heads.
        ffn_ratio: hidden over transformer width.
        expansions: of the five inverted residuals.
        profile: doublings that the widths move towards the earlier stage, within the early pair (C1 up, C2
            down) and within the late three (C3 up, C5 down).
        patches: sides in stages 3 to 5.
        separable: separable attention (v3 on v2) instead of softmax attention.
        switches: letters of v3's switches that are on.
    """

    depths: tuple[int, int, int] = (2, 4, 3)
    log_ratio: float = 0.0
    heads: int = 4
    ffn_ratio: float = 2
    expansions: tuple[float, float, float, float, float] = (2, 2, 2, 2, 2)
    profile: float = 0.0
    patches: tuple[int, int, int] = (2, 2, 2)
    separable: bool = False
    switches: str = "ABCD"


BASE = Knobs()


def knob_steps(knobs: Knobs) -> Mapping[str, float]:
    """How far each knob is from the base: log2 of its ratio, or 1 per change of kind; knobs at the base are left out.

    Depth has three directions (its sum, the share of stage 4, stage 5 against stage 3); expansions and patches
    are means over their stages.
    """
    (l3, l4, l5), total = knobs.depths, sum(knobs.depths)
    early, late = knobs.expansions[:3], knobs.expansions[3:]
    steps = {
        "total depth": log2(total / 9),
        "depth share of stage 4": log2(l4 / total) - log2(4 / 9),
        "depth late over early": log2(l5 / l3) - log2(3 / 2),
        "transformer width": knobs.log_ratio,
        "heads": log2(knobs.heads / 4),
        "FFN ratio": log2(knobs.ffn_ratio / 2),
        "early expansion": sum(log2(e / 2) for e in early) / 3,
        "late expansion": sum(log2(e / 2) for e in late) / 2,
        "width profile to early": knobs.profile,
        "patch": sum(log2(p / 2) for p in knobs.patches) / 3,
        "separable attention": float(knobs.separable),
    }
    # v3 on v2 has a depthwise local and a 1x1 fusion convolution by itself.
    steps |= {f"without {name}": float(letter not in knobs.switches) for letter, name in zip("ABCD", SWITCHES, strict=True)}
    return MappingProxyType({name: step for name, step in steps.items() if abs(step) > 1e-9})


_ALL_MOVED = Knobs((1, 1, 4), 1, 1, 1, (1, 1, 1, 1, 1), 1, (1, 1, 1), separable=True, switches="")
KNOB_NAMES = tuple(knob_steps(_ALL_MOVED))
"""Every knob of the design, in the order of the tables."""

_MOVES: dict[str, Knobs] = {
    "l_111": Knobs(depths=(1, 1, 1)),
    "l_122": Knobs(depths=(1, 2, 2)),
    "l_365": Knobs(depths=(3, 6, 5)),
    "l_333": Knobs(depths=(3, 3, 3)),
    "l_144": Knobs(depths=(1, 4, 4)),
    "l_432": Knobs(depths=(4, 3, 2)),
    "l_171": Knobs(depths=(1, 7, 1)),
    "l_223": Knobs(depths=(2, 2, 3)),
    "d_half": Knobs(log_ratio=-1),
    "d_double": Knobs(log_ratio=1),
    "heads_1": Knobs(heads=1),
    "heads_8": Knobs(heads=8),
    "ffn_1": Knobs(ffn_ratio=1),
    "ffn_4": Knobs(ffn_ratio=4),
    "e_early_4": Knobs(expansions=(2, 4, 4, 2, 2)),
    "e_late_4": Knobs(expansions=(2, 2, 2, 4, 4)),
    "e_all_1.5": Knobs(expansions=(1.5, 1.5, 1.5, 1.5, 1.5)),
    "widths_early": Knobs(profile=0.5),
    "widths_late": Knobs(profile=-0.5),
    "patch_111": Knobs(patches=(1, 1, 1)),
    "patch_442": Knobs(patches=(4, 4, 2)),
    "v1": Knobs(switches=""),
    "v3_on_v2": Knobs(separable=True),
    "without_dw_local": Knobs(switches="BCD"),
    "without_fuse_1x1": Knobs(switches="ACD"),
    "without_concat_local": Knobs(switches="ABD"),
    "without_residual": Knobs(switches="ABC"),
    # Two knobs at once: as informative as two more networks, and a test of whether effects add up.
    "l_111_e_early_3": Knobs(depths=(1, 1, 1), expansions=(3, 3, 3, 2, 2)),
    "d_half_ffn_4": Knobs(log_ratio=-1, ffn_ratio=4),
    "d_double_heads_8": Knobs(log_ratio=1, heads=8),
    "ffn_3_e_late_1": Knobs(ffn_ratio=3, expansions=(2, 2, 2, 1, 1)),
    "e_late_6_widths_late": Knobs(expansions=(2, 2, 2, 6, 6), profile=-0.5),
    "e_early_1.5_widths_early": Knobs(expansions=(1.5, 1.5, 1.5, 2, 2), profile=0.5),
    "heads_2_patch_111": Knobs(heads=2, patches=(1, 1, 1)),
    "patch_221_v3_on_v2": Knobs(patches=(2, 2, 1), separable=True),
    "l_365_ffn_1": Knobs(depths=(3, 6, 5), ffn_ratio=1),
    "without_fuse_1x1_and_residual": Knobs(switches="AC"),
    "without_dw_local_and_concat_local": Knobs(switches="BD"),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network of the design.

    Attributes:
        name: unique in the design.
        spec: the network.
        steps: knobs that differ from the base, with their signed step (`knob_steps`).
        width_factor: geometric mean of the factors of the early and the late widths, as solved.
        tilt: doublings by which early widths were scaled more than late ones; 0 where one factor was enough.
    """

    name: str
    spec: ArchSpec
    steps: Mapping[str, float]
    width_factor: float = 1.0
    tilt: float = 0.0

    @property
    def costs(self) -> Costs:
        """Counted at the resolution of training."""
        return count(self.spec, RESOLUTION)


def base() -> Candidate:
    """MobileViTv3-XXS with the design's number of classes."""
    return Candidate(BASE_NAME, network(BASE_NAME).with_classes(NUM_CLASSES), MappingProxyType({}))


@lru_cache(maxsize=1)
def design() -> tuple[Candidate, ...]:
    """The base, then every candidate of equal size, in the order of training. Solved in seconds, and then remembered."""
    return (base(), *(_candidate(name, knobs) for name, knobs in _MOVES.items()))


def by_name(name: str) -> Candidate | None:
    """A candidate of the design, or None."""
    return next((c for c in design() if c.name == name), None)


def _candidate(name: str, knobs: Knobs) -> Candidate:
    factor, tilt = solve(knobs)
    return Candidate(name, build_spec(knobs, factor, tilt), knob_steps(knobs), factor, tilt)


def _rounded(width: float, step: int) -> int:
    return max(step, round(width / step) * step)


def build_spec(knobs: Knobs, factor: float = 1.0, tilt: float = 0.0) -> ArchSpec:
    """The base with these knobs and widths.

    Args:
        knobs: where its size is spent.
        factor: on all widths (stem apart).
        tilt: doublings of early over late widths, half on each.
    """
    like = network(BASE_NAME).with_classes(NUM_CLASSES)
    early, late = factor * 2 ** (tilt / 2), factor * 2 ** (-tilt / 2)
    p = knobs.profile
    factors = (early * 2 ** (p / 2), early * 2 ** (-p / 2), late * 2**p, late, late * 2**-p)
    stages: list[Stage] = []
    for i, (stage, scale, e) in enumerate(zip(like.stages, factors, knobs.expansions, strict=True)):
        if isinstance(stage, InvertedResidualStage):
            stages.append(replace(stage, channels=_rounded(stage.channels * scale, _EARLY_STEP), expansion=e))
            continue
        assert isinstance(stage, MobileViTStage)  # the base is v3 on v1
        patch = (knobs.patches[i - 2],) * 2
        stage = replace(
            stage,
            channels=_rounded(stage.channels * scale, _LATE_STEP),
            dim=_rounded(stage.dim * scale * 2**knobs.log_ratio, max(knobs.heads, _DIM_STEP)),
            depth=knobs.depths[i - 2],
            expansion=e,
            heads=knobs.heads,
            ffn_ratio=knobs.ffn_ratio,
            patch=patch,
            **{s: letter in knobs.switches for letter, s in zip("ABCD", SWITCHES, strict=True)},
        )
        stages.append(_separable(stage) if knobs.separable else stage)
    return replace(like, stages=tuple(stages))


def _separable(stage: MobileViTStage) -> MobileViTV2Stage:
    """The same stage with separable attention."""
    names = {f.name for f in fields(MobileViTV2Stage)}
    return MobileViTV2Stage(**{name: getattr(stage, name) for name in names})


def solve(knobs: Knobs) -> tuple[float, float]:
    """The width factor, and the least tilt, at which params and activations are the base's.

    Raises:
        ValueError: no tilt within the allowed range does; the knobs cannot be compensated by width.
    """
    target = base().costs
    for i in range(round(_MAX_TILT / _TILT_STEP) + 1):
        for tilt in {i * _TILT_STEP: None, -i * _TILT_STEP: None}:
            factor = _factor_for_params(knobs, tilt, target.params)
            costs = count(build_spec(knobs, factor, tilt), RESOLUTION)
            if (
                abs(costs.params / target.params - 1) <= _SOLVED_PARAMS
                and abs(costs.activations / target.activations - 1) <= _SOLVED_ACTIVATIONS
            ):
                return factor, tilt
    raise ValueError(f"no widths give {knobs} the costs of {BASE_NAME}")


def _factor_for_params(knobs: Knobs, tilt: float, params: int) -> float:
    """Bisection on the logarithm of the factor; exact up to the rounding of widths."""
    low, high = -2.0, 2.0
    if count(build_spec(knobs, 1.0, tilt), RESOLUTION).params == params:
        return 1.0
    for _ in range(14):
        middle = (low + high) / 2
        if count(build_spec(knobs, 2**middle, tilt), RESOLUTION).params < params:
            low = middle
        else:
            high = middle
    below, above = (abs(count(build_spec(knobs, 2**x, tilt), RESOLUTION).params - params) for x in (low, high))
    return float(2 ** (low if below < above else high))
