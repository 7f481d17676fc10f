"""Names of weights in the libraries: ours are timm's; CVNets and transformers have their own.

`cvnets` is apple/ml-cvnets (v1 and v2) and micronDLA/MobileViTv3, whose two code bases keep its names. Whether a library
can run a network is another question than whether its names can say it: they can say every width, depth and mixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from mvsearch.errors import InputError
from mvsearch.export.names.cvnets import CVNETS
from mvsearch.export.names.naming import Naming, Pair, pairs
from mvsearch.export.names.transformers import TRANSFORMERS
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from torch import Tensor

Library = Literal["timm", "cvnets", "transformers"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
_NAMINGS: dict[str, Naming] = {"cvnets": CVNETS, "transformers": TRANSFORMERS}
_BEGINNINGS: dict[Library, tuple[str, ...]] = {
    "timm": ("stem.", "stages.", "final_conv.", "head."),
    "cvnets": ("conv_1.", "layer_", "conv_1x1_exp.", "classifier."),
    "transformers": ("mobilevit.", "mobilevitv2."),
}


def tensor_names(library: str, spec: ArchSpec) -> tuple[Pair, ...]:
    """Our name of every tensor of a network and the library's, in the order of the network.

    Args:
        library: `cvnets` or `transformers`; timm's names are ours.
        spec: the network.

    Raises:
        InputError: the library has no names for a part of the network.
    """
    return pairs(_NAMINGS[library], spec)


def to_library(library: str, spec: ArchSpec, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under a library's names; values unchanged, queries, keys and values apart where the library has them apart.

    Args:
        library: one of `LIBRARIES`.
        spec: the network.
        state: its weights by our names; what is missing stays missing.

    Raises:
        InputError: a name that is not of this network, or one that the library has no name for.
    """
    if library == "timm":
        return dict(state)
    result: dict[str, Tensor] = {}
    known = tensor_names(library, spec)
    _refuse_unknown(state, {p.ours for p in known})
    for pair in known:
        if pair.ours not in state:
            continue
        tensor = state[pair.ours]
        part = len(tensor) // len(pair.theirs) if len(pair.theirs) > 1 else 0
        for i, name in enumerate(pair.theirs):
            result[name] = tensor[i * part : (i + 1) * part] if part else tensor
    return result


def from_library(library: str, spec: ArchSpec, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back from `to_library`.

    Raises:
        InputError: a name that is not of this network in the library's terms, or queries without their keys and values.
    """
    if library == "timm":
        return dict(state)
    result: dict[str, Tensor] = {}
    known = tensor_names(library, spec)
    _refuse_unknown(state, {name for p in known for name in p.theirs})
    for pair in known:
        missing = [name for name in pair.theirs if name not in state]
        if len(missing) == len(pair.theirs):
            continue
        if missing:
            raise InputError(f"`{missing[0]}` is missing", f"it belongs to `{pair.ours}` with {', '.join(pair.theirs)}")
        result[pair.ours] = _joined([state[name] for name in pair.theirs])
    return result


def recognise(names: Iterable[str]) -> Library | None:
    """The library whose names most of these are; None if none of them is anybody's."""
    counts = dict.fromkeys(LIBRARIES, 0)
    for name in names:
        for library, beginnings in _BEGINNINGS.items():
            counts[library] += name.startswith(beginnings)
    best = max(LIBRARIES, key=counts.__getitem__)
    return best if counts[best] else None


def _joined(parts: list[Tensor]) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    import torch

    return torch.cat(parts)


def _refuse_unknown(state: Mapping[str, Tensor], known: set[str]) -> None:
    if unknown := sorted(state.keys() - known):
        raise InputError(f"`{shown(unknown[0])}` is no weight of this network", f"{len(unknown)} of {len(state)} are not")
