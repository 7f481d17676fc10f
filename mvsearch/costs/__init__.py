"""Closed-form costs: `ArchSpec` -> operations -> parameters, MACs, activations, bytes. No torch."""

from mvsearch.costs.count import Costs, count, part_costs, total
from mvsearch.costs.lowering import PART_CACHE, Part, Resolution, image_size, lower
from mvsearch.costs.op import OP_KINDS, Op, OpKind, Shape
from mvsearch.costs.trace import SEGMENT_CACHE, Segment

__all__ = [
    "OP_KINDS",
    "PART_CACHE",
    "SEGMENT_CACHE",
    "Costs",
    "Op",
    "OpKind",
    "Part",
    "Resolution",
    "Segment",
    "Shape",
    "count",
    "image_size",
    "lower",
    "part_costs",
    "total",
]
