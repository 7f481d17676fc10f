"""The inverted residual of MobileNetV2, as CVNets has it."""

from __future__ import annotations

from torch import Tensor, nn

from mvsearch.models.layers import ConvNormAct, Options
from mvsearch.spec.arch import InvertedResidualStage, expanded_width


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise with the stride, linear 1x1 projection; skip if the shape stays.

    At expansion 1 there is no expansion convolution (CVNets; timm keeps one).
    Source: arXiv 1801.04381, section 3.3; hidden width by CVNets' rule.
    """

    def __init__(self, in_channels: int, channels: int, expansion: float, stride: int, options: Options) -> None:
        super().__init__()
        hidden = in_channels if expansion == 1 else expanded_width(in_channels, expansion)
        self.conv1_1x1 = nn.Identity() if expansion == 1 else ConvNormAct(in_channels, hidden, act=options.act())
        self.conv2_kxk = ConvNormAct(hidden, hidden, 3, stride, groups=hidden, act=options.act())
        self.conv3_1x1 = ConvNormAct(hidden, channels)
        self.skip = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.conv3_1x1(self.conv2_kxk(self.conv1_1x1(x)))
        return y + x if self.skip else y


def inverted_residual_stage(stage: InvertedResidualStage, in_channels: int, options: Options) -> nn.Module:
    """`num_blocks` inverted residuals; the first has the stride."""
    blocks = []
    for i in range(stage.num_blocks):
        stride = stage.stride if i == 0 else 1
        blocks.append(InvertedResidual(in_channels, stage.channels, stage.expansion, stride, options))
        in_channels = stage.channels
    return nn.Sequential(*blocks)
