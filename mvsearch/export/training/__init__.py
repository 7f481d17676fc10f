"""Recipes of the families, and configurations by which timm's and CVNets' own scripts train a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvsearch.export.training.exporter import EXPORTER

__all__ = ["EXPORTER"]


def __getattr__(name: str) -> Any:
    # Other exporters read the recipes here, and this one writes their configurations.
    if name == "EXPORTER":
        from mvsearch.export.training.exporter import EXPORTER

        return EXPORTER
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
