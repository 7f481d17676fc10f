"""What the side of the image does to top-1, by networks that were published at two sizes."""

from mvsearch.accuracy.resolution.effect import EVIDENCE, LARGEST_ERROR, Pair, ResolutionEffect, fit_effect, resolution_effect

__all__ = ["EVIDENCE", "LARGEST_ERROR", "Pair", "ResolutionEffect", "fit_effect", "resolution_effect"]
