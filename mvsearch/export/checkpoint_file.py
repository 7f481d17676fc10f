"""What is in a stranger's file of weights, read without running anything that is in it."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

from mvsearch.errors import InputError, first_line
from mvsearch.files import kind_of
from mvsearch.spec.plain import shown

Container = Literal["safetensors", "torch"]
MAX_BYTES = 4 * 2**30
"""Of a file: a training's checkpoint of 100 M parameters with its optimiser has 2 GB."""
MAX_PICKLE_BYTES = 16 * 2**20
"""Of what describes the tensors. A byte of it may become fifty in memory; real ones have some hundred kB."""
_LEGACY_PICKLES = 5
"""Stand before the numbers in files of torch before 1.6: magic number, protocol, system, objects, keys."""
_NEEDED = re.compile(r"GLOBAL ([\w.]+)")


def read_object(path: Path, trust_pickle: bool) -> tuple[Any, Container, tuple[str, ...]]:
    """The object of a file: a dictionary of tensors, or what `torch.save` was given.

    Args:
        path: the file. Its content says what it is, not its suffix.
        trust_pickle: whether code in the file may be run, which is how Python unpickles.

    Returns:
        The object, what held it, and notes for the user.

    Raises:
        InputError: missing, no checkpoint, damaged, too large, or in need of unpickling without leave.
    """
    kind = _kind(path)
    if kind == "safetensors":
        return _read_safetensors(path), "safetensors", ()
    if kind == "zip":
        _check_archive(path)
    else:
        _check_legacy(path)
    found, notes = _read_torch(path, trust_pickle)
    return found, "torch", notes


def _kind(path: Path) -> Literal["safetensors", "zip", "pickle"]:
    place = kind_of(path)
    if place != "file":
        raise InputError(f"`{path}` {'is no plain file' if place else 'is missing'}", "give a file of weights")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}", "give a file that can be read") from None
    if size > MAX_BYTES:
        raise InputError(f"`{path.name}` has {size / 2**30:.1f} GiB", f"at most {MAX_BYTES / 2**30:g} GiB are read")
    if head[8:] == b"{":  # Before it stands a length, which may look like anything.
        return "safetensors"
    if head.startswith(b"PK\3\4"):
        return "zip"
    if head.startswith(b"\x80"):
        return "pickle"
    raise InputError(f"`{path.name}` holds no weights", "give a `.safetensors` file, or one that `torch.save` wrote")


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise InputError(f"`{path.name}` is damaged: {first_line(error)}", "copy or download it anew") from None


def _check_archive(path: Path) -> None:
    """Refuse what `torch.save` never writes: compressed parts, parts that overlap, and programs."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RecursionError) as error:
        raise InputError(f"`{path.name}` is damaged: {first_line(error)}", "copy or download it anew") from None
    names = [part.filename.rpartition("/")[2] for part in parts]
    if "constants.pkl" in names:
        raise InputError(f"`{path.name}` is a TorchScript program", "save its `state_dict()` instead, with `torch.save`")
    compressed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if compressed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise InputError(f"`{path.name}` unpacks to more than it is", "`torch.save` does not compress; give the file it wrote")
    if any(part.file_size > MAX_PICKLE_BYTES for part, name in zip(parts, names, strict=True) if name == "data.pkl"):
        raise _too_much(path)


def _check_legacy(path: Path) -> None:
    with path.open("rb") as file:
        start = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    try:
        for _ in range(_LEGACY_PICKLES):
            for _ in pickletools.genops(start):
                pass
    except Exception as error:  # pickletools raises whatever it meets.
        if len(start.getbuffer()) == MAX_PICKLE_BYTES:
            raise _too_much(path) from None
        raise InputError(
            f"`{path.name}` is damaged, or is not what `torch.save` wrote: {first_line(error)}", "copy or download it anew"
        ) from None


def _too_much(path: Path) -> InputError:
    return InputError(
        f"`{path.name}` describes its tensors in more than {MAX_PICKLE_BYTES // 2**20} MB", "save the weights alone"
    )


def _read_torch(path: Path, trust_pickle: bool) -> tuple[Any, tuple[str, ...]]:
    from argparse import Namespace

    import torch

    try:
        # timm's own training keeps its settings beside the weights, as a plain namespace.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True), ()
    except pickle.UnpicklingError as error:
        needed = _NEEDED.search(str(error))
        if not trust_pickle:
            raise InputError(
                f"`{path.name}` is more than tensors: to load it is to run code that is in it"
                + (f" (it needs `{shown(needed[1])}`)" if needed else " (or it is damaged)"),
                "ask for a `.safetensors` file or a plain `state_dict`; only if you trust its author, `--trust-pickle`",
            ) from None
    except Exception as error:  # What a damaged file does to torch is not foreseeable.
        raise InputError(f"`{path.name}` is damaged: {first_line(error)}", "copy or download it anew") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=False), ("unpickled, at your word: its code was run",)
    except Exception as error:  # A stranger's code may raise anything.
        raise InputError(f"`{path.name}` cannot be unpickled: {first_line(error)}", "it may need its author's code") from None
