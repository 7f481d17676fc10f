"""The marriage of estimates and trainings: what a short training implies for top-1, and whether it is to be believed."""

from mvsearch.accuracy.marriage.combine import marry
from mvsearch.accuracy.marriage.records import (
    Implied,
    Marriage,
    Married,
    Orders,
    RungLoss,
    RungOrder,
    RungScale,
    Scored,
    Validation,
)
from mvsearch.accuracy.marriage.residuals import ResidualModel

__all__ = [
    "Implied",
    "Marriage",
    "Married",
    "Orders",
    "ResidualModel",
    "RungLoss",
    "RungOrder",
    "RungScale",
    "Scored",
    "Validation",
    "marry",
]
