"""The operations of networks of controlled pairs, from the closed forms of the families that they are made of."""

from __future__ import annotations

from typing import Any

from mvsearch.costs.lowering import Lowering, Part, chain, image_size, lower_part, planned
from mvsearch.costs.op import Shape
from mvsearch.costs.trace import Plan, Segment, Trace
from mvsearch.spec.efficientformer import EfficientFormerStage
from mvsearch.spec.lessons import AlternatingBlocks, ConvStem3x3, LessonNetwork, MlpBlocks, PatchEmbedding


def lower_lesson(network: LessonNetwork) -> tuple[Part, ...]:
    """The network's parts from stem to head; see `costs.lower`."""
    height, width = image_size(network.resolution)
    last = f"stages.{len(network.spec.stages) - 1}"

    def lowered(name: str, part: Any, shape: Shape, activation: str, num_classes: int) -> Part:
        match network.change:
            case PatchEmbedding() | ConvStem3x3() as change if name == "stem":
                return planned(_stem(change), name, part, shape, activation, num_classes)
            case MlpBlocks() as change if name == last:
                return planned(_mlp_stage(change), name, part, shape, activation, num_classes)
            case AlternatingBlocks() if name == last:
                return _alternating(lower_part(name, part, shape, activation, num_classes), activation)
        return lower_part(name, part, shape, activation, num_classes, network.spec.norm)

    return chain(network.spec, height, width, lowered)


def _stem(change: PatchEmbedding | ConvStem3x3) -> Lowering:
    def patch_embedding(p: Plan, name: str, stem: Any, x: Shape, _: int) -> Shape:
        assert isinstance(change, PatchEmbedding)
        return p.run(_patch_embedding, f"{name}.proj", x, stem.channels, change.kernel, change.stride)

    def convolutions(p: Plan, name: str, stem: Any, x: Shape, _: int) -> Shape:
        assert isinstance(change, ConvStem3x3)
        for i, channels in enumerate(change.channels, start=1):
            x = p.run(_stem_convolution, f"{name}.conv{i}", x, channels)
        return x

    return patch_embedding if isinstance(change, PatchEmbedding) else convolutions


def _patch_embedding(t: Trace, name: str, x: Shape, channels: int, kernel: int, stride: int) -> Shape:
    return t.conv(name, x, channels, kernel, stride, norm=False, bias=True)


def _stem_convolution(t: Trace, name: str, x: Shape, channels: int) -> Shape:
    return t.act(name, t.conv(name, x, channels, 3, 2, bias=True))


def _mlp_stage(change: MlpBlocks) -> Lowering:
    def stage_of_mlps(p: Plan, name: str, stage: EfficientFormerStage, x: Shape, _: int) -> Shape:
        x = p.run(_downsample, f"{name}.downsample", x, stage.channels)
        if change.norm == "layer_norm":
            x = p.run(_flat, name, x)
        block = _token_mlp if change.norm == "layer_norm" else _map_mlp
        return p.run(block, f"{name}.blocks.*", x, stage.ffn_dim, times=stage.depth)

    return stage_of_mlps


def _downsample(t: Trace, name: str, x: Shape, channels: int) -> Shape:
    return t.conv(name, x, channels, 3, 2, bias=True)


def _token_mlp(t: Trace, name: str, x: Shape, hidden: int) -> Shape:
    with t.hold(x):
        y = t.act(name, t.linear(f"{name}.fc1", t.layer_norm(f"{name}.norm", x), hidden))
        y = t.linear(f"{name}.fc2", y, x[-1])
    return t.elementwise(name, x, y)


def _map_mlp(t: Trace, name: str, x: Shape, hidden: int) -> Shape:
    with t.hold(x):
        y = t.act(name, t.conv(f"{name}.fc1", x, hidden, bias=True))
        y = t.conv(f"{name}.fc2", y, x[1], bias=True)
    return t.elementwise(name, x, y)


def _flat(t: Trace, name: str, x: Shape) -> Shape:
    """(1, C, h, w) -> (1, h * w, C)."""
    return t.transpose(name, t.reshape(name, x, (1, x[1], x[2] * x[3])), 0, 2, 1)


def _unflat(t: Trace, name: str, x: Shape, out: Shape) -> Shape:
    """(1, h * w, C) -> (1, C, h, w)."""
    return t.reshape(name, t.transpose(name, x, 0, 2, 1), out)


def _alternating(part: Part, activation: str) -> Part:
    """The segments of a stage, its blocks in turn; every block is what it was."""
    *before, (pooling, maps), (flat, _), (attending, tokens) = part.segments
    assert maps == tokens, "as many blocks that pool as blocks that attend"
    plan = Plan(activation)
    plan.run(_unflat, part.name, attending.output, pooling.output)
    turns: list[tuple[Segment, int]] = [(pooling, 1), (flat, 1), (attending, 1), *plan.segments] * tokens
    return Part(part.name, part.block, (*before, *turns[:-1]), part.output)
