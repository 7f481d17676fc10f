"""From what a training script saved to the weights alone: nests, wrappers, types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError
from mvsearch.export.checkpoint_file import MAX_BYTES
from mvsearch.spec.plain import shown

if TYPE_CHECKING:
    from torch import Tensor

AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model_state_dict")
NESTS = (*AVERAGED, "state_dict", "model_state_dict", "model")
"""Keys that the weights lie under, averaged ones first: they are what a recipe's accuracy was measured with."""
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""What `DistributedDataParallel`, `torch.compile` and Lightning put before every name."""
MAX_DEPTH = 4
MAX_TENSORS = 20_000
MAX_NAME = 200


def unwrap(path: Path, found: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by name, and notes on where they were.

    Args:
        path: the file, for messages.
        found: what it holds.

    Raises:
        InputError: there are no weights in it, or tensors that no `state_dict` has.
    """
    notes = []
    found, taken, others = _innermost(found)
    if taken:
        kind = " (averaged weights)" if taken[-1] in AVERAGED else ""
        beside = f"; beside it is {', '.join(f'`{o}`' for o in others)}" if others else ""
        notes.append(f"took `{'.'.join(taken)}`{kind}{beside}")
    if not isinstance(found, Mapping):
        raise _no_weights(path, f"it is a `{shown(type(found).__name__)}`")
    import torch

    tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor) and name != "n_averaged"}
    if not tensors:
        raise _no_weights(path, f"it has {', '.join(f'`{shown(key)}`' for key in list(found)[:5]) or 'nothing'}")
    if left := [key for key, value in found.items() if not isinstance(value, torch.Tensor)]:
        notes.append(f"left out {', '.join(f'`{shown(key)}`' for key in left[:5])}: no tensor")
    _check(path, tensors)
    tensors, prefix = _bare(tensors)
    if prefix:
        notes.append(f"took `{prefix}` off every name")
    return tensors, tuple(notes)


def in_float32(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The same in float32, and a note if they were not."""
    import torch

    types = {str(t.dtype).removeprefix("torch.") for t in tensors.values() if t.is_floating_point()} - {"float32"}
    result = {n: (t.float() if t.is_floating_point() else t).detach().contiguous() for n, t in tensors.items()}
    bad = next((n for n, t in result.items() if t.is_floating_point() and not torch.isfinite(t).all()), None)
    if bad:
        raise InputError(f"`{bad}` holds numbers that are not finite", "the training diverged, or the file is damaged")
    return result, tuple(f"converted from {kind} to float32" for kind in sorted(types))


def _innermost(found: Any) -> tuple[Any, list[str], list[str]]:
    taken: list[str] = []
    others: list[str] = []
    for _ in range(MAX_DEPTH):
        found = _state_of(found)
        if not isinstance(found, Mapping):
            break
        inner = [key for key in NESTS if isinstance(_state_of(found.get(key)), Mapping)]
        if not inner:
            break
        taken.append(inner[0])
        others += inner[1:]
        found = found[inner[0]]
    return found, taken, others


def _state_of(found: Any) -> Any:
    """A pickled module, which only a trusted file can hold, gives its state."""
    from torch import nn

    return found.state_dict() if isinstance(found, nn.Module) else found


def _check(path: Path, tensors: Mapping[Any, Tensor]) -> None:
    import torch

    if len(tensors) > MAX_TENSORS:
        raise _no_weights(path, f"it has {len(tensors):,} tensors")
    total = 0
    for name, tensor in tensors.items():
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise InputError(f"`{path.name}` has a tensor called `{shown(name)}`", f"names have up to {MAX_NAME} characters")
        bytes_ = tensor.numel() * tensor.element_size()
        total += bytes_
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
        # One number may pose as many; a copy would then fill the memory.
        if not plain or tensor.device.type != "cpu" or tensor.untyped_storage().nbytes() < bytes_ or total > MAX_BYTES:
            raise InputError(f"`{shown(name)}` in `{path.name}` is no plain tensor", "weights are dense, and stored in full")


def _bare(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    off = ""
    while wrapper := next((w for w in WRAPPERS if all(name.startswith(w) for name in tensors)), None):
        tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
        off += wrapper
    return tensors, off


def _no_weights(path: Path, why: str) -> InputError:
    return InputError(f"`{path.name}` holds no weights: {why}", f"tensors by name, bare or under {', '.join(NESTS)}")
