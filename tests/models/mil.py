"""The operations of a converted Core ML program, in the terms of `mvsearch.costs`."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from mvsearch.costs import Part, Resolution, lower
from mvsearch.spec.arch import ArchSpec, MobileViTV2Stage
from mvsearch.targets.coreml.convert import convert

Shape = tuple[int, ...]
Lowering = Callable[[ArchSpec, Resolution], tuple[Part, ...]]
FLOAT_BYTES = {10: 2, 11: 4, 12: 8}
"""Size of the program's float types (`DataType` of MIL.proto)."""


class Row(NamedTuple):
    """One operation: shapes of the activations read and written, their bytes, and bytes of constant tensors read.

    Scalars (an epsilon, a factor) are no weights.
    """

    kind: str
    macs: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    num_bytes: int
    weight_bytes: int


class Value(NamedTuple):
    """Shape and size in bytes of a value of the program; `is_set` of a constant that is a switch."""

    shape: Shape
    num_bytes: int
    is_set: bool = False


_KINDS = {
    "linear": "linear",
    **dict.fromkeys(("matmul", "einsum"), "matmul"),
    "softmax": "softmax",
    "layer_norm": "layer_norm",
    **dict.fromkeys(("reduce_mean", "reduce_sum"), "reduce"),
    "silu": "silu",
    "gelu": "gelu",
    **dict.fromkeys(("relu", "relu6", "clip", "thresholded_relu"), "relu"),
    "sigmoid_hard": "sigmoid",
    **dict.fromkeys(("add", "mul", "sub", "square", "sqrt", "real_div"), "elementwise"),
    "avg_pool": "pool",
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), "reshape"),
    **dict.fromkeys(("transpose", "pixel_shuffle", "pixel_unshuffle"), "transpose"),
    **dict.fromkeys(("split", "tile", "slice_by_index"), "slice"),
    "concat": "concat",
    **dict.fromkeys(("upsample_bilinear", "resize_bilinear"), "resize"),
}


def lowered_rows(spec: ArchSpec, resolution: Resolution, lowering: Lowering = lower) -> list[Row]:
    """What the closed form says, of the plain graph unless another lowering is given.

    GroupNorm's scale and shift are left out of the weights: while they are 1 and 0 the converter drops them.
    """
    has_group_norms = any(isinstance(stage, MobileViTV2Stage) for stage in spec.stages)
    free = "elementwise" if has_group_norms else ""
    return [
        Row(op.kind, op.macs, op.inputs, op.outputs, op.bytes_moved, 0 if op.kind == free else 2 * op.weights)
        for part in lowering(spec, resolution)
        for op in part.ops
    ]


def totals(rows: Iterable[Row]) -> dict[str, tuple[int, int, int, int]]:
    """Operations, MACs, bytes of activations and bytes of weights by kind, and of all kinds together."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        for kind in (row.kind, "all"):
            for i, value in enumerate((1, row.macs, row.num_bytes, row.weight_bytes)):
                table[kind][i] += value
    return {kind: (v[0], v[1], v[2], v[3]) for kind, v in table.items()}


def converted_rows(spec: ArchSpec, model: nn.Module, resolution: Resolution) -> list[Row]:
    """What the exporter makes of the built network, constants left out."""
    import coremltools

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.mlpackage"
        convert(model, resolution, path, channels=spec.in_channels)
        function = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec().mlProgram.functions["main"]
    activations = {value.name: _value(value.type) for value in function.inputs}
    constants: dict[str, Value] = {}
    rows = []
    for op in function.block_specializations[function.opset].operations:
        found = constants if op.type == "const" else activations
        switched = op.type == "const" and any(op.attributes["val"].immediateValue.tensor.bools.values)
        found.update({value.name: _value(value.type)._replace(is_set=switched) for value in op.outputs})
        if op.type != "const":
            rows.append(_row(op, activations, constants))
    return rows


def _value(value_type: Any) -> Value:
    tensor = value_type.tensorType
    shape = tuple(d.constant.size for d in tensor.dimensions)
    return Value(shape, prod(shape) * FLOAT_BYTES.get(tensor.dataType, 0))


def _row(op: Any, activations: dict[str, Value], constants: dict[str, Value]) -> Row:
    # Arguments are ordered by their role: x before y, data before the rest.
    names = {role: [a.name for a in argument.arguments] for role, argument in sorted(op.inputs.items())}
    used = [name for group in names.values() for name in group]
    read = [activations[name] for name in used if name in activations]
    written = [_value(value.type) for value in op.outputs]
    weights = sum(constants[name].num_bytes for name in used if name in constants and constants[name].shape)
    inputs, outputs = tuple(v.shape for v in read), tuple(v.shape for v in written)
    kind, macs = _KINDS.get(op.type, op.type), 0
    if op.type == "conv":
        weight = constants[names["weight"][0]].shape
        groups = inputs[0][1] // weight[1]
        kind = "depthwise" if groups > 1 else "pointwise" if weight[2:] == (1, 1) else "conv"
        macs = prod(weight) * prod(outputs[0][2:])
    elif op.type == "linear":
        macs = prod(inputs[0]) * constants[names["weight"][0]].shape[0]
    elif op.type == "einsum":
        # nchw,nwhu->nchu, the only one there is.
        macs = prod(outputs[0]) * inputs[0][-1]
    elif op.type == "matmul":
        turned = "transpose_x" in names and constants[names["transpose_x"][0]].is_set
        macs = prod(outputs[0]) * inputs[0][-2 if turned else -1]
    return Row(kind, macs, inputs, outputs, sum(v.num_bytes for v in (*read, *written)), weights)
