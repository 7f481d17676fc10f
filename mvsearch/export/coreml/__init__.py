"""Packages for Core ML that an app takes as they are."""

from mvsearch.export.coreml.exporter import EXPORTER

__all__ = ["EXPORTER"]
