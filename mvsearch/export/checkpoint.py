"""Weights from elsewhere: a checkpoint under official names becomes one of our networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.costs import count
from mvsearch.errors import InputError
from mvsearch.export import checkpoint_efficientformer as efficientformer
from mvsearch.export.checkpoint_file import Container, read_object
from mvsearch.export.checkpoint_nests import in_float32, unwrap
from mvsearch.export.names import Library, from_library, recognise, tensor_names, to_library
from mvsearch.export.weights import check_tensors
from mvsearch.spec.arch import ArchSpec, MobileViTStage
from mvsearch.spec.plain import shown
from mvsearch.spec.published import DEFAULT_RESOLUTION, published_networks

if TYPE_CHECKING:
    from torch import Tensor

_TITLES: dict[Library, str] = {"timm": "timm's", "cvnets": "CVNets'", "transformers": "transformers'"}
_STEM, _CLASSIFIER = "stem.conv.weight", "head.fc.weight"
_COUNTER, _PLACES = "num_batches_tracked", "attention_bias_idxs"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights in a file.

    Attributes:
        path: the file.
        tensors: by the names in the file, without wrappers; float32.
        format: whose names they are.
        container: what held them.
        notes: where in the file they were and what was done to them.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    format: Library
    container: Container
    notes: tuple[str, ...] = ()


def read_checkpoint(path: str | Path, trust_pickle: bool = False) -> Checkpoint:
    """Read a file of weights; nothing in it is run.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote (`.pt`, `.pth`, `.bin`) with tensors and plain data.
        trust_pickle: unpickle a file that holds more than that, which runs code in it: the user's explicit word.

    Raises:
        InputError: missing, damaged, in need of unpickling, without weights, or under names that no library has.
    """
    path = Path(path)
    found, container, said = read_object(path, trust_pickle)
    tensors, unwrapped = unwrap(path, found)
    tensors, converted = in_float32(tensors)
    library = recognise(tensors)
    if library is None:
        raise InputError(
            f"`{path.name}` holds no MobileViT or EfficientFormer that is known here: "
            f"its first name is `{shown(next(iter(tensors)))}`",
            "known are the names of CVNets (v1, v2, v3), timm and transformers, of EfficientFormers timm's",
        )
    return Checkpoint(path, tensors, library, container, (*said, *unwrapped, *converted, f"names: {_TITLES[library]}"))


def import_weights(
    checkpoint: Checkpoint, spec: ArchSpec | None = None, bgr: bool = False
) -> tuple[ArchSpec, dict[str, Tensor], tuple[str, ...]]:
    """The network that a checkpoint belongs to, and its weights by our names.

    Args:
        checkpoint: as `read_checkpoint` gives it.
        spec: the network; its classes and image channels are read from the weights. None looks among the published ones.
        bgr: the weights take images in the order blue, green, red, as CVNets' released v1 do: the stem's input channels
            are turned round, which is exact.

    Returns:
        The network, every tensor of its state, and notes for the user: what was found, and what shapes cannot tell.

    Raises:
        InputError: the weights do not fit, with the first missing, unexpected and misshaped entry by the file's names.
    """
    notes = list(checkpoint.notes)
    family = efficientformer.family_of_tensors(checkpoint.tensors) if checkpoint.format == "timm" else None
    if spec is None:
        if family is None:
            name, spec, rest = _published(checkpoint)
        else:
            (name, spec), rest = efficientformer.nearest_published(family, checkpoint.tensors), []
            spec = _sized(spec, checkpoint)
        notes.append(f"the weights are those of `{name}`")
        if rest:
            same = ", ".join(f"`{n}`" for n in rest)
            notes.append(f"{same} has weights of the same names and shapes; name the network if it is that one")
    else:
        spec, name = _sized(spec, checkpoint), ""
    tensors = _fitting(checkpoint, spec, f"`{name}`, the nearest published network" if name else "the network")
    notes += _unseen(spec)
    state = from_library(checkpoint.format, spec, tensors)
    if bgr:
        if spec.in_channels != 3:
            raise InputError(f"`--bgr` with images of {spec.in_channels} channels", "blue, green and red are three")
        stem = efficientformer.stem_of(spec) or _STEM
        state[stem] = state[stem].flip(1)
        notes.append("the first layer's input channels were turned from BGR to RGB")
    elif checkpoint.format != "timm" and spec.in_channels == 3:
        notes.append("a file does not say whether images are RGB or BGR; for CVNets' released v1 weights ask for BGR")
    if family is not None:
        notes.append(efficientformer.NOTE)
    return spec, state, tuple(notes)


def _unseen(spec: ArchSpec) -> list[str]:
    """What shapes cannot tell, as it was taken."""
    stages = spec.transformer_stages
    patches = ", ".join("x".join(map(str, s.patch)) for s in stages)
    heads = ", ".join(str(s.heads) for s in stages if isinstance(s, MobileViTStage))
    taken = [f"patches {patches}"] * bool(patches) + [f"heads {heads}"] * bool(heads) + [f"activation {spec.activation}"]
    return [f"shapes do not tell, and the network has: {'; '.join(taken)}"]


def _published(checkpoint: Checkpoint) -> tuple[str, ArchSpec, list[str]]:
    """Name and network of the published one that fits best, and names of others whose weights look the same."""
    named = {n: names for n, spec in published_networks().items() if (names := _names(checkpoint.format, spec))}
    most = max(len(names & checkpoint.tensors.keys()) for names in named.values())
    near = [name for name, names in named.items() if len(names & checkpoint.tensors.keys()) == most]
    candidates = {name: _sized(published_networks()[name], checkpoint) for name in near}
    learned = sum(t.numel() for n, t in checkpoint.tensors.items() if not n.endswith((_COUNTER, "running_mean", "running_var")))
    alike = {n: s for n, s in candidates.items() if count(s, DEFAULT_RESOLUTION).params == learned}
    fits = [name for name, spec in alike.items() if _score(checkpoint, spec) == len(checkpoint.tensors)]
    if not fits:
        # A variant in its patches has the same weights as what it is a variant of.
        fits = [max((n for n in alike or candidates if "@" not in n), key=lambda n: _score(checkpoint, candidates[n]))]
    # The official configuration comes before its variants.
    return fits[0], candidates[fits[0]], fits[1:]


def _names(library: Library, spec: ArchSpec) -> set[str]:
    """Of the network's tensors in the library; none if it has no names for the network."""
    try:
        pairs = tensor_names("cvnets" if library == "timm" else library, spec)
    except InputError:
        return set()
    return {name for pair in pairs for name in ((pair.ours,) if library == "timm" else pair.theirs)}


def _sized(spec: ArchSpec, checkpoint: Checkpoint) -> ArchSpec:
    """The network with the checkpoint's number of classes and of image channels, where it shows them."""
    if own := efficientformer.stem_of(spec):
        stem, classifier = checkpoint.tensors.get(own), checkpoint.tensors.get(efficientformer.CLASSIFIER)
    else:
        stem, classifier = _ends(spec, checkpoint)
    if stem is not None and stem.dim() == 4 and stem.shape[1]:
        spec = replace(spec, in_channels=stem.shape[1])
    if classifier is not None and classifier.dim() == 2 and classifier.shape[0]:
        spec = spec.with_classes(classifier.shape[0])
    return spec


def _ends(spec: ArchSpec, checkpoint: Checkpoint) -> tuple[Tensor | None, Tensor | None]:
    """A MobileViT's first weights and its classifier's."""
    names = {_STEM: _STEM, _CLASSIFIER: _CLASSIFIER}
    if checkpoint.format != "timm":
        names |= {p.ours: p.theirs[0] for p in tensor_names(checkpoint.format, spec) if p.ours in names}
    return checkpoint.tensors.get(names[_STEM]), checkpoint.tensors.get(names[_CLASSIFIER])


def _expected(library: str, spec: ArchSpec) -> dict[str, Tensor]:
    from mvsearch.models import build

    return to_library(library, spec, build(spec).state_dict())


def _score(checkpoint: Checkpoint, spec: ArchSpec) -> int:
    """How many of the checkpoint's tensors the network has, by name and shape."""
    expected = _expected(checkpoint.format, spec)
    return sum(name in expected and expected[name].shape == t.shape for name, t in checkpoint.tensors.items())


def _fitting(checkpoint: Checkpoint, spec: ArchSpec, what: str) -> dict[str, Tensor]:
    """The checkpoint's tensors, all that the network has; counters of batches, which nothing reads, may be absent."""
    expected = _expected(checkpoint.format, spec)
    counters = {name: zero for name, zero in expected.items() if name.endswith(_COUNTER)}
    tensors = {**counters, **checkpoint.tensors}
    try:
        check_tensors(checkpoint.path, expected, tensors)
    except InputError as error:
        hint = f"{error.hint} ({len(checkpoint.tensors):,} entries; the network has {len(expected):,})"
        raise InputError(f"`{checkpoint.path.name}` does not fit {what}", hint) from None
    for name, places in expected.items():
        # Which entry of attention's table belongs to which pair of positions follows from the network.
        if name.endswith(_PLACES) and not places.equal(tensors[name]):
            raise InputError(f"`{name}` in `{checkpoint.path.name}` has other places than the network", "the file is damaged")
    return tensors
