"""mvsearch: neural architecture search and scaling explorer for MobileViT-family networks.

`search`, `scale`, `describe`, `measure`, `calibrate` and `validate` mirror the command line, `TrainOptions` its options of
training; `build` and `load` give torch modules. They are loaded on first use, so that `import mvsearch` stays light.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mvsearch.search

if TYPE_CHECKING:
    from mvsearch.api import RunResult, TrainOptions, calibrate, describe, measure, scale, validate
    from mvsearch.export.library import load
    from mvsearch.models import build

    __version__: str

__all__ = [
    "SearchOptions",
    "TrainOptions",
    "__version__",
    "build",
    "calibrate",
    "describe",
    "load",
    "measure",
    "scale",
    "search",
    "validate",
]

_HOMES = {
    **dict.fromkeys(("SearchOptions", "TrainOptions", "calibrate", "describe", "measure", "scale", "validate"), "mvsearch.api"),
    "load": "mvsearch.export.library",
    "build": "mvsearch.models",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("mvsearch")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module `mvsearch` has no attribute `{name}`")


class _Search(ModuleType):
    """The package `mvsearch.search`, which is called as the function of the same name in `mvsearch.api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> RunResult:
        from mvsearch.api import search

        return search(*args, **kwargs)


# A function beside a package of its name would be hidden as soon as the package is imported.
mvsearch.search.__class__ = _Search
