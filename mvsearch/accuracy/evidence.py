"""What departing from the published networks does to accuracy, knob by knob, as data.

The regression knows a network's size, not where the size is spent, and what it is validated on is
uniform scaling of published shapes. A search that maximises it walks to shapes that nobody has
trained: one transformer layer per stage, wide expansions on early maps, parameters in the last stage
and in the feed-forward networks. So every departure from the nearest published network costs
uncertainty (`kappa`, points per doubling) and, where published ablations give a sign, a shift
(`bias`, never positive). Most rows are judgements from few ablations on ImageNet-1k, mostly of other
families at 76 to 82 %; they are meant to be replaced by evidence on MobileViT as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Knob:
    """How a departure along one knob is judged.

    Attributes:
        name: as it stands in explanations and flags.
        kappa: standard deviation, in points of top-1, per doubling or halving (or per step of a choice).
        bias: points per doubling, halving or step on the side that `when` names; zero or negative.
        when: where the bias applies, and how several stages are put together.
        evidence: what was published.
        source: where.
    """

    name: str
    kappa: float
    bias: float
    when: str
    evidence: str
    source: str


_ROWS = (
    Knob(
        "total depth", 1.2, -0.7, "per halving of the sum of L below the published 9, if below the nearest network's sum; "
        "kappa 0.35 for more layers",
        "depth traded against width at equal cost: the shallow one never won, 8 of 8, by 0.2 to 1.9. Own short trainings "
        "at 64 px prefer shallow ones: against the published sign, so that they raise kappa (from 1.0) and not the estimate",
        "DeiT and PVT depth against width, CaiT, EfficientFormerV2 (2212.08059), SoViT (2305.13035); `data/allocation.csv`",
    ),
    Knob(
        "depth shares", 0.35, -0.4, "root of the sum of squares over stages, common change taken out; bias per halving of the "
        "share of stride 16 below the least published, 2 of 7, and per doubling of that of stride 8 above the most, 2 of 7",
        "L of stage 4 from 4 to 2 costs 0.24, 0.60, 0.75 points, what its size says within 0.35; ConvNeXt 3463 to 3393 +0.6: "
        "stride 16 heavy; CoAtNet with attention from stride 8 on: -0.6",
        "MobileViTv3 README (S, XS, XXS against L2); ConvNeXt (2201.03545); CoAtNet (2106.04803); S3, RegNet, iFormer agree",
    ),
    Knob(
        "transformer width", 0.5, -0.3, "d / C per stage, root mean square; bias per halving below 1 or the nearest network's; "
        "kappa 0.7 for a d below half of that",
        "narrow attention is worse or equal, 5 of 5; 1.5 points for 1/4.67 of the width at equal speed",
        "SHViT (2401.16456), Table 6; no published ablation of d in a MobileViT",
    ),
    Knob(
        "heads", 0.35, -0.35, "per stage, root mean square; bias per halving below 4",
        "the score is blind to heads; MobileViT-S with 1 head for 4: -0.7; more than 4 to 6 gain nothing",
        "MobileViTv2 (2206.02680), single-head ablation of MobileViT-S; DeiT (2012.12877); CoAtNet (2106.04803)",
    ),
    Knob(
        "FFN ratio", 0.8, -0.7, "per stage, root mean square; bias per doubling above the nearest network's, mean over stages",
        "FFN 3 to 4 gives +0.6, +0.8, half of what the regression credits; FFN 4 paid by width: -1.0",
        "FastViT (2303.14189); LeViT (2104.01136), Table 5; MobileCLIP MCi2",
    ),
    Knob(
        "early expansion", 0.8, -0.3, "strides 2 to 8, root of the sum of squares; bias per doubling above 4, sum over stages",
        "no ablation; supernets keep the least expansion at strides 4 to 16 (23 of 28 slots), always at stride 4",
        "AttentiveNAS (2011.09011) A0 to A6; EfficientFormerV2 search results; the bias is a judgement",
    ),
    Knob(
        "late expansion", 0.5, 0.0, "strides 16 and 32, root of the sum of squares",
        "expansion earns its size and no more: MnasNet 3 to 6, MobileNetV2 5 to 10 on one curve",
        "MobileNetV2 (1801.04381); MnasNet; RegNet (2003.13678)",
    ),
    Knob(
        "width profile", 0.5, -0.3, "C of the five stages, common factor taken out, root of the sum of squares; bias per "
        "doubling of strides 2 and 4, and twice that per halving from one stage to the next",
        "no ablation at equal cost; RegNet's best widths grow by stage, and requiring it improved the whole population",
        "RegNet (2003.13678), section 3.2; the kappa is the default, the bias a judgement: early width is cheap activations",
    ),
    Knob(
        "late parameters", 0.5, -0.75, "params at stride 32 (head included) over the rest, against the nearest network's at "
        "equal size; bias per doubling",
        "full convolutions in the late stages too: +112 M params, -1.4; fifth stage: -0.2",
        "EfficientNetV2 (2104.00298); SHViT (2401.16456). A share that doubles, -1 +- 1, is 1 to 2 doublings of this ratio",
    ),
    Knob(
        "early blocks", 0.35, -0.2, "inverted residuals at strides 2 and 4; bias per doubling",
        "depth of everything against width: 0 to +0.2 at equal cost",
        "EfficientNet (1905.11946), Tables 3 and 7; the bias is a judgement: blocks at stride 4 are cheap activations",
    ),
    Knob(
        "stem", 0.3, -0.2, "channels, against the nearest network's, scaled or not; bias per doubling above",
        "stems matter little between convolutional ones: 0 to +0.35",
        "ConvNeXt (2201.03545); timm ConvNeXt `ols` variants; the bias is a judgement",
    ),
    Knob(
        "patch", 0.2, 0.0, "doublings away from the nearest published patch sizes; the shift itself is `PATCH_COST`",
        "MobileViT-S: 3,3,3 +0.1; 4,4,4 -0.8; 8,4,2 -1.1; XS: 8,4,2 -1.0, all against 2,2,2",
        "MobileViT (2110.02178), Tables 6 and 9",
    ),
    Knob(
        "mixed kinds", 0.4, -0.25, "stages of softmax and of separable attention in one network; half for v1 with v3; bias in "
        "proportion to the stages with separable attention where the nearest network has softmax",
        "none for mixtures of these blocks; separable for softmax attention at equal size: -0.2 to -0.3",
        "MobileViTv2 (2206.02680), Table 1; SwiftFormer, Table 1; the kappa is a judgement",
    ),
    Knob(
        "v3 switches", 0.4, 0.0, "switches that differ from v1 and from v3, the nearer; root over switches, mean over stages",
        "on S, 100 epochs: fusion 1x1 +1.1, local concat -0.1, input add +0.6, depthwise -0.3",
        "MobileViTv3 (2209.15159), Tables 6 and 7",
    ),
    Knob(
        "head", 0.3, 0.0, "a head of another kind or width rule; what it adds to the score is taken back",
        "an extra layer before the classifier: +0.6",
        "RepViT (2307.09283)",
    ),
    Knob(
        "activation", 0.3, -0.4, "ReLU or ReLU6; nothing for GELU and hard-swish",
        "ReLU for GELU: 0 to -0.8; GELU for SiLU: 0",
        "PoolFormer (2111.11418), Table 5; ConvNeXt (2201.03545)",
    ),
    Knob(
        "norm", 0.5, -0.8, "batch norm for the transformers' norms, by the share of stages with separable attention; theirs "
        "is a group norm; an eighth of the bias where it is a layer norm. The kappa is a judgement: no MobileViT has one",
        "batch for group norm of one group: -0.8; batch for layer norm: -0.1, -0.1, 0.0",
        "PoolFormer-S12 (2111.11418), Table 5: 77.2 and 76.4, layer norm 76.5; ConvNeXt (2201.03545): 81.5 and 81.4; timm's "
        "CoAtNet-0 (`coatnet_0_rw`, `coatnet_bn_0_rw`): 82.4 both",
    ),
    Knob(
        "width factor", 0.15, 0.0, "doublings of all widths between the nearest network and its scaled likeness",
        "uniform scaling is what the held-out MobileViTs validate",
        "MobileViTv2 (2206.02680), width multipliers 0.5 to 2",
    ),
)  # fmt: skip
KNOBS = MappingProxyType({k.name: k for k in _ROWS})
"""By name."""

PUBLISHED_DEPTH = 9
"""Transformer layers of the published networks, 2 + 4 + 3."""

L2_SHARE = 2 / 7
"""Share of the layers at stride 8, and at stride 16, in MobileViTv3's L2 networks: the most and the least published."""

PUBLISHED_HEADS = 4

BLIND_KNOBS = MappingProxyType({"heads": PUBLISHED_HEADS})
"""What moves no size, and so not the score -> the published value, at which a search holds it.

The bias and the kappa above do not suffice: networks with other heads come onto fronts by what heads do to latency.
A knob leaves this table when trained evidence on MobileViTs says what it does.
"""

PATCH_COST = (0.39, 0.27, 0.14)
"""Points that a doubling of the patch above 2 costs in stages 3, 4, 5.

The published sums are 0.8 for 4,4,4 and 1.05 for 8,4,2 (mean of S and XS); the third condition is that
the cost falls evenly from stage to stage.
"""

PATCH_FREE = 0.585
"""Doublings up to which a larger patch costs nothing: 3,3,3 is as good as 2,2,2 (+0.1, within noise)."""

PUBLISHED_PATCHES = ((2, 2, 2), (3, 3, 3), (4, 4, 4), (8, 4, 2))

SWITCH_SHARES = MappingProxyType({"v1": (0.0, 0.75, 0.0, 0.25), "v2": (0.0, 0.0, 0.0, 0.5)})
"""Share of v3's offset that each of its switches A, B, C, D brings alone, per body; all of them bring all of it.

v1: the deltas of MobileViTv3's Table 6 less what size explains. v2 has C and D only, and no ablation.
"""

NORM_SHARES = MappingProxyType({"v1": 0.125, "v2": 1.0})
"""Share of the norm's bias that a batch norm costs per body: in place of v1's layer norms, of v2's group norms."""

RESOLUTION_EVIDENCE = (192, 384)
"""Image sides outside which an estimate is flagged: MobileViTs were published at 256 and 384, and 192 lies no farther below.

What a side does to the estimate is fitted on published networks, and is no judgement (`accuracy.resolution`).
"""


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the regression's credit ends.

    Attributes:
        quantity: `params`, `activations` (both in millions) or `activations/params`.
        low, high: range that published networks near MobileViT cover.
        bias_below, bias_above: points per halving below and per doubling above; zero or negative.
        kappa: standard deviation per doubling outside.
        reason: why.
    """

    quantity: str
    low: float
    high: float
    bias_below: float
    bias_above: float
    kappa: float
    reason: str


TRUST_REGION = (
    Bound(
        "params", 1.0, 8.0, -0.5, -0.5, 1.0,
        "above 8 M the line overshoots (MobileViTv2 1.5 to 2.0, by 0.3 to 1.4 points with the next row's share); below 1 M no "
        "MobileViT is published",
    ),
    Bound(
        "activations", 5.0, 20.5, -0.5, -1.2, 1.0,
        "above MobileViTv2 1.25 half of the credit is taken back, which is what the wider ones show",
    ),
    Bound(
        "activations/params", 1.5, 6.5, -2.85, -3.3, 1.5,
        "anchors have 1.7 to 6.1; outside, what there is too much of earns nothing, and costs a little",
    ),
)  # fmt: skip

FAR = 1.0
"""Standard deviation from a network's departures, in points, from which an estimate is called extrapolating.

A resolution is flagged by `RESOLUTION_EVIDENCE` alone.
"""
