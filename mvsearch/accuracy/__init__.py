"""Estimated top-1 from published networks, how sure it is, and how far from evidence a network lies."""

from mvsearch.accuracy.calibration import probability_better, probability_of_order, tied, tiers
from mvsearch.accuracy.estimate import Top1Explanation, estimate_top1, explain_top1
from mvsearch.accuracy.knobs import Contribution
from mvsearch.accuracy.published import published_top1

__all__ = [
    "Contribution",
    "Top1Explanation",
    "estimate_top1",
    "explain_top1",
    "probability_better",
    "probability_of_order",
    "published_top1",
    "tied",
    "tiers",
]
