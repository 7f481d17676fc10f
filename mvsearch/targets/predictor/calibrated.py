"""Refit a phone's predictor to somebody's own measurements.

The rows join the published ones as a protocol of their own, so that the rates stay drawn to what the
published ones say and move as far as the new ones carry. What remains of the rows is told apart into the
scale of whoever measured, which becomes the new reference, and offsets of the blocks
(`anchors.estimate_offsets`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from mvsearch.costs import Part
from mvsearch.targets.predictor.anchors import OffsetSpread, estimate_offsets, half_width_with
from mvsearch.targets.predictor.experiment import Experiment, experiment
from mvsearch.targets.predictor.features import Rates, op_cost
from mvsearch.targets.predictor.latency_model import FamilyCorrection, LatencyModel, body_of
from mvsearch.targets.predictor.regression import LatencyRow, log_prediction
from mvsearch.targets.predictor.scores import median
from mvsearch.targets.predictor.shipped import shipped_model
from mvsearch.targets.predictor.study import FAMILY_OF_BODY, FAMILY_WEIGHT
from mvsearch.targets.predictor.validation import AnchorEffect

OWN = "own measurements"
TRUST = 4
"""Measurements that the simulated interval weighs as much as, against how far own ones lie apart."""


@dataclass(frozen=True)
class OwnRow:
    """One network that somebody measured.

    Attributes:
        key: unique, e.g. `mobilevit_xs@256`.
        parts: its operations at that resolution.
        ms: latency.
    """

    key: str
    parts: tuple[Part, ...]
    ms: float


@dataclass(frozen=True)
class Refit:
    """A predictor for whoever measured, and their scale over the reference protocol."""

    model: LatencyModel
    scale: float


@dataclass(frozen=True)
class Calibrated:
    """A refit to all measurements, and what refits to all but one said of that one.

    Attributes:
        model: the predictor, its intervals widened by `disagreement`.
        scale: of whoever measured, over the reference protocol.
        left_out_ms: every row predicted from the others; empty for a single row.
        disagreement: how much further the rows lie from these than simulated; at least 1.
    """

    model: LatencyModel
    scale: float
    left_out_ms: tuple[float, ...]
    disagreement: float


def calibrated(phone: str, own: Sequence[OwnRow]) -> Calibrated:
    """Refit to at least one measurement, each left out once to see how well they agree.

    Raises:
        TargetError: the phone has no predictor.
    """
    found = refit(phone, own)
    if len(own) == 1:
        return Calibrated(found.model, found.scale, (), 1.0)
    left_out = [refit(phone, [*own[:i], *own[i + 1 :]]).model.predict(r.parts, target=phone) for i, r in enumerate(own)]
    z = NormalDist().inv_cdf((1 + found.model.level) / 2)
    surprise = 0.0
    for row, m in zip(own, left_out, strict=True):
        assert m.high is not None
        surprise += (z * math.log(m.value / row.ms) / math.log(m.high / m.value)) ** 2
    # Posterior mean of the variance over the simulated one, which counts as so many measurements.
    disagreement = math.sqrt(max(1.0, (TRUST + surprise) / (TRUST + len(own))))
    return Calibrated(_widened(found.model, disagreement), found.scale, tuple(m.value for m in left_out), disagreement)


def _widened(model: LatencyModel, factor: float) -> LatencyModel:
    corrections = {
        b: c if c.half_width is None else replace(c, half_width=c.half_width * factor) for b, c in model.corrections.items()
    }
    return replace(
        model, corrections=corrections, half_width=model.half_width * factor, heir_half_width=model.heir_half_width * factor
    )


def refit(phone: str, own: Sequence[OwnRow]) -> Refit:
    """Refit to at least one measurement.

    Raises:
        TargetError: the phone has no predictor.
    """
    shipped, found = shipped_model(phone), experiment(phone)
    shares = [shipped.shares(row.parts) for row in own]
    ops = {f"own:{row.key}": tuple(op_cost(op) for part in row.parts for op in part.ops) for row in own}
    # Brought near the reference first: the rates are not to explain that somebody's phone is twice as slow.
    speed = median(row.ms / shipped.predict(row.parts, target=phone).value for row in own)
    rows = [
        LatencyRow(name, _family(s, shipped), OWN, row.ms / speed, FAMILY_WEIGHT)
        for name, row, s in zip(ops, own, shares, strict=True)
    ]  # fmt: skip
    study = found.study.with_rows(rows, ops)
    fit = study.fit()
    residuals = [
        math.log(row.ms) - log_prediction(fit, study.features[name]) - _correction(s, shipped)
        for name, row, s in zip(ops, own, shares, strict=True)
    ]
    spread = found.offset_spread
    offsets = estimate_offsets(residuals, [_effects(s, shipped) for s in shares], _prior_sd(shares, shipped, spread), spread)
    scale = math.exp(offsets.log_scale)
    rates = Rates(fit.rates.base_ms * scale, {k: r.scaled(scale, scale) for k, r in fit.rates.kinds.items()})
    corrections, unknown = _corrections(shares, shipped, offsets.blocks, found), NormalDist().inv_cdf((1 + shipped.level) / 2)
    widened = unknown * offsets.scale_sd
    model = LatencyModel(
        rates=rates,
        corrections=corrections,
        half_width=math.hypot(shipped.half_width, widened),
        heir_half_width=math.hypot(shipped.heir_half_width, widened),
        level=shipped.level,
        n=shipped.n + len(own),
        protocol=f"{OWN} of {len(own)} networks, x {scale:.3g} of: {shipped.protocol}",
        basis=f"{shipped.basis}; refitted to {len(own)} own measurements, interval as simulated for so many",
        log_scales={**{p: s - offsets.log_scale for p, s in shipped.log_scales.items()}, OWN: 0.0},
        data_hash=shipped.data_hash,
    )
    return Refit(model, scale)


def effects_for(phone: str) -> tuple[AnchorEffect, ...]:
    """What own measurements do on this phone, or on the one that it is drawn to where its own table is too small."""
    found = experiment(phone)
    return found.anchors or (effects_for(found.study.phone.prior) if found.study.phone.prior else ())


def _has_anchors(block: str, shipped: LatencyModel) -> bool:
    known = shipped.corrections.get(block)
    return known is not None and known.n > 0


def _family(shares: dict[str, float], shipped: LatencyModel) -> str:
    if not shares:
        return OWN
    block = max(sorted(shares), key=lambda b: shares[b])
    return FAMILY_OF_BODY[block] if _has_anchors(block, shipped) else f"{OWN}: {block}"


def _inherited(block: str, shipped: LatencyModel) -> float:
    known = shipped.corrections.get(block) or shipped.corrections.get(body_of(block))
    return known.log_factor if known else 0.0


def _correction(shares: dict[str, float], shipped: LatencyModel) -> float:
    return sum(share * _inherited(block, shipped) for block, share in shares.items())


def _effects(shares: dict[str, float], shipped: LatencyModel) -> dict[str, float]:
    """Shares by effect: a block without published anchors has its own beside that of its body."""
    effects: dict[str, float] = defaultdict(float)
    for block, share in shares.items():
        effects[body_of(block)] += share
        if block != body_of(block):
            effects[block] += share
    return dict(effects)


def _prior_sd(shares: Sequence[dict[str, float]], shipped: LatencyModel, spread: OffsetSpread) -> dict[str, float]:
    blocks = {b for s in shares for b in s}
    known = {b: c.n for b, c in shipped.corrections.items()}
    return {b: spread.known_family(known.get(b, 0)) for b in blocks | {body_of(b) for b in blocks}}


def _corrections(
    shares: Sequence[dict[str, float]], shipped: LatencyModel, offsets: dict[str, float], found: Experiment
) -> dict[str, FamilyCorrection]:
    effects = effects_for(found.study.phone.name)
    own: dict[str, float] = defaultdict(float)
    for s in shares:
        for block, share in s.items():
            own[block] += share
    corrections = {
        body: replace(c, log_factor=c.log_factor + offsets.get(body, 0.0)) for body, c in shipped.corrections.items()
    }
    for block in own:
        anchors = round(own[block])
        if anchors:
            factor = _inherited(block, shipped) + offsets[body_of(block)] + (offsets[block] if block != body_of(block) else 0.0)
            published = shipped.corrections[block].n if block in shipped.corrections else 0
            corrections[block] = FamilyCorrection(factor, published + anchors, half_width_with(effects, anchors, found.floor))
    return corrections
