"""Short training of candidates on images. Its modules import torch when they are imported."""

from mvsearch.accuracy.training.loop import choose_device, train

__all__ = ["choose_device", "train"]
