"""The user's labelled images, decoded once into a compact cache."""

from mvsearch.accuracy.images.cache import load_images, prepare_images
from mvsearch.accuracy.images.dataset import ImageCache, ImageSet, Split

__all__ = ["ImageCache", "ImageSet", "Split", "load_images", "prepare_images"]
