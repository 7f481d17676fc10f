"""Export to timm: one Python file that registers the network there, and its weights."""

from mvsearch.export.timm.exporter import TimmExporter

EXPORTER = TimmExporter()
