"""What a data-centre GPU is expected to do, as the prior of a fit to networks measured on the GPU at hand.

Only proportions matter; the speed is fitted. At batch 1 these networks leave such a GPU nearly empty: a kernel takes
2 to 4 microseconds in a captured graph and 5 to 10 to launch from Python, whatever it computes, which is why
MobileViTv3's Table 5 (eager, RTX 2080 Ti) has 7.2 to 7.3 ms for networks of 0.3 to 2.0 G MACs. The rates are round
figures of what kernels of this size reach, not of data sheets; none was measured by us.
"""

from __future__ import annotations

import math

from mvsearch.costs import OP_KINDS
from mvsearch.targets.host.gpu.options import GpuOptions
from mvsearch.targets.predictor.features import KindRate, Rates

FULL_AT = 4
"""Images at which such a GPU is full; up to there the kernels of a batch take no longer than those of one image."""
HIDDEN = 0.2
"""Share of the kernels' time that shows where launching them takes longer: eager, below `FULL_AT`."""

_GRAPH_US = {
    "conv": 4.0, "pointwise": 3.5, "depthwise": 3.5, "linear": 3.5, "matmul": 3.5, "softmax": 2.5, "layer_norm": 3.0,
    "reduce": 1.5, "silu": 2.0, "relu": 2.0, "gelu": 2.0, "sigmoid": 2.0, "elementwise": 1.0, "reshape": 0.5,
    "transpose": 1.5, "slice": 0.3, "concat": 2.5, "pool": 3.0, "resize": 3.0,
}  # fmt: skip
"""Microseconds per operation of our list. It is Core ML's: reshapes are mostly free here, and a group norm is one kernel
where the list has two reductions and five element-wise operations."""
_EAGER_US = {
    "conv": 15.0, "pointwise": 15.0, "depthwise": 15.0, "linear": 10.0, "matmul": 10.0, "softmax": 7.0, "layer_norm": 9.0,
    "reduce": 4.0, "silu": 6.0, "relu": 6.0, "gelu": 6.0, "sigmoid": 6.0, "elementwise": 2.5, "reshape": 2.0,
    "transpose": 3.0, "slice": 1.5, "concat": 8.0, "pool": 8.0, "resize": 9.0,
}  # fmt: skip
_NORM_US = {"graph": 2.5, "eager": 10.0}
"""A batch norm that is not folded, per convolution."""
_FUSED_BY_COMPILER = frozenset({"silu", "relu", "gelu", "sigmoid", "elementwise", "layer_norm", "reduce", "softmax"})
_CONVOLUTIONS = frozenset({"conv", "pointwise", "depthwise"})
_GMAC_PER_MS = {
    "float16": {"conv": 150.0, "pointwise": 100.0, "linear": 100.0, "matmul": 50.0, "depthwise": 8.0},
    "tf32": {"conv": 80.0, "pointwise": 60.0, "linear": 60.0, "matmul": 30.0, "depthwise": 6.0},
    "float32": {"conv": 20.0, "pointwise": 15.0, "linear": 15.0, "matmul": 10.0, "depthwise": 6.0},
}
_GB_PER_S = 2000.0


def expected_rates(options: GpuOptions) -> Rates:
    """Rates for one batch, in terms of the operations of one image.

    Args:
        options: how the network runs.
    """
    four_bytes = options.precision == "float32"
    macs = _GMAC_PER_MS[("tf32" if options.tf32 else "float32") if four_bytes else "float16"]
    gb_per_s = _GB_PER_S / (2 if four_bytes else 1)  # rates are stated in bytes at float16
    overheads = _GRAPH_US if options.launch == "graph" else _EAGER_US
    images: float = max(options.batch, FULL_AT)
    if options.launch == "eager" and options.batch < FULL_AT:
        images *= HIDDEN
    kinds: dict[str, KindRate] = {}
    for kind in OP_KINDS:
        overhead = overheads[kind]
        if options.compile and kind in _FUSED_BY_COMPILER:
            overhead *= 0.4
        if not options.fold and kind in _CONVOLUTIONS:
            overhead += _NORM_US[options.launch]
        kinds[kind] = KindRate(macs.get(kind, math.inf) / images, gb_per_s / images, gb_per_s, overhead)
    return Rates(base_ms=0.02, kinds=kinds)
