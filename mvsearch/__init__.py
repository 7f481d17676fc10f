"""mvsearch: neural architecture search and scaling explorer for MobileViT and EfficientFormer networks.

`search`, `scale`, `describe`, `export`, `import_checkpoint`, `measure`, `calibrate`, `validate` and `lessons` mirror the
command line, `TrainOptions` its options of training; `build`, `load` and `backbone` give torch modules, `Library` a folder of
many entries. They are loaded on first use, so that `import mvsearch` stays light.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mvsearch.export
import mvsearch.search

if TYPE_CHECKING:
    from mvsearch.api import (
        TrainOptions,
        backbone,
        calibrate,
        describe,
        import_checkpoint,
        lessons,
        measure,
        scale,
        validate,
    )
    from mvsearch.export.library import load
    from mvsearch.export.shelf import Library
    from mvsearch.models import build

    __version__: str

__all__ = [
    "Library",
    "SearchOptions",
    "TrainOptions",
    "__version__",
    "backbone",
    "build",
    "calibrate",
    "describe",
    "export",
    "import_checkpoint",
    "lessons",
    "load",
    "measure",
    "scale",
    "search",
    "validate",
]

_API = (
    "SearchOptions", "TrainOptions", "backbone", "calibrate", "describe", "import_checkpoint", "lessons", "measure", "scale",
    "validate",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(_API, "mvsearch.api"),
    "Library": "mvsearch.export.shelf",
    "load": "mvsearch.export.library",
    "build": "mvsearch.models",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("mvsearch")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module `mvsearch` has no attribute `{name}`")


class _Command(ModuleType):
    """A package of ours that is called as the function of its name in `mvsearch.api`.

    A function beside a package of its name would be hidden as soon as the package is imported.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module("mvsearch.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)


for _package in (mvsearch.search, mvsearch.export):
    _package.__class__ = _Command
