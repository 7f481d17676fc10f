"""The fitted numbers behind the estimate, as `python -m mvsearch.accuracy.fit` wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from math import exp, log
from typing import Any

from mvsearch.accuracy.anchors import DATA
from mvsearch.spec.plain import read_plain

ESTIMATOR_FILE = DATA / "estimator.json"
LARGEST = 20.0
"""Coefficients are of the logarithm of an error in %; those of a fit are a few units at most."""
_KINDS, _PAIRS = {"v1", "v2", "v3"}, {"any", "same_family", "mobilevit"}


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Pairs of published networks whose predicted gap lies in a range.

    Attributes:
        low, high: predicted gap in points of top-1; `high` is None in the last bin.
        pairs: pairs of networks in it.
        observed: share of them that the prediction put in the right order.
        mean_gap: their mean predicted gap.
        probability: `observed` made monotone over the bins and at least 0.5 (isotonic regression).
    """

    low: float
    high: float | None
    pairs: int
    observed: float
    mean_gap: float
    probability: float


@dataclass(frozen=True, slots=True)
class Estimator:
    """ln(100 - top1) = c0 + c1 ln(params/1e6) + c2 ln(MACs/1e6) + c3 ln(activations/1e6) + offset(block kind).

    Attributes:
        coefficients: c0 to c3, fitted on anchors of other families.
        num_anchors: how many those are.
        block_offsets: block kind (`v1`, `v2`, `v3`) -> shift of ln(100 - top1), from the MobileViT anchors.
        sigma: standard deviation of a published MobileViT's error, from leaving each size band out.
        sigma_zoo: standard deviation of the fit's residuals over all families.
        calibration: `any`, `same_family`, `mobilevit` -> bins by predicted gap, each family predicted without itself.
        held_out: how well anchors are predicted that the fit has not seen.
        data_hash: of the anchors.
        laboratory: shift of ln(100 - top1) of a user's own recipe against the published ones, for every block kind.
        num_own: networks of the user's own behind it.
    """

    coefficients: tuple[float, float, float, float]
    num_anchors: int
    block_offsets: dict[str, float]
    sigma: float
    sigma_zoo: float
    calibration: dict[str, tuple[CalibrationBin, ...]]
    held_out: dict[str, Any]
    data_hash: str
    laboratory: float = 0.0
    num_own: int = 0

    def score(self, params: float, macs: float, activations: float, offset: float = 0.0) -> float:
        """Top-1 in % that size buys, with the block kinds' offset; `macs` without attention's matrix products."""
        c0, c1, c2, c3 = self.coefficients
        return 100.0 - exp(c0 + c1 * log(params / 1e6) + c2 * log(macs / 1e6) + c3 * log(activations / 1e6) + offset)


def estimator_from_json(data: Any) -> Estimator:
    """Read what the fit wrote.

    Raises:
        ValueError: something else, or numbers that no fit gives.
    """
    if not isinstance(data, dict):
        raise ValueError("not an estimator")
    # The file that ships also says how it was made.
    known = {f.name for f in fields(Estimator)}
    found = read_plain(Estimator, {k: v for k, v in data.items() if k in known}, "estimator")
    numbers = (*found.coefficients, *found.block_offsets.values(), found.laboratory)
    if any(abs(v) > LARGEST for v in numbers) or not (0 < found.sigma <= LARGEST and 0 < found.sigma_zoo <= LARGEST):
        raise ValueError("the estimator's numbers are those of no fit")
    if not (found.block_offsets.keys() >= _KINDS and found.calibration.keys() >= _PAIRS and all(found.calibration.values())):
        raise ValueError("the estimator lacks a kind of block, or pairs of networks")
    return found


@lru_cache(maxsize=1)
def load_estimator() -> Estimator:
    """The estimator that ships with the package."""
    return estimator_from_json(json.loads(ESTIMATOR_FILE.read_text(encoding="utf8")))
