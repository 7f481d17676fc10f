"""Pieces that every block of the family shares: activation, convolution with norm, feed-forward, fixed sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mvsearch.spec.arch import BATCH_NORM, LAYER_NORM

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
    "relu6": nn.ReLU6,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for the whole network.

    Attributes:
        activation: a key of `ACTIVATIONS`.
        num_classes: outputs of the classifier.
        drop_rate: dropout before the classifier.
        transformer_drop_rate: dropout of each attention's and each feed-forward network's output.
        norm: of the transformers, one of `spec.arch.NORMS`.
    """

    activation: str = "silu"
    num_classes: int = 1000
    drop_rate: float = 0.0
    transformer_drop_rate: float = 0.0
    norm: str = LAYER_NORM

    def act(self) -> nn.Module:
        """A new activation."""
        return ACTIVATIONS[self.activation]()

    def token_norm(self, dim: int) -> nn.Module:
        """A new norm of tokens, channels last."""
        return TokenBatchNorm(dim) if self.norm == BATCH_NORM else nn.LayerNorm(dim)

    def map_norm(self, dim: int) -> nn.Module:
        """A new norm of maps, channels first."""
        return nn.BatchNorm2d(dim) if self.norm == BATCH_NORM else nn.GroupNorm(1, dim)


class TokenBatchNorm(nn.BatchNorm2d):
    """Batch norm of tokens: over all of the batch's, per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        return super().forward(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


class ConvNormAct(nn.Module):
    """Convolution, padded to keep the size at stride 1; batch norm; activation if one is given. No bias unless asked for."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: nn.Module | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.bn = nn.BatchNorm2d(channels)
        self.act = act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class FeedForward(nn.Module):
    """Two layers with an activation between them: linear over tokens, or 1x1 convolutions over maps.

    Args:
        layer: `nn.Linear`, or a 1x1 convolution with the same arguments.
        dim: width in and out.
        hidden: width between.
        options: activation and dropout.
    """

    def __init__(self, layer: Callable[[int, int], nn.Module], dim: int, hidden: int, options: Options) -> None:
        super().__init__()
        self.fc1 = layer(dim, hidden)
        self.act = options.act()
        self.fc2 = layer(hidden, dim)
        self.drop = nn.Dropout(options.transformer_drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        y: Tensor = self.drop(self.fc2(self.act(self.fc1(x))))
        return y


def fixed_size(x: Tensor, axis: int) -> int:
    """One size of a tensor as a plain integer, which a traced program holds as a constant.

    Blocks ask for sizes of maps only, never of the batch, so that an export may leave the batch open.
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return int(x.shape[axis])
    with warnings.catch_warnings():
        # The tracer warns that the program will fit this size only, which is what is wanted.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return int(x.shape[axis])


def tiled_size(height: int, width: int, patch: tuple[int, int]) -> tuple[int, int]:
    """The size of a map rounded up to whole patches."""
    return -(-height // patch[0]) * patch[0], -(-width // patch[1]) * patch[1]
