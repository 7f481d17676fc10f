"""Operations -> the two numbers per kind that a latency model is linear in: bound time and count.

An operation takes an overhead plus the longest of three times: multiply-accumulates over the rate of
its kind, bytes of activations over the bandwidth of its kind, bytes of weights over the bandwidth of
memory (the roofline of one operation). `Rates` holds the expected rates of a machine; a fit scales
each kind's bound time and overhead, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mvsearch.costs import OP_KINDS, Op, Part, Segment

OpCost = tuple[str, int, int, int]
"""(kind, MACs, bytes of activations read and written, bytes of weights), bytes at float16."""

FP16_BYTES = 2


@dataclass(frozen=True, slots=True)
class KindRate:
    """What one kind of operation is limited by.

    Attributes:
        gmac_per_ms: multiply-accumulates, 10^9 per ms; infinite for kinds without any.
        gb_per_s: activations read and written, GB/s of float16 data.
        weight_gb_per_s: weights read, GB/s of float16 data.
        overhead_us: microseconds per operation.
    """

    gmac_per_ms: float
    gb_per_s: float
    weight_gb_per_s: float
    overhead_us: float

    def bound_ms(self, macs: int, num_bytes: int, weight_bytes: int) -> float:
        """The longest of the three times, without the overhead, in ms."""
        return max(
            macs / (self.gmac_per_ms * 1e9), num_bytes / (self.gb_per_s * 1e6), weight_bytes / (self.weight_gb_per_s * 1e6)
        )

    def scaled(self, slowdown: float, overhead: float) -> KindRate:
        """The same kind with its bound time and its overhead multiplied by these factors."""
        return KindRate(
            self.gmac_per_ms / slowdown, self.gb_per_s / slowdown, self.weight_gb_per_s / slowdown, self.overhead_us * overhead
        )


@dataclass(frozen=True)
class Rates:
    """Expected rates of a machine: the prior of a fit, or its result.

    Attributes:
        base_ms: time of a network without operations, in ms.
        kinds: rates by operation kind; every kind of `OP_KINDS` is there.
    """

    base_ms: float
    kinds: dict[str, KindRate]

    def features(self, ops: Iterable[OpCost]) -> list[float]:
        """`[base, bound time per kind ..., overhead per kind ...]` in ms, kinds in the order of `OP_KINDS`.

        Their sum is the time that these rates expect.
        """
        bound = dict.fromkeys(OP_KINDS, 0.0)
        overhead = dict.fromkeys(OP_KINDS, 0.0)
        for kind, macs, num_bytes, weight_bytes in ops:
            rate = self.kinds[kind]
            bound[kind] += rate.bound_ms(macs, num_bytes, weight_bytes)  # type: ignore[index]
            overhead[kind] += rate.overhead_us / 1e3  # type: ignore[index]
        return [self.base_ms, *bound.values(), *overhead.values()]

    def scaled(self, factors: list[float]) -> Rates:
        """The rates after a fit: `factors` in the order of `features`."""
        n = len(OP_KINDS)
        return Rates(
            self.base_ms * factors[0],
            {kind: self.kinds[kind].scaled(factors[1 + i], factors[1 + n + i]) for i, kind in enumerate(OP_KINDS)},
        )

    def part_ms(self, part: Part) -> float:
        """Time of a part's operations, in ms."""
        return sum([times * self.segment_ms(segment) for segment, times in part.segments])

    def segment_ms(self, segment: Segment) -> float:
        """Time of a segment's operations, in ms."""
        per_kind = self._per_kind
        total = 0.0
        for kind, macs, _, weights, _, read, written in segment.sizes:
            per_mac, per_element, per_weight, overhead = per_kind[kind]
            bound = (read + written) * per_element
            if macs and macs * per_mac > bound:
                bound = macs * per_mac
            if weights and weights * per_weight > bound:
                bound = weights * per_weight
            total += overhead + bound
        return total

    def op_ms(self, kind: str, macs: int, weights: int, elements: int) -> float:
        """Time of one operation, in ms.

        Args:
            kind: one of `OP_KINDS`.
            macs: its multiply-accumulates.
            weights: numbers that it stores.
            elements: of activations, read and written.
        """
        per_mac, per_element, per_weight, overhead = self._per_kind[kind]
        return overhead + max(elements * per_element, macs * per_mac, weights * per_weight)

    def kind_ms(self, part: Part) -> dict[str, float]:
        """Time of a part's operations by kind, in ms; together `part_ms`."""
        found: dict[str, float] = {}
        for segment, times in part.segments:
            for kind, macs, _, weights, _, read, written in segment.sizes:
                found[kind] = found.get(kind, 0.0) + times * self.op_ms(kind, macs, weights, read + written)
        return found

    @cached_property
    def _per_kind(self) -> dict[str, tuple[float, float, float, float]]:
        """Milliseconds per MAC, element, weight and operation by kind."""
        return {
            kind: (
                1e-9 / r.gmac_per_ms,
                FP16_BYTES * 1e-6 / r.gb_per_s,
                FP16_BYTES * 1e-6 / r.weight_gb_per_s,
                r.overhead_us / 1e3,
            )
            for kind, r in self.kinds.items()
        }


def op_cost(op: Op) -> OpCost:
    """What a latency model sees of one of our operations."""
    return op.kind, op.macs, op.bytes_moved, FP16_BYTES * op.weights
