"""`Op`: one operation of a network, in the terms of the program that Core ML receives.

Batch norm is folded into its convolution, as every runtime does; its parameters still count as
parameters of the network. Parameters, MACs, activations, memory and latency features all come
from one list of these.
"""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple

Shape = tuple[int, ...]

OpKind = Literal[
    "conv", "pointwise", "depthwise", "linear", "matmul", "softmax", "layer_norm", "reduce",
    "silu", "relu", "gelu", "sigmoid", "elementwise", "reshape", "transpose", "slice", "concat",
    "pool", "resize",
]  # fmt: skip
OP_KINDS: tuple[OpKind, ...] = (
    "conv", "pointwise", "depthwise", "linear", "matmul", "softmax", "layer_norm", "reduce",
    "silu", "relu", "gelu", "sigmoid", "elementwise", "reshape", "transpose", "slice", "concat",
    "pool", "resize",
)  # fmt: skip
WEIGHTED_KINDS = frozenset({"conv", "pointwise", "depthwise", "linear"})
BYTES_PER_ELEMENT = 2
"""float16, the precision of Core ML's neural-network programs on the Neural Engine."""


class Op(NamedTuple):
    """One operation: a named tuple, since networks have hundreds and searches lower thousands of networks.

    Attributes:
        kind: one of `OP_KINDS`.
        name: path of the module it stands for, e.g. `stages.2.1.transformer.*.attn.qkv`; `*` is each of the alike layers.
        inputs: shapes of the activations read (weights are not inputs).
        outputs: shapes of the activations written.
        macs: multiply-accumulates of convolutions, linear layers and matrix products; 0 for the rest.
        params: learnable numbers of the built network, batch norm's weight and bias included.
        weights: numbers that are stored once batch norm is folded.
        held: elements of other live tensors (skip connections) while this operation runs.
    """

    kind: OpKind
    name: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    macs: int = 0
    params: int = 0
    weights: int = 0
    held: int = 0

    @property
    def elements_in(self) -> int:
        """Elements of all activations read."""
        return sum(map(prod, self.inputs))

    @property
    def elements_out(self) -> int:
        """Elements of all activations written."""
        return sum(map(prod, self.outputs))

    @property
    def bytes_moved(self) -> int:
        """Bytes of activations read and written at float16."""
        return BYTES_PER_ELEMENT * (self.elements_in + self.elements_out)
