"""Our own modules as flat files that need no mvsearch: the one home of the blocks, also where transformers loads them.

transformers copies the files that a custom model imports relatively, from one folder. So every module of ours that the model
needs is found by its imports, and copied with those turned into relative ones. A new family of blocks comes along by itself.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mvsearch.errors import ExportError

PACKAGE = "mvsearch"
ENTRY_POINTS = (
    f"{PACKAGE}.export.transformers.configuration_mvsearch",
    f"{PACKAGE}.export.transformers.modeling_mvsearch",
)
_HOME = Path(__file__).parent.parent.parent
_HEADER = """\
# SPDX-License-Identifier: Apache-2.0
# Part of mvsearch {version}, module `{module}`: an unchanged copy but for this header and its imports.
"""


@lru_cache(maxsize=1)
def shipped_files() -> dict[str, str]:
    """File name -> text of every module that the model needs, itself included.

    Raises:
        ExportError: a module imports in a way that cannot be turned into a relative import.
    """
    files: dict[str, str] = {}
    waiting = list(ENTRY_POINTS)
    while waiting:
        module = waiting.pop()
        name = f"{flat_name(module)}.py"
        if name in files:
            continue
        text = _path(module).read_text(encoding="utf-8")
        imported = {node.lineno: node.module or "" for node in _imports(module, text)}
        waiting += imported.values()
        files[name] = _HEADER.format(version=_version(), module=module) + _relative(text, imported)
    return dict(sorted(files.items()))


def flat_name(module: str) -> str:
    """Name of a module's copy, e.g. `mvsearch_models_build`; the two that transformers asks for keep theirs."""
    return module.rpartition(".")[2] if module in ENTRY_POINTS else module.replace(".", "_")


def _imports(module: str, text: str) -> list[ast.ImportFrom]:
    """Every import from the package, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == PACKAGE for alias in node.names):
            raise _unshippable(module, node.lineno, "`import` of a module; `from ... import` can be made relative")
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            raise _unshippable(module, node.lineno, "a relative import, of which the package has none")
        if (node.module or "").split(".")[0] != PACKAGE:
            continue
        for alias in node.names:
            if _path(f"{node.module}.{alias.name}").is_file():
                raise _unshippable(module, node.lineno, f"`{alias.name}` is a module, not a name in one")
        found.append(node)
    return found


def _relative(text: str, imported: dict[int, str]) -> str:
    lines = text.splitlines(keepends=True)
    for number, module in imported.items():
        pattern = rf"^(\s*from\s+){re.escape(module)}(\s+import\b)"
        # transformers finds an import only at the start of its line.
        lines[number - 1], times = re.subn(pattern, rf"\g<1>.{flat_name(module)}\g<2>", lines[number - 1])
        if times != 1:
            raise _unshippable(module, number, "an import that does not begin its line")
    return "".join(lines)


def _path(module: str) -> Path:
    parts = module.split(".")[1:]
    package = _HOME.joinpath(*parts, "__init__.py")
    return package if package.is_file() else _HOME.joinpath(*parts).with_suffix(".py")


def _unshippable(module: str, line: int, why: str) -> ExportError:
    return ExportError(f"`{module}`, line {line}, cannot be shipped with an export: {why}")


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "without a version"
