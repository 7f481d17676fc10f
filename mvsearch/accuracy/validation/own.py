"""A user's own trained networks: what they say about their recipe, about the block kinds, and how sure it then is.

The line through the other families stays as it is. Residuals of ln(100 - top1) over it, of published and own
networks alike, are explained by one offset per block kind and one for the user's laboratory, by ridge regression.
An own network counts the less the farther it is from published shapes, since its residual then holds what its
knobs do as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log, sqrt

import numpy as np

from mvsearch.accuracy.anchors import load_anchors
from mvsearch.accuracy.estimate import block_offset, estimate_top1, explain_top1
from mvsearch.accuracy.estimator import CalibrationBin, Estimator, load_estimator
from mvsearch.accuracy.features import part_sizes, shape, total_size
from mvsearch.accuracy.fit import OFFSET_MAX_PARAMS, PRIOR_ANCHORS, Pair, calibrate, features, log_error
from mvsearch.accuracy.resolution import resolution_effect
from mvsearch.accuracy.validation.networks import BANDS, judged_networks
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import DEFAULT_RESOLUTION

BLOCKS = ("v1", "v2", "v3")
PRIOR_LABORATORY = 0.1
"""A laboratory's offset is shrunk as if a tenth of a network had none: two points between recipes are nothing
unusual (with fewer epochs, or a teacher), and a published network's own error is a third of that."""
LEAST_ERROR = 0.1
"""Error in % below which no label is taken to lie, so that its logarithm exists."""
PRESENT_ERROR = 25.0
"""Error in % at which offsets are told in points."""


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """A network that the user has trained.

    Attributes:
        line: in the user's file.
        name: as written there.
        spec: the architecture; its number of classes does not matter.
        resolution: side of the image in pixels.
        top1: on ImageNet-1k, in %.
    """

    line: int
    name: str
    spec: ArchSpec
    resolution: int
    top1: float

    @property
    def arch_id(self) -> str:
        """Of the architecture with 1000 classes, by which it is compared."""
        return self.spec.with_classes(1000).arch_id

    @property
    def params(self) -> int:
        """With 1000 classes."""
        return total_size(part_sizes(self.spec.with_classes(1000))).params


@dataclass(frozen=True, slots=True)
class _Point:
    """One residual: what it is of, how much of each offset is in it, and its weight."""

    arch_id: str
    band: str
    shares: tuple[float, float, float, float]
    residual: float
    weight: float


@lru_cache(maxsize=1)
def _published_points() -> tuple[_Point, ...]:
    line = np.array(load_estimator().coefficients)
    points = []
    for j in judged_networks():
        if j.anchor.params < OFFSET_MAX_PARAMS:
            residual = float(log_error([j.top1])[0] - (features([j.anchor]) @ line)[0])
            shares = (float(j.anchor.block == "v1"), float(j.anchor.block == "v2"), float(j.anchor.block == "v3"), 0.0)
            points.append(_Point(j.spec.arch_id, j.band, shares, residual, 1.0))
    return tuple(points)


def _own_point(own: OwnNetwork) -> _Point:
    bare = replace(load_estimator(), block_offsets=dict.fromkeys(BLOCKS, 0.0))
    e = explain_top1(own.spec, own.resolution, bare)
    shift = e.value - e.resolution_offset - e.score
    error = (100 - own.top1) * exp(resolution_effect().change(own.resolution, DEFAULT_RESOLUTION))
    residual = log(max(LEAST_ERROR, error + shift)) - log(100 - e.score)
    known = shape(own.spec)
    shares = [0.0 if known is None else block_offset(known, {b: float(b == mine) for b in BLOCKS}) for mine in BLOCKS]
    return _Point(own.arch_id, "", (shares[0], shares[1], shares[2], 1.0), residual, (e.base_sigma / e.sigma) ** 2)


def _refitted(points: Sequence[_Point]) -> Estimator:
    """The shipped estimator with offsets from these residuals; without own ones among them, those of the fit."""
    x = np.array([p.shares for p in points])
    y = np.array([p.residual for p in points])
    w = np.array([p.weight for p in points])
    prior = np.diag([PRIOR_ANCHORS] * len(BLOCKS) + [PRIOR_LABORATORY])
    *blocks, laboratory = np.linalg.solve((x.T * w) @ x + prior, (x.T * w) @ y).tolist()
    return replace(load_estimator(), block_offsets=dict(zip(BLOCKS, blocks, strict=True)), laboratory=laboratory)


class OwnFit:
    """Refits to published and own networks, with anything left out.

    Args:
        rows: the user's networks; may be empty.
    """

    def __init__(self, rows: Sequence[OwnNetwork]) -> None:
        self.rows = tuple(rows)
        self._own = [_own_point(r) for r in rows]

    def without_band(self, band: str) -> Estimator:
        """Refitted without the architectures of one size band, for published recipes: it judges that band's labels."""
        members = {j.spec.arch_id for j in judged_networks() if j.band == band}
        kept = [p for p in (*_published_points(), *self._own) if p.arch_id not in members]
        return replace(_refitted(kept), laboratory=0.0)

    def without_network(self, arch_id: str) -> Estimator | None:
        """Refitted without one architecture, published or own; None if no own network is left."""
        estimator = self._refit_without(arch_id)
        return estimator and replace(estimator, sigma=self._sigma(arch_id))

    def left_out(self, row: OwnNetwork) -> float | None:
        """Top-1 of an own network by a refit that has not seen it; None if there is no other own network."""
        estimator = self._refit_without(row.arch_id)
        return None if estimator is None else estimate_top1(row.spec, row.resolution, estimator).value

    def _refit_without(self, *arch_ids: str) -> Estimator | None:
        own = [p for p in self._own if p.arch_id not in arch_ids]
        published = [p for p in _published_points() if p.arch_id not in arch_ids]
        return replace(_refitted([*published, *own]), num_own=len(own)) if own else None

    def _sigma(self, *left_out: str) -> float:
        """Standard deviation of the error at published shapes: the published networks' and the own ones', pooled.

        Every own error is that of a refit without the network (and without the ones that are to be left out), weighted
        as in the fit.
        """
        shipped = load_estimator().sigma
        networks = sum(j.band != BANDS[-1] for j in judged_networks())
        total, squares = float(networks), networks * shipped**2
        for row, point in zip(self.rows, self._own, strict=True):
            if row.arch_id in left_out:
                continue
            estimator = self._refit_without(row.arch_id, *left_out)
            if estimator is not None:
                error = estimate_top1(row.spec, row.resolution, estimator).value - row.top1
                total += point.weight
                squares += point.weight * error**2
        return sqrt(squares / total)

    def pairs(self) -> list[Pair]:
        """Pairs of own architectures with different labels, each network predicted without itself."""
        predicted = [(r, p) for r in self.rows if (p := self.left_out(r)) is not None]
        found = []
        for i, (a, x) in enumerate(predicted):
            for b, y in predicted[:i]:
                if a.arch_id != b.arch_id and a.top1 != b.top1:
                    found.append((abs(x - y), (x > y) == (a.top1 > b.top1)))
        return found

    def estimator(self) -> Estimator:
        """Fitted to everything, with its error and its calibration."""
        if not self.rows:
            return load_estimator()
        tables = calibrate(list(load_anchors()), self.pairs())
        return replace(
            _refitted([*_published_points(), *self._own]),
            sigma=self._sigma(),
            calibration={k: tuple(CalibrationBin(**b) for b in bins) for k, bins in tables.items()},
            num_own=len(self.rows),
        )


def anchored_estimator(rows: Sequence[OwnNetwork]) -> Estimator:
    """The estimator, sharpened by networks that the user has trained: it says what their recipe would reach.

    Args:
        rows: as `mvsearch.api.anchors_csv.read_anchors_csv` reads them; without any, what ships.
    """
    return OwnFit(rows).estimator()


def in_points(offset: float) -> float:
    """Shift of ln(100 - top1) -> points of top-1, at 75 %."""
    return PRESENT_ERROR * (1 - exp(offset))
