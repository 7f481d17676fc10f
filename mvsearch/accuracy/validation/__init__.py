"""How far estimated top-1 is to be trusted, and what a user's own trained networks change about it."""

from mvsearch.accuracy.validation.own import OwnNetwork, anchored_estimator
from mvsearch.accuracy.validation.records import AccuracyValidation
from mvsearch.accuracy.validation.validate import validate_accuracy

__all__ = ["AccuracyValidation", "OwnNetwork", "anchored_estimator", "validate_accuracy"]
