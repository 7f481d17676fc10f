"""YAML with the source of every value beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvsearch.export.training.recipes import Setting


def render(tree: Mapping[str, Any], head: str = "") -> str:
    """A tree of settings and plain values as YAML; the source of a setting follows it as a comment.

    Args:
        tree: mappings of mappings; leaves are `Setting`s, numbers, texts, booleans, lists of these, or None.
        head: lines for the top, without `#`.
    """
    top = [f"# {line}".rstrip() for line in head.splitlines()]
    return "\n".join([*top, *_lines(tree, 0)]) + "\n"


def plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same tree without sources: what a YAML parser makes of it."""
    return {key: plain(value) if isinstance(value, Mapping) else _value(value) for key, value in tree.items()}


def _lines(tree: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    for key, value in tree.items():
        indent = "  " * depth
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:", *_lines(value, depth + 1)]
            continue
        source = f"  # {value.source}" if isinstance(value, Setting) else ""
        lines.append(f"{indent}{key}: {_scalar(_value(value))}{source}")
    return lines


def _value(value: Any) -> Any:
    return value.value if isinstance(value, Setting) else value


def _scalar(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
