"""How a library calls the parts of a network, and the names that follow for every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mvsearch.errors import InputError
from mvsearch.spec.arch import (
    LAYER_NORM,
    ArchSpec,
    ConvStem,
    ExpandHead,
    InvertedResidualStage,
    MobileViTStage,
    MobileViTV2Stage,
)

Path = str | tuple[str, ...]
"""A module; or several, whose tensors are one of ours, cut in equal parts."""

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_RESIDUAL = ("conv1_1x1", "conv2_kxk", "conv3_1x1")
_LAYER = {
    MobileViTStage: ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"),
    MobileViTV2Stage: ("norm1", "attn.qkv_proj", "attn.out_proj", "norm2", "mlp.fc1", "mlp.fc2"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One of our tensors.

    Attributes:
        ours: its name.
        theirs: its name in the library; several if the library has it in equal parts along the first axis.
    """

    ours: str
    theirs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Names within a transformer block.

    Attributes:
        conv_kxk, conv_1x1, norm, conv_proj, conv_fusion: of our modules of these names; `{depth}` is the number of layers.
        transformer: of a layer; `{i}` is its number from 0.
        layer: our modules within a layer -> the library's.
    """

    conv_kxk: str
    conv_1x1: str
    transformer: str
    layer: Mapping[str, Path]
    norm: str
    conv_proj: str
    conv_fusion: str = ""


@dataclass(frozen=True, slots=True)
class Naming:
    """A library's names of modules.

    `{root}` stands for what all names begin with, `{stage}` for a stage's number from 1 and `{index}` from 0, `{i}` for
    a block's from 0.

    Attributes:
        title: of the library.
        roots: `{root}` where all transformer blocks are v2's, and otherwise.
        stem: the first layer.
        residual: an inverted residual of a convolutional stage.
        downsampling: the inverted residual of a transformer stage.
        block: the transformer block.
        final_conv: the head's convolution.
        classifiers: the linear layer where the head has a convolution, and where it has none.
        conv, norm: the two parts of a convolution with norm.
        in_residual: our modules within an inverted residual -> the library's.
        softmax, separable: names within v1's and v2's blocks, v3's on them included.
    """

    title: str
    roots: tuple[str, str]
    stem: str
    residual: str
    downsampling: str
    block: str
    final_conv: str
    classifiers: tuple[str, str]
    conv: str
    norm: str
    in_residual: Mapping[str, str]
    softmax: Block
    separable: Block


def pairs(naming: Naming, spec: ArchSpec) -> tuple[Pair, ...]:
    """Every tensor of the network, in the order of the network.

    Raises:
        InputError: a stem, stage or head that the library has no names for.
    """
    if spec.norm != LAYER_NORM and spec.transformer_stages:
        raise _unnamed(naming, f"norm `{spec.norm}`")
    separable = [isinstance(stage, MobileViTV2Stage) for stage in spec.transformer_stages]
    root = naming.roots[0 if separable and all(separable) else 1]
    return tuple(Pair(p.ours, tuple(name.replace("{root}", root) for name in p.theirs)) for p in _network(naming, spec))


def _network(naming: Naming, spec: ArchSpec) -> Iterator[Pair]:
    if not isinstance(spec.stem, ConvStem):
        raise _unnamed(naming, f"stem `{spec.stem.kind}`")
    yield from _conv_norm(naming, "stem", naming.stem)
    for index, stage in enumerate(spec.stages):
        place = {"stage": index + 1, "index": index, "root": "{root}"}
        ours = f"stages.{index}"
        if isinstance(stage, InvertedResidualStage):
            for i in range(stage.num_blocks):
                yield from _residual(naming, f"{ours}.{i}", naming.residual.format(**place, i=i), stage.expansion)
        elif isinstance(stage, MobileViTStage | MobileViTV2Stage):
            yield from _residual(naming, f"{ours}.0", naming.downsampling.format(**place), stage.expansion)
            yield from _block(naming, f"{ours}.1", naming.block.format(**place), stage)
        else:
            raise _unnamed(naming, f"stage `{stage.kind}`")
    expands = isinstance(spec.head, ExpandHead)
    if expands:
        yield from _conv_norm(naming, "final_conv", naming.final_conv)
    yield from _affine("head.fc", naming.classifiers[0 if expands else 1])


def _residual(naming: Naming, ours: str, theirs: str, expansion: float) -> Iterator[Pair]:
    for name in _RESIDUAL[expansion == 1 :]:
        yield from _conv_norm(naming, f"{ours}.{name}", f"{theirs}.{naming.in_residual[name]}")


def _block(naming: Naming, ours: str, theirs: str, stage: MobileViTStage | MobileViTV2Stage) -> Iterator[Pair]:
    names = naming.softmax if isinstance(stage, MobileViTStage) else naming.separable
    yield from _conv_norm(naming, f"{ours}.conv_kxk", f"{theirs}.{names.conv_kxk}")
    yield Pair(f"{ours}.conv_1x1.weight", (f"{theirs}.{names.conv_1x1}.{naming.conv}.weight",))
    for i in range(stage.depth):
        layer = f"{theirs}.{names.transformer.format(i=i)}"
        for name in _LAYER[type(stage)]:
            paths = names.layer[name]
            paths = (paths,) if isinstance(paths, str) else paths
            yield from _affine(f"{ours}.transformer.{i}.{name}", *(f"{layer}.{path}" for path in paths))
    yield from _affine(f"{ours}.norm", f"{theirs}.{names.norm.format(depth=stage.depth)}")
    yield from _conv_norm(naming, f"{ours}.conv_proj", f"{theirs}.{names.conv_proj}")
    if isinstance(stage, MobileViTStage):
        yield from _conv_norm(naming, f"{ours}.conv_fusion", f"{theirs}.{names.conv_fusion}")


def _conv_norm(naming: Naming, ours: str, theirs: str) -> Iterator[Pair]:
    yield Pair(f"{ours}.conv.weight", (f"{theirs}.{naming.conv}.weight",))
    for leaf in _NORM:
        yield Pair(f"{ours}.bn.{leaf}", (f"{theirs}.{naming.norm}.{leaf}",))


def _affine(ours: str, *theirs: str) -> Iterator[Pair]:
    for leaf in ("weight", "bias"):
        yield Pair(f"{ours}.{leaf}", tuple(f"{path}.{leaf}" for path in theirs))


def _unnamed(naming: Naming, part: str) -> InputError:
    return InputError(f"{naming.title} has no names for the {part}", "its names are those of MobileViT v1, v2 and v3")
