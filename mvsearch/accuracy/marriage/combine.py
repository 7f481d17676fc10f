"""`marry`: estimates and trainings in, one number per network out, and whether training is to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import sqrt

from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.marriage.losses import good, rank_correlation
from mvsearch.accuracy.marriage.records import (
    Implied,
    Marriage,
    Married,
    RungLoss,
    RungOrder,
    Scored,
    Validation,
)
from mvsearch.accuracy.marriage.residuals import ResidualModel, fit_residuals
from mvsearch.accuracy.marriage.rungs import Rung, climb
from mvsearch.accuracy.marriage.scale import SHARED, interval, sigma_of
from mvsearch.accuracy.marriage.validation import validate
from mvsearch.spec.record import Measurement

DISAGREES = 2.5
"""Standard deviations between estimate and training from which the reader is told."""


def marry(networks: Sequence[Scored], recipes: Sequence[str], trusted: bool = False) -> Marriage:
    """Combine estimates with trainings.

    Args:
        networks: candidates and published anchors, trained or not; a network that comes twice is taken once, with the
            records of both.
        recipes: keys of the rungs' recipes, lowest rung first.
        trusted: the user insists that training is used, whatever its validation says.

    Raises:
        ValueError: records of several sets of images, whose losses do not compare.
    """
    networks = _once(networks)
    if len({r.images for n in networks for r in n.records}) > 1:
        raise ValueError("trainings on several sets of images do not compare")
    rungs = [climb(networks, recipe, i) for i, recipe in enumerate(recipes)]
    validation = validate(networks, [r.losses for r in rungs])
    used = validation.earned or trusted
    married = tuple(_married(n, recipes, rungs, used) for n in networks)
    return Marriage(
        networks=married,
        scales=tuple(r.scale for r in rungs),
        rung_orders=tuple(_rung_order(i, a, b) for i, (a, b) in enumerate(pairwise(rungs))),
        validation=validation,
        used=used,
        sentence=_sentence(validation, trusted, rungs, any(m.losses for m in married)),
        residuals=_residuals(networks, rungs),
    )


def _once(networks: Iterable[Scored]) -> list[Scored]:
    """Each network once, sorted by arch_id, so that the order of the arguments changes nothing."""
    by_id: dict[str, Scored] = {}
    for n in networks:
        other = by_id.setdefault(n.spec.arch_id, n)
        if other is not n:
            published = other.published if n.published is None else n.published
            by_id[n.spec.arch_id] = replace(other, published=published, records=(*other.records, *n.records))
    return [by_id[k] for k in sorted(by_id)]


def combine(before: Measurement, implied: Implied, basis: str) -> Measurement:
    """Estimate and training by inverse variance; what both have in common is set aside first and stays.

    The interval is never wider than before.
    """
    sigma = sigma_of(before)
    shared = min(implied.shared, sigma, implied.sigma) ** 2
    own, other = sigma**2 - shared, implied.sigma**2 - shared
    weight = own / (own + other) if own + other > 0 else 0.0
    value = before.value + weight * (implied.top1 - before.value)
    gap = sqrt(own + other)
    flags = ("training disagrees with the estimate",) if abs(implied.top1 - before.value) > DISAGREES * gap > 0 else ()
    return interval(before, value, sqrt(shared + (1 - weight) * own), basis, flags)


def _married(network: Scored, recipes: Sequence[str], rungs: Sequence[Rung], used: bool) -> Married:
    key, before = network.spec.arch_id, network.before
    losses = tuple(r.losses.losses[key] for r in rungs if key in r.losses.losses)
    implied = next((r.implied[key] for r in reversed(rungs) if key in r.implied), None)
    failures = _failures(network, recipes)
    flags: tuple[str, ...] = ("training failed",) if failures else ()
    if any(loss.far_off for loss in losses):
        flags += ("training far off the others",)
    after = before
    if used and implied is not None and sigma_of(before) > 0:
        after = combine(before, implied, f"{before.basis}; {_trained(next(x for x in losses if x.rung == implied.rung))}")
    return Married(
        arch_id=key,
        published=network.published,
        rung=losses[-1].rung if losses else None,
        losses=losses,
        trained=implied,
        before=before,
        after=replace(after, flags=(*after.flags, *flags)),
        failures=failures,
    )


def _trained(loss: RungLoss) -> str:
    seeds = "1 seed" if loss.seeds == 1 else f"{loss.seeds} seeds"
    return f"trained {loss.steps:,} steps at {loss.resolution} px, {seeds}, judged on {loss.num_val:,} images"


def _failures(network: Scored, recipes: Sequence[str]) -> tuple[str, ...]:
    found = []
    for r in network.records:
        if r.recipe in recipes and not good(r):
            reason = f"{r.failure.kind}: {r.failure.message}" if r.failure else "no finite loss"
            found.append((recipes.index(r.recipe), r.seed, reason))
    return tuple(f"rung {rung}, seed {seed}: {reason}" for rung, seed, reason in sorted(set(found)))


def _rung_order(lower: int, a: Rung, b: Rung) -> RungOrder:
    both = [k for k in a.losses.losses if k in b.losses.losses]
    order = rank_correlation(*([r.losses.losses[k].loss for k in both] for r in (a, b)))
    return RungOrder(lower, lower + 1, order)


def _residuals(networks: Sequence[Scored], rungs: Sequence[Rung]) -> ResidualModel | None:
    """Fitted on the rung that implies top-1 for most candidates; of several, on the highest."""
    candidates = [n for n in networks if n.published is None]
    counts = [(sum(n.spec.arch_id in r.implied for n in candidates), i) for i, r in enumerate(rungs)]
    if not counts:
        return None
    rung = max(counts)[1]
    mine = [(n, i) for n in candidates if (i := rungs[rung].implied.get(n.spec.arch_id))]
    # The knobs explain departures, not the published networks' own errors.
    base = load_estimator().sigma ** 2
    return fit_residuals(
        [n.spec for n, _ in mine],
        [i.top1 - n.before.value for n, i in mine],
        [i.sigma**2 - i.shared**2 + base for _, i in mine],
        rung,
        0.0 if rungs[rung].scale.sigma_from_anchors else SHARED,
    )


def _sentence(validation: Validation, trusted: bool, rungs: Sequence[Rung], any_trained: bool) -> str:
    if not any_trained:
        return "No network was trained: every top-1 is the estimate."
    if not validation.earned and not trusted:
        return (
            f"Training is shown and not used: {validation.why}. Every top-1 is the estimate; "
            "`--trust-training` uses training all the same."
        )
    told = (
        f"Training has earned the right to be believed: {validation.why}."
        if validation.earned
        else f"Training is used because you insist (`--trust-training`): {validation.why}."
    )
    if any(r.scale.usable for r in rungs):
        return f"{told} Estimates and trainings are combined by inverse variance."
    return f"{told} No rung says how many points a loss is worth ({rungs[-1].scale.why}): every top-1 is the estimate."
