"""The ways out of mvsearch by name; each is imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import import_module

from mvsearch.errors import InputError
from mvsearch.export.exporter import Exporter
from mvsearch.spec.plain import shown

_TABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "timm": ("mvsearch.export.timm", ("timm",)),
    "transformers": ("mvsearch.export.transformers", ("transformers",)),
    "cvnets": ("mvsearch.export.cvnets", ("cvnets",)),
    "training": ("mvsearch.export.training", ("training",)),
    "onnx": ("mvsearch.export.onnx", ("model.onnx",)),
    "torch": ("mvsearch.export.torch_program", ("model.pt2",)),
    "coreml": ("mvsearch.export.coreml", ("coreml",)),
    "executorch": ("mvsearch.export.executorch", ("model.pte",)),
}
"""Name -> (module whose `EXPORTER` it is, what it owns in an entry). Libraries first, runtimes after them."""
EXPORTERS = tuple(_TABLE)
FILES = {name: files for name, (_, files) in _TABLE.items()}
"""Name -> what it owns in an entry, by top-level name."""
ALL = "all"
BRINGS = {"training": ("timm",)}
"""Name -> exports that it makes use of, which come along where they can."""


def exporter(name: str) -> Exporter:
    """The exporter of this name.

    Raises:
        InputError: there is none.
    """
    if name not in _TABLE:
        near = difflib.get_close_matches(name[:50], EXPORTERS, n=1)
        raise InputError(
            f"unknown export `{shown(name)}`",
            f"{f'did you mean `{near[0]}`? ' if near else ''}`{ALL}`, or {', '.join(EXPORTERS)}",
        )
    found: Exporter = import_module(_TABLE[name][0]).EXPORTER
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
        if name not in _TABLE:
            exporter(name)
