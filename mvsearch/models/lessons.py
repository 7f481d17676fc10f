"""Torch networks of controlled pairs: the built architecture with one thing changed; see `mvsearch.spec.lessons`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mvsearch.models.build import build
from mvsearch.models.efficientformer import ConvFeedForward, Flat, PoolBlock, TokenBlock
from mvsearch.models.initial import initialise
from mvsearch.models.layers import ConvNormAct, FeedForward, Options, fixed_size
from mvsearch.spec.efficientformer import EfficientFormerStage
from mvsearch.spec.lessons import AlternatingBlocks, ConvStem3x3, LessonNetwork, MlpBlocks, PatchEmbedding


class Unflat(nn.Module):
    """Tokens as a square map, row by row."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, side * side, C) -> (B, C, side, side)."""
        return x.transpose(1, 2).reshape(-1, fixed_size(x, 2), self.side, self.side)


class TokenMlp(nn.Module):
    """Layer norm, two linear layers with an activation between them, added to the input."""

    def __init__(self, stage: EfficientFormerStage, options: Options) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(stage.channels)
        self.mlp = FeedForward(nn.Linear, stage.channels, stage.ffn_dim, options)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        y: Tensor = x + self.mlp(self.norm(x))
        return y


class MapMlp(nn.Module):
    """Two 1x1 convolutions with batch norms, an activation between them, added to the input."""

    def __init__(self, stage: EfficientFormerStage, options: Options) -> None:
        super().__init__()
        self.mlp = ConvFeedForward(stage.channels, stage.ffn_dim, options)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = x + self.mlp(x)
        return y


def build_lesson(network: LessonNetwork, seed: int = 0) -> nn.Module:
    """The network, on the CPU, with the initial weights of `seed`: images -> logits."""
    spec, change = network.spec, network.change
    model: Any = build(spec, seed=seed)
    if change is None:
        return model  # type: ignore[no-any-return]
    options = Options(spec.activation, spec.num_classes)
    match change:
        case PatchEmbedding(kernel, stride):
            padding = (kernel - stride + 1) // 2
            model.stem = nn.Conv2d(spec.in_channels, spec.stem.channels, kernel, stride, padding)
        case ConvStem3x3(channels):
            widths = (spec.in_channels, *channels)
            convolutions = [
                ConvNormAct(a, b, 3, 2, act=options.act(), bias=True) for a, b in zip(widths, channels, strict=False)
            ]
            model.stem = nn.Sequential(*convolutions)
        case MlpBlocks(norm):
            model.stages[-1].blocks = nn.Sequential(*_mlp_blocks(spec.stages[-1], options, norm))
        case AlternatingBlocks():
            model.stages[-1].blocks = nn.Sequential(*_in_turn(model.stages[-1].blocks, spec.stages[-1]))
    return initialise(model, seed)


def _mlp_blocks(stage: Any, options: Options, norm: str) -> list[nn.Module]:
    if norm == "batch_norm":
        return [MapMlp(stage, options) for _ in range(stage.depth)]
    return [Flat(), *(TokenMlp(stage, options) for _ in range(stage.depth))]


def _in_turn(blocks: nn.Sequential, stage: Any) -> list[nn.Module]:
    pooling = [b for b in blocks if isinstance(b, PoolBlock)]
    attending = [b for b in blocks if isinstance(b, TokenBlock)]
    out: list[nn.Module] = []
    for on_map, on_tokens in zip(pooling, attending, strict=True):
        out += [on_map, Flat(stage.side), on_tokens, Unflat(stage.side)]
    return out[:-1]
