"""Plain data, as JSON gives it, turned into frozen dataclasses: every value is of the type that its field states."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mvsearch.errors import printable

T = TypeVar("T")
MAX_INT = 2**63 - 1


def read_plain(cls: type[T], data: Any, where: str = "") -> T:
    """A dataclass from what `asdict` and JSON made of it, whoever wrote that.

    Numbers are finite, integers fit into 64 bits, and texts hold nothing that steers a terminal. A field with a default
    may be absent.

    Args:
        cls: a dataclass whose fields are numbers, texts, paths, `Literal`s, tuples, `dict[str, ...]`, None, or such
            dataclasses; `Any` is left as it is.
        data: plain data.
        where: name of the whole, for messages.

    Raises:
        ValueError: the first field that is missing, unknown or of another type.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{f'`{where}`' if where else 'it'} is no object")
    hints = _hints(cls)  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in data:
        if key not in hints:
            raise ValueError(f"`{prefix}{shown(key)}` is unknown")
    values = {}
    for f in fields(cls):  # type: ignore[arg-type]
        if f.name in data:
            values[f.name] = read_value(hints[f.name], data[f.name], prefix + f.name)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"`{prefix}{f.name}` is missing")
    return cls(**values)


def read_value(hint: Any, value: Any, where: str) -> Any:
    """A value of the type that `hint` states; see `read_plain`."""
    if hint is Any:
        return value
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in options:
            return None
        return read_value(next(o for o in options if o is not NoneType), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        if options[1:] == (Ellipsis,):
            return tuple([read_value(options[0], v, where) for v in value])
        if len(value) == len(options):
            return tuple([read_value(o, v, where) for o, v in zip(options, value, strict=True)])
    elif origin is dict and isinstance(value, dict):
        return {read_value(str, k, where): read_value(options[1], v, where) for k, v in value.items()}
    elif origin is Literal:
        if isinstance(value, str) and value in options:
            return value
    elif is_dataclass(hint):
        return read_plain(hint, value, where)  # type: ignore[arg-type]
    elif hint is float:
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is int and abs(value) <= MAX_INT:
            return value
    elif hint is int:
        if type(value) is int and abs(value) <= MAX_INT:
            return value
    elif hint is str:
        if isinstance(value, str):
            return printable(value)
    elif hint is Path:
        if isinstance(value, str) and value and value == printable(value):
            return Path(value)
    elif hint is bool and isinstance(value, bool):
        return value
    raise ValueError(f"`{where}` is `{shown(value)}`")


def shown(value: Any) -> str:
    """A value for a message: short, and of one line."""
    text = str(value) if not isinstance(value, int) or abs(value) <= MAX_INT else "a huge number"
    text = printable(text).replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:40]}..."


@lru_cache(maxsize=64)
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)
