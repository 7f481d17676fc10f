"""The ways out of mvsearch by name; each is imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import import_module

from mvsearch.errors import InputError
from mvsearch.export.exporter import Exporter
from mvsearch.spec.plain import shown

_MODULES = {
    "timm": "mvsearch.export.timm",
    "transformers": "mvsearch.export.transformers",
    "cvnets": "mvsearch.export.cvnets",
    "training": "mvsearch.export.training",
    "onnx": "mvsearch.export.onnx",
    "torch": "mvsearch.export.torch_program",
    "coreml": "mvsearch.export.coreml",
    "executorch": "mvsearch.export.executorch",
}
"""Name -> module whose `EXPORTER` it is. Libraries first, runtimes after them."""
EXPORTERS = tuple(_MODULES)
ALL = "all"


def exporter(name: str) -> Exporter:
    """The exporter of this name.

    Raises:
        InputError: there is none.
    """
    if name not in _MODULES:
        near = difflib.get_close_matches(name[:50], EXPORTERS, n=1)
        raise InputError(
            f"unknown export `{shown(name)}`",
            f"{f'did you mean `{near[0]}`? ' if near else ''}`{ALL}`, or {', '.join(EXPORTERS)}",
        )
    found: Exporter = import_module(_MODULES[name]).EXPORTER
    return found


def parse_names(text: str) -> tuple[str, ...]:
    """`timm,onnx` -> names in the order of `EXPORTERS`, each once; `all` is every one.

    Raises:
        InputError: an unknown name, or none.
    """
    asked = [name.strip() for name in text.split(",") if name.strip()]
    if not asked:
        raise InputError(
            f"`--to` is `{shown(text)}`", f"`{ALL}`, or one or more of {', '.join(EXPORTERS)}, separated by commas"
        )
    if ALL in asked:
        return EXPORTERS
    _require_known(asked)
    return tuple(name for name in EXPORTERS if name in asked)


def _require_known(names: Iterable[str]) -> None:
    for name in names:
        if name not in _MODULES:
            exporter(name)
