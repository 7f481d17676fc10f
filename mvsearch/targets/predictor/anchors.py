"""What a few own measurements say about a laboratory and its networks, and how much that helps.

    log(measured / predicted) = s + sum_b share_b d_b + noise

s is the scale of whoever measures, d_b an offset of a kind of block, whose shares in a network's stages add
up to 1. Both are normal around 0, so that few measurements move them little: the estimate is the posterior mean.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mvsearch.targets.predictor.regression import conformal_half_width, log_prediction
from mvsearch.targets.predictor.scores import LEVEL, NetworkError, mape, median
from mvsearch.targets.predictor.study import FAMILY_OF_BODY, Study
from mvsearch.targets.predictor.validation import AnchorEffect

MAX_ANCHORS = 3
"""Few published tables hold more networks of one family, so that more cannot be judged."""
MAX_CHOICES = 30
MIN_GROUPS = 5
"""Families and laboratories that a simulation takes; on fewer it says nothing."""
SCALE = 0.7
"""Standard deviation of the log of whoever's scale: wider than that of the published protocols, so that a phone
that is two or three times as slow as theirs is believed."""


@dataclass(frozen=True, slots=True)
class OffsetSpread:
    """Standard deviations, in log units.

    Attributes:
        scale: of a laboratory.
        family: of a family that the fit has not seen.
        network: of a network around its family.
    """

    scale: float
    family: float
    network: float

    def known_family(self, n: int) -> float:
        """Of a family's offset once `n` of its networks have been seen."""
        return self.network / math.sqrt(n + (self.network / self.family) ** 2)


@dataclass(frozen=True)
class Offsets:
    """Posterior of the scale and of the blocks' offsets.

    Attributes:
        log_scale: of whoever measures.
        scale_sd: its standard deviation.
        blocks: offset by block.
    """

    log_scale: float
    scale_sd: float
    blocks: dict[str, float]


def offset_spread(family_out: Sequence[NetworkError]) -> OffsetSpread:
    """Spread of families and of networks within them, by moments of the errors of families left out."""
    groups: dict[str, list[float]] = defaultdict(list)
    for e in family_out:
        groups[e.family].append(e.error)
    means = {f: sum(g) / len(g) for f, g in groups.items()}
    freedom = sum(len(g) - 1 for g in groups.values())
    network = sum((e.error - means[e.family]) ** 2 for e in family_out) / freedom
    squares = sum(m * m for m in means.values()) / len(means)
    family = squares - network * sum(1 / len(g) for g in groups.values()) / len(groups)
    return OffsetSpread(SCALE, math.sqrt(max(family, 0.1 * network)), math.sqrt(network))


def estimate_offsets(
    residuals: Sequence[float], shares: Sequence[Mapping[str, float]], prior_sd: Mapping[str, float], spread: OffsetSpread
) -> Offsets:
    """Posterior mean of the scale and of every block's offset.

    Args:
        residuals: log(measured / predicted) by network.
        shares: of each network's stages, by block.
        prior_sd: of each block's offset.
        spread: of the scale and the noise.
    """
    blocks = sorted(prior_sd)
    z = np.array([[1.0, *(s.get(b, 0.0) for b in blocks)] for s in shares])
    variances = np.array([spread.scale**2, *(prior_sd[b] ** 2 for b in blocks)])
    gain = (z * variances).T @ np.linalg.inv((z * variances) @ z.T + spread.network**2 * np.eye(len(z)))
    mean = gain @ np.asarray(residuals)
    left = variances[0] - float(gain[0] @ z[:, 0]) * variances[0]
    return Offsets(float(mean[0]), math.sqrt(max(left, 0.0)), dict(zip(blocks, mean[1:].tolist(), strict=True)))


@dataclass(frozen=True)
class _Held:
    """Errors in logs of one family under one laboratory, by number of anchors."""

    family: str
    errors: dict[int, list[float]]


def anchor_effects(study: Study, spread: OffsetSpread) -> tuple[AnchorEffect, ...]:
    """What 0 to 3 own measurements do, on families and laboratories that were held out together.

    Every family that one protocol measured on more than 3 networks, so that all k are judged on the same:
    a fit that has seen neither the family nor the protocol is given k of its networks, all choices (at most
    30), and predicts the others. Every family and protocol counts the same. Empty where fewer than 5 can be held out.
    """
    groups = _groups(study)
    if len(groups) < MIN_GROUPS:
        return ()
    held = [_hold_out(study, f, p, spread) for f, p in groups]
    out = []
    for subset, chosen in (("all families", held), ("MobileViT", [h for h in held if h.family in FAMILY_OF_BODY.values()])):
        if not chosen:
            continue
        for k in range(MAX_ANCHORS + 1):
            errors = [e for h in chosen for e in h.errors[k]]
            out.append(
                AnchorEffect(
                    k, len(errors),
                    sum(mape(h.errors[k]) for h in chosen) / len(chosen),
                    100 * median(abs(math.expm1(e)) for e in errors),
                    math.exp(conformal_half_width(errors, LEVEL)),
                    subset,
                )
            )  # fmt: skip
    return tuple(out)


def _groups(study: Study) -> list[tuple[str, str]]:
    networks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for r in study.rows:
        networks[r.family, r.protocol].add(r.network)
    return sorted(key for key, names in networks.items() if len(names) > MAX_ANCHORS)


def _hold_out(study: Study, family: str, protocol: str, spread: OffsetSpread) -> _Held:
    fit = study.fit(lambda r: r.family != family and r.protocol != protocol)
    rows = {r.network: r for r in study.rows if (r.family, r.protocol) == (family, protocol)}
    residual = {n: math.log(r.latency_ms) - log_prediction(fit, study.features[n]) for n, r in sorted(rows.items())}
    errors: dict[int, list[float]] = {}
    for k in range(MAX_ANCHORS + 1):
        choices = list(itertools.combinations(residual, k))
        random.Random(0).shuffle(choices)
        errors[k] = []
        for anchors in choices[:MAX_CHOICES]:
            shift = 0.0
            if anchors:
                found = estimate_offsets([residual[n] for n in anchors], [{"own": 1.0}] * k, {"own": spread.family}, spread)
                shift = found.log_scale + found.blocks["own"]
            errors[k] += [shift - residual[n] for n in residual if n not in anchors]
    return _Held(family, errors)


def half_width_with(effects: Sequence[AnchorEffect], anchors: int, floor: float) -> float:
    """Half width of the interval for a family with so many own measurements, as simulated; never below `floor`.

    The wider one of all families and of MobileViT, where that could be simulated; beyond 3 anchors that of 3.
    """
    k = min(anchors, MAX_ANCHORS)
    return max(floor, *(math.log(e.factor90) for e in effects if e.anchors == k))
