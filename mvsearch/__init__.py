"""mvsearch: neural architecture search and scaling explorer for MobileViT-family networks.

`search`, `describe`, `build` and `load` mirror the command line. They are loaded on first use, so that
`import mvsearch` stays light.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvsearch.api import describe, search
    from mvsearch.export.library import load
    from mvsearch.models import build

__all__ = ["__version__", "build", "describe", "load", "search"]
__version__ = metadata.version("mvsearch")

_HOMES = {"search": "mvsearch.api", "describe": "mvsearch.api", "build": "mvsearch.models", "load": "mvsearch.export.library"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module `mvsearch` has no attribute `{name}`")
