"""The operations of a converted Core ML program, in the terms of `mvsearch.costs`."""

from __future__ import annotations

import tempfile
from math import prod
from pathlib import Path
from typing import Any

from torch import nn

from mvsearch.costs import Resolution, lower
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.coreml.convert import convert

Shape = tuple[int, ...]
Row = tuple[str, int, tuple[Shape, ...], tuple[Shape, ...]]
"""Kind, MACs, shapes of the activations read, shapes of those written."""

_KINDS = {
    "linear": "linear",
    "matmul": "matmul",
    "softmax": "softmax",
    "layer_norm": "layer_norm",
    **dict.fromkeys(("reduce_mean", "reduce_sum"), "reduce"),
    "silu": "silu",
    "gelu": "gelu",
    **dict.fromkeys(("relu", "relu6", "clip", "thresholded_relu"), "relu"),
    "sigmoid_hard": "sigmoid",
    **dict.fromkeys(("add", "mul", "sub", "square", "sqrt", "real_div"), "elementwise"),
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), "reshape"),
    "transpose": "transpose",
    **dict.fromkeys(("split", "tile", "slice_by_index"), "slice"),
    "concat": "concat",
    **dict.fromkeys(("upsample_bilinear", "resize_bilinear"), "resize"),
}


def lowered_rows(spec: ArchSpec, resolution: Resolution) -> list[Row]:
    """What the closed form says."""
    return [(op.kind, op.macs, op.inputs, op.outputs) for part in lower(spec, resolution) for op in part.ops]


def converted_rows(spec: ArchSpec, model: nn.Module, resolution: Resolution) -> list[Row]:
    """What the exporter makes of the built network, constants left out."""
    import coremltools

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.mlpackage"
        convert(model, resolution, path, channels=spec.in_channels)
        function = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec().mlProgram.functions["main"]
    shapes = {value.name: _shape(value.type) for value in function.inputs}
    constants: dict[str, Shape] = {}
    rows = []
    for op in function.block_specializations[function.opset].operations:
        found = constants if op.type == "const" else shapes
        found.update({value.name: _shape(value.type) for value in op.outputs})
        if op.type != "const":
            rows.append(_row(op, shapes, constants))
    return rows


def _shape(value_type: Any) -> Shape:
    return tuple(d.constant.size for d in value_type.tensorType.dimensions)


def _row(op: Any, shapes: dict[str, Shape], constants: dict[str, Shape]) -> Row:
    # Arguments are ordered by their role: x before y, data before the rest.
    names = {role: [a.name for a in argument.arguments] for role, argument in sorted(op.inputs.items())}
    inputs = tuple(shapes[name] for group in names.values() for name in group if name in shapes)
    outputs = tuple(_shape(value.type) for value in op.outputs)
    if op.type == "conv":
        weight = constants[names["weight"][0]]
        groups = inputs[0][1] // weight[1]
        kind = "depthwise" if groups > 1 else "pointwise" if weight[2:] == (1, 1) else "conv"
        return kind, prod(weight) * prod(outputs[0][2:]), inputs, outputs
    kind, macs = _KINDS.get(op.type, op.type), 0
    if op.type == "linear":
        macs = prod(inputs[0]) * constants[names["weight"][0]][0]
    elif op.type == "matmul":
        macs = prod(outputs[0]) * inputs[0][-1]
    return kind, macs, inputs, outputs
