"""What the chips are expected to do before any latency is seen."""

from __future__ import annotations

import math

from mvsearch.costs import OP_KINDS
from mvsearch.targets.predictor.features import KindRate, Rates


def expected_a14() -> Rates:
    """What an A14 is expected to do: the centre that every rate is drawn to.

    Dense convolution at the advertised 11 TOPS; on-chip bandwidth; transposes and SiLU slower (both are
    passes of their own). Batched matrix products are set so that patch Config B over Config A comes out
    near the published 0.81 to 0.83. A bilinear resize is expected to cost 300 us: in MobileViT's Table 6
    (arXiv 2110.02178) patch 3, which resizes six times, takes 14.7 ms, and patches 2 and 4, which do not,
    9.9 and 8.2 ms.
    """
    dense, activation, shape = 5.0, 200.0, 200.0
    gmac = {"conv": dense, "pointwise": dense, "linear": dense, "depthwise": 0.5, "matmul": 0.8}
    bandwidth = {
        "transpose": 30.0, "silu": 60.0, "relu": activation, "gelu": activation, "sigmoid": activation,
        "reshape": shape, "slice": shape, "concat": shape,
    }  # fmt: skip
    overhead = {"resize": 300.0}
    return Rates(
        base_ms=0.4,
        kinds={k: KindRate(gmac.get(k, math.inf), bandwidth.get(k, 150.0), 40.0, overhead.get(k, 0.5)) for k in OP_KINDS},
    )
