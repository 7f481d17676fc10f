"""The Optuna side of the search. Optuna is imported in this package only."""

from mvsearch.search.study.sampler import FrontSampler, SpaceExhaustedError, distributions
from mvsearch.search.study.share import SharedTrial, check_database, share_study
from mvsearch.search.study.study import Asked, Batch, SearchStudy

__all__ = [
    "Asked",
    "Batch",
    "FrontSampler",
    "SearchStudy",
    "SharedTrial",
    "SpaceExhaustedError",
    "check_database",
    "distributions",
    "share_study",
]
