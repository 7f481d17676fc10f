"""What goes into the marriage of estimates and trainings, and what comes out of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from mvsearch.accuracy.marriage.residuals import ResidualModel
from mvsearch.accuracy.trained import TrainingRecord
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement


@dataclass(frozen=True, slots=True)
class Scored:
    """One network with all that is known of its accuracy.

    Attributes:
        spec: the network.
        before: its estimated top-1, with interval.
        published: top-1 in % that its authors report at the resolution of the estimate; None if it is not an anchor.
        records: its trainings at all rungs, failed ones included.
    """

    spec: ArchSpec
    before: Measurement
    published: float | None = None
    records: tuple[TrainingRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RungLoss:
    """What one network's trainings at one rung brought.

    Attributes:
        rung: from 0.
        loss: mean validation loss over seeds, in nats.
        se: its standard error, over validation images and seeds.
        seeds: trainings that ended well.
        steps: optimiser steps of each.
        resolution: side of the images, in pixels.
        num_val: validation images.
        far_off: the loss lies so far above the others' that this training is called broken, and implies nothing.
    """

    rung: int
    loss: float
    se: float
    seeds: int
    steps: int
    resolution: int
    num_val: int
    far_off: bool = False


@dataclass(frozen=True, slots=True)
class Implied:
    """Top-1 that a network's training implies, by the scale of its rung without this network.

    Attributes:
        rung: whose training and scale it is.
        top1: in %.
        sigma: its standard deviation, in points.
        shared: the part of `sigma` that the estimate has too, because estimates helped to set the scale.
    """

    rung: int
    top1: float
    sigma: float
    shared: float


@dataclass(frozen=True, slots=True)
class Married:
    """One network before and after.

    Attributes:
        arch_id: of the network.
        published: top-1 in % of an anchor.
        rung: highest at which it was trained well; None if at none.
        losses: per rung, lowest first.
        trained: what the highest rung that implies anything implies; None if none does.
        before: the estimate.
        after: the estimate combined with the training where training is used, else the same as `before` but for flags.
        failures: of its trainings, as `rung 1, seed 0: nan: message`.
    """

    arch_id: str
    published: float | None
    rung: int | None
    losses: tuple[RungLoss, ...]
    trained: Implied | None
    before: Measurement
    after: Measurement
    failures: tuple[str, ...] = ()

    @property
    def loss(self) -> RungLoss | None:
        """Of the highest rung."""
        return self.losses[-1] if self.losses else None


@dataclass(frozen=True, slots=True)
class Orders:
    """How far two orders of the same networks agree.

    Attributes:
        kendall: rank correlation; None for fewer than two networks.
        n: networks.
    """

    kendall: float | None
    n: int


@dataclass(frozen=True, slots=True)
class RungOrder:
    """Whether a rung orders the networks as the next one does that trained some of them too."""

    lower: int
    upper: int
    order: Orders


@dataclass(frozen=True, slots=True)
class RungScale:
    """How a rung's loss translates into top-1: top1 = top1_at + slope x (loss - loss_at).

    Attributes:
        rung: from 0.
        recipe: its key.
        steps: of the recipe; 0 if nothing was trained.
        candidates, anchors: trained well, those far off left out.
        slope: points of top-1 per nat, noise of the losses taken out; None where the losses do not differ.
        slope_se: its standard error.
        loss_at, top1_at: the weighted means, through which the line runs.
        sigma: standard deviation in points of a top-1 that this rung implies, without the scale's own uncertainty and
            the loss's; for candidates without enough anchors at least that of the candidate's own estimate.
        sigma_from_anchors: whether `sigma` is the error of left-out anchors.
        reliability: share of the losses' variance that is not noise.
        seed_sd: of a loss between seeds, in nats.
        replicates: degrees of freedom behind it; 0: it is the default.
        usable: whether this rung implies a top-1 at all.
        why: a sentence.
        with_estimate: training against estimate, by rank.
        between_seeds: one seed against another, by rank.
    """

    rung: int
    recipe: str
    steps: int
    candidates: int
    anchors: int
    slope: float | None
    slope_se: float | None
    loss_at: float
    top1_at: float
    sigma: float | None
    sigma_from_anchors: bool
    reliability: float
    seed_sd: float
    replicates: int
    usable: bool
    why: str
    with_estimate: Orders
    between_seeds: Orders


@dataclass(frozen=True, slots=True)
class Validation:
    """Whether training has earned the right to be believed, by published networks trained in the same way.

    Attributes:
        rung: at which they were trained; None if none was.
        anchors: trained well there.
        pairs: of about equal size, see `fit.SIZE_BANDS`.
        right: pairs that training orders as published.
        estimator_right: the same pairs by the estimate, fitted without the networks of that size.
        kendall: of training against published top-1, over all anchors; None for fewer than two.
        kendall_low, kendall_high: its 90 % interval, anchors resampled.
        estimator_kendall: of the estimate on the same anchors.
        advantage_low, advantage_high: 90 % interval of right minus estimator_right as a share of pairs, anchors resampled.
        earned: more pairs right than the estimate, of enough pairs.
        why: a sentence.
    """

    rung: int | None
    anchors: int
    pairs: int
    right: int
    estimator_right: int
    kendall: float | None
    kendall_low: float | None
    kendall_high: float | None
    estimator_kendall: float | None
    advantage_low: float | None
    advantage_high: float | None
    earned: bool
    why: str


@dataclass(frozen=True)
class Marriage:
    """Estimates and trainings together.

    Attributes:
        networks: sorted by arch_id.
        scales: one per rung, lowest first.
        rung_orders: successive rungs against each other.
        validation: of training by anchors.
        used: whether training changes any estimate: it earned it, or the user insists.
        sentence: that says so.
        residuals: model for networks that were not trained; None where too few were.
    """

    networks: tuple[Married, ...]
    scales: tuple[RungScale, ...]
    rung_orders: tuple[RungOrder, ...]
    validation: Validation
    used: bool
    sentence: str
    residuals: ResidualModel | None

    @cached_property
    def by_id(self) -> dict[str, Married]:
        """arch_id -> the network."""
        return {n.arch_id: n for n in self.networks}

    @property
    def earned(self) -> bool:
        """Whether training orders published networks of about equal size better than the estimate does."""
        return self.validation.earned

    def after_of(self, spec: ArchSpec, before: Measurement) -> Measurement:
        """Top-1 of any network after the trainings, its own or others'.

        Args:
            spec: the network.
            before: its estimate.

        Returns:
            What its own training made of it; for a network that was not trained, what the residual model makes of it if
            that is used; else `before`.
        """
        own = self.by_id.get(spec.arch_id)
        if own is not None and own.losses:
            return own.after
        if self.used and self.residuals is not None and self.residuals.used:
            return self.residuals.apply(spec, before)
        return before if own is None else own.after

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)
