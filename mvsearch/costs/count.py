"""Totals over a network's operations: the exact costs, and where they go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mvsearch.costs.lowering import PART_CACHE, Part, Resolution, lower
from mvsearch.costs.op import BYTES_PER_ELEMENT, WEIGHTED_KINDS
from mvsearch.costs.trace import SEGMENT_CACHE, Segment
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Measurement


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs at batch size 1, as exact integers.

    Attributes:
        params: learnable numbers.
        macs: multiply-accumulates of convolutions, linear layers and matrix products (attention included).
        activations: output elements of every convolution and linear layer.
        weight_bytes: stored weights at float16, batch norm folded.
        peak_memory: bytes of live activations at float16 while the hungriest operation runs, without
            fusion or in-place tricks: its inputs, its outputs, and tensors kept for a skip connection.
    """

    params: int
    macs: int
    activations: int
    weight_bytes: int
    peak_memory: int

    @property
    def flops(self) -> int:
        """Floating-point operations, 2 x MACs."""
        return 2 * self.macs

    def measurements(self) -> dict[str, Measurement]:
        """The same as counted measurements, by metric."""
        units = {"weight_bytes": "bytes", "peak_memory": "bytes"}
        names = ("params", "macs", "flops", "activations", "weight_bytes", "peak_memory")
        return {n: Measurement(n, getattr(self, n), units.get(n, ""), "counted") for n in names}


def count(spec: ArchSpec, resolution: Resolution) -> Costs:
    """Exact costs of a network, in microseconds and without building it.

    Args:
        spec: the network.
        resolution: side of a square image, or (height, width), in pixels.
    """
    return total(lower(spec, resolution))


def total(parts: Iterable[Part]) -> Costs:
    """Costs of these parts together."""
    costs = [part_costs(p) for p in parts]
    return Costs(
        params=sum(c.params for c in costs),
        macs=sum(c.macs for c in costs),
        activations=sum(c.activations for c in costs),
        weight_bytes=sum(c.weight_bytes for c in costs),
        peak_memory=max(c.peak_memory for c in costs),
    )


@lru_cache(maxsize=PART_CACHE)
def part_costs(part: Part) -> Costs:
    """Costs of one stem, stage or head."""
    params = macs = activations = weights = peak = 0
    for segment, times in part.segments:
        one = _segment_totals(segment)
        params += times * one.params
        macs += times * one.macs
        activations += times * one.activations
        weights += times * one.weights
        peak = max(peak, one.peak)
    return Costs(params, macs, activations, BYTES_PER_ELEMENT * weights, BYTES_PER_ELEMENT * peak)


class _Totals(NamedTuple):
    """`peak`: elements alive while the hungriest operation runs."""

    params: int
    macs: int
    activations: int
    weights: int
    peak: int


@lru_cache(maxsize=SEGMENT_CACHE)
def _segment_totals(segment: Segment) -> _Totals:
    params = macs = activations = weights = peak = 0
    for kind, op_macs, op_params, op_weights, held, read, written in segment.sizes:
        params += op_params
        macs += op_macs
        weights += op_weights
        if kind in WEIGHTED_KINDS:
            activations += written
        peak = max(peak, read + written + held)
    return _Totals(params, macs, activations, weights, peak)
