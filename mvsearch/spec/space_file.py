"""Search spaces from YAML: shipped ones by name, a user's own by path; every fault of a file at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mvsearch.errors import InputError, SpaceError, SpecError, printable
from mvsearch.files import kind_of, read_bytes
from mvsearch.spec.codec import Codec, Value
from mvsearch.spec.plain import MAX_INT, shown
from mvsearch.spec.published import MOBILEVIT
from mvsearch.spec.space import CODECS, Dimension, SearchSpace

TOP_KEYS = ("name", "description", "family", "resolution", "dimensions")
MAX_CHOICES = 1024
MAX_FILE_BYTES = 256 * 2**10
"""The largest legal space is smaller; reading takes seconds beyond."""
MAX_FAULTS = 50
"""More are not of use to anybody, and a hostile file has a million."""
MAX_TEXT = 500
"""Characters of a name or a description that are kept."""


def spaces_folder() -> Path:
    """Where the shipped spaces lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_spaces"
    return inside if inside.is_dir() else package.parent / "spaces"


def shipped_spaces() -> dict[str, SearchSpace]:
    """Every shipped space by name."""
    return {path.stem: load_space(path.stem) for path in sorted(spaces_folder().glob("*.yaml"))}


def load_space(name_or_path: str) -> SearchSpace:
    """A shipped space by its name, or the space in a YAML file.

    Raises:
        InputError: there is no such space or file.
        SpaceError: the file has faults; all of them, each with file, line, key and what is allowed.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if kind_of(path) != "file":
            raise InputError(f"no search space file `{name_or_path}`", "`mvsearch spaces` lists the shipped ones")
    else:
        path = spaces_folder() / f"{name_or_path}.yaml"
        if kind_of(path) != "file":
            names = [p.stem for p in sorted(spaces_folder().glob("*.yaml"))]
            near = difflib.get_close_matches(name_or_path[:100], names, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            raise InputError(
                f"unknown search space `{shown(name_or_path)}`", f"{hint}shipped: {', '.join(names)}; or give a .yaml file"
            )
    try:
        text = read_bytes(path, MAX_FILE_BYTES).decode("utf-8-sig")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read `{path}`: {error}", "a YAML file in UTF-8") from None
    return parse_space(text, str(path) if name_or_path != path.stem else path.name, default_name=path.stem)


def parse_space(text: str, file: str, default_name: str = "space") -> SearchSpace:
    """Read and check a whole space.

    Args:
        text: YAML.
        file: name for messages.
        default_name: the space's name if the file gives none.

    Raises:
        SpaceError: all faults at once.
    """
    import yaml

    try:
        # Composing stops before any object is made, so that no tag of the file is ever obeyed.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise SpaceError((f"{file}: nested too deeply",), _HINT) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        raise SpaceError((f"{where}: not YAML: {getattr(error, 'problem', None) or error}",), _HINT) from None
    return _Reader(file).space(root, default_name)


_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))
_HINT = "see `mvsearch spaces` for examples; a dimension is a list, `{from: 16, to: 64, step: 8}`, or one value"


@dataclass
class _Reader:
    """Walks the nodes of one file and collects its faults."""

    file: str
    faults: list[str] = field(default_factory=list)
    codec: Codec = CODECS[MOBILEVIT]

    def fault(self, node: Any, key: str, what: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 1
        self.faults.append(f"{self.file}:{line}: {f'`{shown(key)}`: ' if key else ''}{what}")
        if len(self.faults) >= MAX_FAULTS:
            raise SpaceError((*self.faults, f"{self.file}: perhaps more"), _HINT)

    def space(self, root: Any, default_name: str) -> SearchSpace:
        top = self.mapping(root, "", TOP_KEYS)
        family = self.text(top.get("family"), "family", MOBILEVIT)
        if family not in CODECS:
            self.fault(top["family"], "family", f"`{shown(family)}`; one of {', '.join(CODECS)}")
            raise SpaceError(tuple(self.faults), _HINT)
        self.codec = CODECS[family]
        dimensions: list[Dimension] = []
        if "dimensions" in top:
            known = tuple(self.codec.dimensions)
            nodes = self.mapping(top["dimensions"], "dimensions", known)
            dimensions = [Dimension(name, *self.choices(nodes[name], name)) for name in known if name in nodes]
            self.check_complete(top["dimensions"], dimensions, set(nodes))
        elif not self.faults:
            self.fault(root, "dimensions", "missing; a mapping from dimension names to choices")
        name = self.text(top.get("name"), "name", default_name)
        description = self.text(top.get("description"), "description", "")
        resolution = self.scalar(top["resolution"], "resolution") if "resolution" in top else self.codec.resolution
        step = self.codec.resolution_step
        whole = isinstance(resolution, int) and not isinstance(resolution, bool) and 32 <= resolution <= 2048
        if not whole or resolution % step:
            wanted = "an integer" if step == 1 else f"a multiple of {step}"
            self.fault(top.get("resolution"), "resolution", f"`{shown(resolution)}`; {wanted} from 32 to 2048 pixels")
        if self.faults:
            raise SpaceError(tuple(self.faults), _HINT)
        return SearchSpace(name, description, tuple(dimensions), resolution, family)

    def mapping(self, node: Any, key: str, known: tuple[str, ...]) -> dict[str, Any]:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            self.fault(node, key, f"a mapping is expected, with the keys {_some(known)}")
            return {}
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if name in found:
                self.fault(key_node, name, "given twice")
            elif name not in known:
                near = difflib.get_close_matches(name[:100], known, n=1)
                self.fault(
                    key_node, name, "unknown key" + (f"; did you mean `{near[0]}`?" if near else f"; known: {_some(known)}")
                )
            else:
                found[name] = value_node
        return found

    def scalar(self, node: Any, key: str) -> Any:
        """The plain value of a node, or None with a fault."""
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, key, "one plain value is expected")
            return None
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        if node.tag not in _PLAIN_TAGS:
            self.fault(node, key, f"tag `{shown(node.tag)}` is not allowed; plain YAML only")
            return None
        try:
            if len(node.value) > MAX_TEXT and not node.tag.endswith(":str"):
                raise ValueError("too long")
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, OverflowError) as error:
            self.fault(node, key, f"cannot read `{shown(node.value)}`: {shown(error)}")
            return None

    def text(self, node: Any, key: str, default: str) -> str:
        return default if node is None else printable(str(self.scalar(node, key))[:MAX_TEXT])

    def choices(self, node: Any, name: str) -> tuple[tuple[Value, ...], bool]:
        """Choices of one dimension and whether they are ordered."""
        import yaml

        before = len(self.faults)
        if isinstance(node, yaml.SequenceNode):
            values = [self.checked(item, name) for item in node.value]
            if not values:
                self.fault(node, name, "the list is empty; at least one value")
        elif isinstance(node, yaml.MappingNode):
            values = self.range(node, name)
        else:
            values = [self.checked(node, name)]
        if len(self.faults) > before:
            return (), False
        if len(set(values)) < len(values):
            self.fault(node, name, "a value is given twice")
        if len(values) > MAX_CHOICES:
            self.fault(node, name, f"{len(values)} choices; at most {MAX_CHOICES}")
        ordered = all(isinstance(v, int | float) for v in values)
        return tuple(sorted(values)) if ordered else tuple(values), ordered

    def checked(self, node: Any, name: str) -> Value:
        before = len(self.faults)
        value = self.scalar(node, name)
        if len(self.faults) == before:
            try:
                self.codec.check_value(name, value)
            except SpecError as error:
                self.fault(node, name, f"{error.message}; allowed: {error.hint}")
        return cast(Value, value)

    def range(self, node: Any, name: str) -> list[Value]:
        parts = self.mapping(node, name, ("from", "to", "step"))
        values = {k: self.scalar(v, f"{name}.{k}") for k, v in parts.items()}
        if not all(isinstance(v, int) and not isinstance(v, bool) for v in values.values()) or not {"from", "to"} <= set(
            values
        ):
            self.fault(node, name, "a range has integers `from`, `to` and, if not 1, `step`")
            return []
        low, high, step = values["from"], values["to"], values.get("step", 1)
        if max(abs(low), abs(high), abs(step)) > MAX_INT:
            self.fault(node, name, "a number is too large")
            return []
        if step < 1 or low > high or (high - low) // step >= MAX_CHOICES:
            self.fault(
                node,
                name,
                f"`from` {low} `to` {high} `step` {step}: ascending, a step of 1 or more, at most {MAX_CHOICES} values",
            )
            return []
        for end in (low, high, low + step):
            try:
                self.codec.check_value(name, min(end, high))
            except SpecError as error:
                self.fault(node, name, f"{error.message}; allowed: {error.hint}")
                return []
        return list(range(low, high + 1, step))

    def check_complete(self, node: Any, dimensions: Iterable[Dimension], given: set[str]) -> None:
        needed = self.codec.needed({d.name: d for d in dimensions})
        missing = [name for name in self.codec.dimensions if name in needed and name not in given]
        if missing:
            self.fault(node, "dimensions", f"missing: {', '.join(missing)}")


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return shown + (", ..." if len(names) > 8 else "")
