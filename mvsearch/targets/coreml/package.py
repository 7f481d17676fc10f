"""An `.mlpackage` on disk: what it says of itself, and its content's hash. Needs no coremltools.

A package that mvsearch made carries its architecture in its metadata, so that it is known again on the
Mac that it is brought to. Any other is known by its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mvsearch.errors import InputError, SpecError
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.targets.target import Artifact

OURS = "mvsearch."
"""Prefix of our own keys in a package's metadata."""
TARGETS = {6: "iOS15", 7: "iOS16", 8: "iOS17", 9: "iOS18", 10: "iOS26"}
"""Core ML's specification versions, and the oldest system that runs them."""
_TOOL = "com.github.apple.coremltools."


@dataclass(frozen=True, slots=True)
class PackageInput:
    """An array that a package takes.

    Attributes:
        name: of the input.
        shape: of the array; empty for an input of another kind, such as an image.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """What a package says of itself.

    Attributes:
        inputs: what it takes.
        deployment_target: oldest system that runs it, e.g. `iOS16`.
        metadata: user-defined, as it stands there.
        sha256: of the content, see `content_hash`.
    """

    inputs: tuple[PackageInput, ...]
    deployment_target: str
    metadata: Mapping[str, str]
    sha256: str

    def ours(self, key: str) -> str:
        """Our own metadata of this key, or an empty text."""
        return self.metadata.get(OURS + key, "")

    @property
    def made_by(self) -> str:
        """What converted it, e.g. `coremltools9.0-torch2.13.0`."""
        source = self.metadata.get(_TOOL + "source", "").replace("==", "")
        return f"coremltools{self.metadata.get(_TOOL + 'version', '')}-{source}"


def artifact_of(path: Path, spec: ArchSpec | None = None) -> Artifact:
    """A package as what a target measures.

    Args:
        path: the package, a folder.
        spec: the architecture where the caller knows it; read from the package otherwise.

    Raises:
        InputError: it is no Core ML package, or says of itself what cannot be.
    """
    package = read(path)
    arch_id, resolution = package.ours("arch_id"), package.ours("resolution")
    if not arch_id or not resolution.isdigit():
        sides = next((i.shape[-1] for i in package.inputs if len(i.shape) == 4), 0)
        return Artifact(f"sha256:{package.sha256}", sides, spec, path, package.sha256)
    if not all(i.shape for i in package.inputs):
        raise InputError(
            f"`{path.name}` takes images, as apps do; programs that take arrays are measured",
            "measure the network or its library entry: it is converted anew",
        )
    spec = spec or _spec(path, package.ours("spec"))
    if spec and spec.arch_id != arch_id:
        raise InputError(f"`{path.name}` is `{arch_id}`, and not `{spec.arch_id}`", "bring a folder and its packages together")
    made = f"{package.deployment_target}-{package.ours('precision')}/{package.made_by}"
    if (graph := package.ours("graph")) not in ("", "plain"):
        made += f"/{graph}"
    return Artifact(f"{arch_id}@{resolution}/{made}", int(resolution), spec, path, package.sha256)


def _spec(path: Path, text: str) -> ArchSpec | None:
    if not text:
        return None
    try:
        return from_json(json.loads(text))
    except (ValueError, SpecError) as error:
        raise InputError(
            f"`{path.name}` states an architecture that cannot be read: {error}", "export the network again"
        ) from None


def read(path: Path) -> Package:
    """Read a package's description.

    Raises:
        InputError: it is no Core ML package.
    """
    hint = "a Core ML package is a folder that ends in `.mlpackage`, with `Manifest.json` in it"
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        model = path / "Data" / manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        inputs, version, metadata = _description(model.read_bytes())
        return Package(inputs, TARGETS.get(version, f"specification{version}"), metadata, content_hash(path))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"`{path}` cannot be read as a Core ML package: {type(error).__name__}: {error}", hint) from None


def content_hash(path: Path) -> str:
    """SHA-256 over a package's files by name; of the manifest only its items, as their ids are drawn anew each time."""
    total = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()):
        name = file.relative_to(path).as_posix()
        content = _items(file) if name == "Manifest.json" else file.read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _items(manifest: Path) -> bytes:
    entries = json.loads(manifest.read_text(encoding="utf-8"))["itemInfoEntries"].values()
    return json.dumps(sorted(json.dumps(e, sort_keys=True) for e in entries)).encode()


# Field numbers of Apple's Model.proto and FeatureTypes.proto (in coremltools, mlmodel/format).
_VERSION, _DESCRIPTION = 1, 2
_INPUT, _METADATA = 1, 100
_USER_DEFINED = 100
_NAME, _TYPE = 1, 3
_MULTI_ARRAY, _SHAPE = 5, 1


def _description(model: bytes) -> tuple[tuple[PackageInput, ...], int, dict[str, str]]:
    version = 0
    inputs: list[PackageInput] = []
    metadata: dict[str, str] = {}
    for field, value in _fields(model):
        if field == _VERSION and isinstance(value, int):
            version = value
        elif field == _DESCRIPTION and isinstance(value, bytes):
            for part, content in _fields(value):
                if part == _INPUT and isinstance(content, bytes):
                    inputs.append(_input(content))
                elif part == _METADATA and isinstance(content, bytes):
                    metadata.update(_user_defined(content))
    if not version:
        raise ValueError("no Core ML model")
    return tuple(inputs), version, metadata


def _input(content: bytes) -> PackageInput:
    parts = dict(_fields(content))
    kind = dict(_fields(_bytes(parts.get(_TYPE, b""))))
    shape: list[int] = []
    for field, value in _fields(_bytes(kind.get(_MULTI_ARRAY, b""))):
        if field == _SHAPE:
            shape += [value] if isinstance(value, int) else _packed(value)
    return PackageInput(_bytes(parts.get(_NAME, b"")).decode(), tuple(shape))


def _user_defined(content: bytes) -> Iterator[tuple[str, str]]:
    for field, value in _fields(content):
        if field == _USER_DEFINED:
            pair = dict(_fields(_bytes(value)))
            yield _bytes(pair.get(1, b"")).decode(), _bytes(pair.get(2, b"")).decode()


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a text should be")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message: numbers as int, texts and messages as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("no protobuf message")
        if at + size > len(data):
            raise ValueError("a cut protobuf message")
        yield tag >> 3, data[at : at + size]
        at += size


def _packed(data: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("no protobuf number")
