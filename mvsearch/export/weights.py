"""The weights file of a library entry: safetensors, nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.costs import count
from mvsearch.errors import ExportError, InputError
from mvsearch.files import kind_of
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import default_resolution

if TYPE_CHECKING:
    from torch import Tensor, nn


def save_weights(path: Path, spec: ArchSpec, model: nn.Module, weights: str) -> None:
    """Write every parameter and buffer of the network.

    Args:
        path: file to write.
        spec: what the network has to be.
        model: the network.
        weights: `initial` or `trained`, for the file's metadata.

    Raises:
        ExportError: the network is not that of `spec`, a number is not finite, or the file cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from mvsearch.models import build

    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    try:
        check_tensors(path, build(spec).state_dict(), tensors)
    except InputError as error:
        raise ExportError(f"the network is not the one of the architecture `{spec.arch_id}`", error.hint) from error
    bad = next((name for name, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()), None)
    if bad:
        raise ExportError(f"`{bad}` holds numbers that are not finite", "the weights diverged; they are not exported")
    try:
        save_file(tensors, path, metadata={"format": "pt", "arch_id": spec.arch_id, "weights": weights})
    except SafetensorError as error:
        raise ExportError(f"the weights could not be written: {error}") from error


def read_weights(path: Path, arch_id: str, digest: str | None) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        path: the file.
        arch_id: of the network that they must belong to.
        digest: SHA-256 that the file must have.

    Raises:
        InputError: missing, corrupted, of another network, or not the file that was written.
    """
    from safetensors import SafetensorError, safe_open

    if kind_of(path) != "file":
        raise InputError(f"`{path}` is missing", "an entry needs its weights; copy the whole folder")
    try:
        with safe_open(path, framework="pt") as file:
            owner = (file.metadata() or {}).get("arch_id")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(f"`{path}` is corrupted: {error}", "copy the entry anew, or write it anew") from error
    if owner != arch_id:
        raise InputError(
            f"`{path.name}` holds weights of `{owner}`, the configuration describes `{arch_id}`",
            "the files of this folder belong to different entries",
        )
    if sha256(path) != digest:
        raise InputError(
            f"`{path}` is not the file that the entry was written with", "its SHA-256 is not the one in the configuration"
        )
    return tensors


def check_size(path: Path, spec: ArchSpec, found: Mapping[str, Tensor]) -> None:
    """See that there are as many weights as the network has parameters.

    A configuration may describe a network that fits into no memory; what lies beside it has been read, and is not so large.

    Raises:
        InputError: there are fewer.
    """
    expected, have = count(spec, default_resolution(spec)).params, sum(t.numel() for t in found.values())
    if have < expected:
        raise InputError(f"`{path.name}` does not fit the network", f"{have:,} weights, and the network has {expected:,}")


def check_tensors(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """The same names, shapes and types, or an `InputError` with the first of each that is wrong."""
    faults = []
    for what, names in (("missing", expected.keys() - found.keys()), ("unexpected", found.keys() - expected.keys())):
        if names:
            faults.append(f"{what} `{min(names)}`" + (f" and {len(names) - 1} more" if len(names) > 1 else ""))
    for name in sorted(expected.keys() & found.keys()):
        want, have = expected[name], found[name]
        if want.shape != have.shape or want.dtype != have.dtype:
            faults.append(f"`{name}` is {_signature(have)}, not {_signature(want)}")
            break
    if faults:
        raise InputError(f"`{path.name}` does not fit the network", "; ".join(faults))


def _signature(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
