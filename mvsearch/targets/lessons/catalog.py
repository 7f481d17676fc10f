"""The four observations of EfficientFormer about latency on a phone, each as pairs of networks.

Source: EfficientFormer (arXiv 2206.01191), section 3 and figure 2, which times published networks part by part on an
iPhone 12; there no two networks differ in one thing only. Here they do: shapes, widths and depths of a pair are the same.
Networks of a real family are taken wherever one has both sides.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from mvsearch.spec.arch import BATCH_NORM, ArchSpec
from mvsearch.spec.efficientformer import DoubleConvStem, EfficientFormerStage, TokenHead
from mvsearch.spec.lessons import AlternatingBlocks, ConvStem3x3, LessonNetwork, MlpBlocks, PatchEmbedding
from mvsearch.spec.published import default_resolution, network
from mvsearch.targets.lessons.lesson import Claim, Lesson, Pair

PAPER = "EfficientFormer (arXiv 2206.01191), section 3"
HEADING = "the heading as quoted by reviews of the paper"
KERNELS = (
    "A predictor has one speed for convolutions of every kernel: it sees fewer multiply-accumulates here, and not what a "
    "compiler does not support."
)
FOLDED = "The batch norm stands where the norm stood, and costs nothing once it is folded: only the norms' operations differ."
HARDSWISH = (
    "An operation that leaves the Neural Engine costs several times as much; a prediction flags that risk and does not hold it."
)
HARDSWISH_FACTOR = 44.5 / 11.9
SIDE = 224
"""Of the images of all EfficientFormers, in pixels."""


@lru_cache(maxsize=1)
def lessons() -> tuple[Lesson, ...]:
    """The four, in the paper's order."""
    return (_patch_embedding(), _reshapes(), _norms(), _activations())


def _patch_embedding() -> Lesson:
    l1 = network("efficientformer_l1")
    # As wide as DeiT-S, and on its map of 14 x 14; four blocks, so that the stem is not lost beside them.
    body = EfficientFormerStage(384, 4, attention=4, stride=1, side=14)
    tokens = ArchSpec(DoubleConvStem(384), (body,), TokenHead(), activation="gelu")
    return Lesson(
        "patch embedding",
        "Patch embedding with large kernel and stride is a speed bottleneck on mobile devices",
        f"{PAPER}, observation 1",
        f"{HEADING}; the figure compares DeiT-S and PoolFormer-S24 (large kernels) with LeViT-256 and EfficientFormer (3x3)",
        (
            Pair(
                "16x16 convolution of stride 16, or four 3x3 of stride 2",
                LessonNetwork("16x16 patch embedding", tokens, SIDE, PatchEmbedding(16, 16)),
                LessonNetwork("four 3x3 convolutions", tokens, SIDE, ConvStem3x3((48, 96, 192, 384))),
                Claim("slower", "a bottleneck (DeiT-S)"),
                KERNELS,
            ),
            Pair(
                "7x7 convolution of stride 4, or two 3x3 of stride 2",
                LessonNetwork("L1, 7x7 patch embedding", l1, SIDE, PatchEmbedding(7, 4)),
                LessonNetwork("efficientformer_l1", l1, SIDE),
                Claim("slower", "a bottleneck (PoolFormer-S24)"),
                f"{KERNELS} PoolFormer-S24, whose patch embedding this is, took 6.2 ms in this paper's figure and 2.4 ms in "
                "that of EfficientFormerV2 (arXiv 2212.08059), on the same phone with later software.",
            ),
        ),
    )


def _reshapes() -> Lesson:
    l1 = network("efficientformer_l1")
    *first, _, third, last = l1.stages
    assert isinstance(third, EfficientFormerStage) and isinstance(last, EfficientFormerStage)
    mixed = replace(third, attention=third.depth // 2, side=14)
    to_14 = replace(l1, stages=(*first, l1.stages[1], mixed))
    return Lesson(
        "reshapes",
        "Consistent feature dimension is important for the choice of token mixer; MHSA is not necessarily a speed bottleneck",
        f"{PAPER}, observation 2",
        f"{HEADING}; that reshapes slow LeViT-256 down, and attention costs little without, was not checked in its text",
        (
            Pair(
                "blocks on maps and on tokens in turn, or all on maps before all on tokens (one reshape)",
                LessonNetwork("blocks in turn", to_14, SIDE, AlternatingBlocks()),
                LessonNetwork("dimension-consistent", to_14, SIDE),
                Claim("slower", "reshapes between convolutions and attention limit LeViT-256"),
            ),
            Pair(
                "the last block attends, or pools",
                LessonNetwork("efficientformer_l1", l1, SIDE),
                LessonNetwork("L1, pooling alone", replace(l1, stages=(*l1.stages[:-1], replace(last, attention=0))), SIDE),
                Claim("alike", "no significant overhead of attention on tokens that stay tokens"),
            ),
        ),
    )


def _norms() -> Lesson:
    stages = (EfficientFormerStage(64, 1, stride=1), EfficientFormerStage(128, 1), EfficientFormerStage(256, 8))
    mlps = ArchSpec(DoubleConvStem(64, "relu"), stages, TokenHead(), activation="gelu")
    v1, v2 = network("mobilevit_s"), network("mobilevitv2_1.0")
    share = Claim("slower", "layer norms take 10 to 20 % of a network's latency", (1 / (1 - 0.1), 1 / (1 - 0.2)))
    return Lesson(
        "norms",
        "CONV-BN is more latency-favorable than LN (GN)-Linear, and the accuracy drawback is generally acceptable",
        f"{PAPER}, observation 3",
        f"{HEADING}; the 10 to 20 % were not checked against its text",
        (
            Pair(
                "layer norm and linear layers on tokens, or 1x1 convolutions with batch norm on the map",
                LessonNetwork("LN and linear", mlps, SIDE, MlpBlocks("layer_norm")),
                LessonNetwork("1x1 conv and BN", mlps, SIDE, MlpBlocks("batch_norm")),
                share,
            ),
            Pair(
                "layer norm, or a batch norm that the linear layer after it takes in",
                LessonNetwork("mobilevit_s", v1, default_resolution(v1)),
                LessonNetwork("mobilevit_s, BN", replace(v1, norm=BATCH_NORM), default_resolution(v1)),
                share,
                FOLDED,
            ),
            Pair(
                "group norm, or a batch norm that the convolution after it takes in",
                LessonNetwork("mobilevitv2_1.0", v2, default_resolution(v2)),
                LessonNetwork("mobilevitv2_1.0, BN", replace(v2, norm=BATCH_NORM), default_resolution(v2)),
                Claim("slower", "the same is said of group norm"),
                f"{FOLDED} Core ML has no group norm and receives its pieces.",
            ),
        ),
    )


def _activations() -> Lesson:
    l1 = network("efficientformer_l1")
    own = LessonNetwork("L1, GELU", l1, SIDE)

    def pair(title: str, activation: str, claim: Claim | None = None, caveat: str = "") -> Pair:
        other = LessonNetwork(f"L1, {title}", replace(l1, activation=activation), SIDE)
        return Pair(f"{title}, or GELU", other, own, claim, caveat)

    return Lesson(
        "activations",
        "The latency of nonlinearity is hardware and compiler dependent",
        f"{PAPER}, observation 4",
        f"{HEADING}; 11.9 ms of LeViT-256 with GELU are in the paper's figure, 44.5 with HardSwish were not looked up",
        (
            pair("ReLU", "relu", Claim("alike", "GELU is hardly slower than ReLU on an iPhone 12")),
            pair(
                "HardSwish",
                "hardswish",
                Claim("slower", "LeViT-256: 44.5 ms with HardSwish, 11.9 with GELU", (HARDSWISH_FACTOR, HARDSWISH_FACTOR)),
                HARDSWISH,
            ),
            pair("SiLU", "silu"),
            pair("ReLU6", "relu6"),
        ),
    )
