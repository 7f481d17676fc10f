"""Hugging Face transformers: its own MobileViT where that expresses the network exactly, a custom model where it does not."""

from mvsearch.export.transformers.exporter import EXPORTER

__all__ = ["EXPORTER"]
