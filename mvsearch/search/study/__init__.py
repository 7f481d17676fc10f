"""The Optuna side of the search. Optuna is imported in this package only."""

from mvsearch.search.study.sampler import FrontSampler, SpaceExhaustedError, distributions
from mvsearch.search.study.study import Asked, Batch, SearchStudy

__all__ = ["Asked", "Batch", "FrontSampler", "SearchStudy", "SpaceExhaustedError", "distributions"]
