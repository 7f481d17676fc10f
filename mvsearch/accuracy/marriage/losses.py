"""The losses of one rung: means over seeds, and their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, median

from mvsearch.accuracy.marriage.records import Orders, RungLoss, Scored
from mvsearch.accuracy.trained import TrainingRecord

DEFAULT_SEED_SD = 0.03
"""Nats between two seeds of one network, where nothing was trained twice. A judgement for ten classes, on the large side."""
PRIOR_REPLICATES = 2
"""The default counts as so many degrees of freedom beside a rung's own replicates."""
FAR_OFF = 8.0
"""Robust standard deviations above the median from which a finite loss is a broken training, not a worse network."""


@dataclass(frozen=True, slots=True)
class RungLosses:
    """One rung's losses.

    Attributes:
        losses: arch_id -> mean loss, in the order of arch_id.
        seed_sd: between seeds, in nats.
        replicates: degrees of freedom behind it.
        between_seeds: the order by the lowest seed against the order by the next, of networks that have both.
    """

    losses: dict[str, RungLoss]
    seed_sd: float
    replicates: int
    between_seeds: Orders


def good(record: TrainingRecord) -> bool:
    """Whether the training ended with a score."""
    return record.failure is None and record.val_loss is not None and isfinite(record.val_loss)


def rung_losses(networks: Sequence[Scored], recipe: str, rung: int) -> RungLosses:
    """Mean losses of all networks that were trained well with this recipe.

    The standard error holds the images' part in full, however many seeds there are: all seeds are judged on the same
    images. All networks are as well, so that differences are surer than this says; that errs on the safe side.

    Args:
        networks: sorted by arch_id, no network twice.
        recipe: key of the rung's recipe.
        rung: its number.
    """
    trained = {n.spec.arch_id: _of_recipe(n, recipe) for n in networks}
    trained = {k: r for k, r in trained.items() if r}
    seed_sd, replicates = _seed_sd([[_loss(r) for r in records] for records in trained.values()])
    means = {k: fmean(_loss(r) for r in records) for k, records in trained.items()}
    limit = _limit(list(means.values()))
    losses = {
        k: RungLoss(
            rung=rung,
            loss=means[k],
            se=sqrt(fmean((r.val_loss_se or 0.0) ** 2 for r in records) + seed_sd**2 / len(records)),
            seeds=len(records),
            steps=records[0].steps,
            resolution=records[0].resolution,
            num_val=records[0].num_val,
            far_off=means[k] > limit,
        )
        for k, records in trained.items()
    }
    return RungLosses(losses, seed_sd, replicates, _between_seeds(list(trained.values())))


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> Orders:
    """Kendall's tau, ties counted as neither right nor wrong."""
    import numpy as np

    from mvsearch.accuracy.fit import kendall

    return Orders(kendall(np.array(a), np.array(b)) if len(a) > 1 else None, len(a))


def _of_recipe(network: Scored, recipe: str) -> list[TrainingRecord]:
    """One record per seed, lowest seed first."""
    by_seed = {r.seed: r for r in sorted(network.records, key=_age) if r.recipe == recipe and good(r)}
    return [by_seed[s] for s in sorted(by_seed)]


def _age(record: TrainingRecord) -> tuple[str, float]:
    return record.taken_at, record.val_loss or 0.0


def _loss(record: TrainingRecord) -> float:
    assert record.val_loss is not None  # `good` has looked
    return record.val_loss


def _seed_sd(losses: Sequence[Sequence[float]]) -> tuple[float, int]:
    squares = sum((x - fmean(mine)) ** 2 for mine in losses for x in mine)
    replicates = sum(len(mine) - 1 for mine in losses)
    variance = (PRIOR_REPLICATES * DEFAULT_SEED_SD**2 + squares) / (PRIOR_REPLICATES + replicates)
    return sqrt(variance), replicates


def _limit(losses: Sequence[float]) -> float:
    """Loss above which a training is broken; by median and median absolute deviation, which it cannot move itself."""
    if len(losses) < 5:
        return float("inf")
    middle = median(losses)
    spread = 1.4826 * median(abs(x - middle) for x in losses)
    return middle + FAR_OFF * max(spread, DEFAULT_SEED_SD)


def _between_seeds(trained: Sequence[list[TrainingRecord]]) -> Orders:
    twice = [records for records in trained if len(records) > 1]
    return rank_correlation([_loss(r[0]) for r in twice], [_loss(r[1]) for r in twice])
