"""A Core ML package read back from its files: operations, constants, inputs and outputs.

Constants are read from the package's own weight file, not by coremltools, which wrote it.
Formats: MIL.proto and Model.proto in coremltools, mlmodel/format; MILBlob/Blob/StorageFormat.hpp in coremltools, mlmodel/src.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ExportError

if TYPE_CHECKING:
    import numpy as np

SENTINEL = 0xDEADBEEF
# Numbers of a blob's data type (BlobDataType) and of a tensor's (MIL.proto's DataType), with numpy's names.
_BLOBS = {1: "float16", 2: "float32", 3: "uint8", 4: "int8", 6: "int16", 7: "uint16"}
_TENSORS = {
    1: "bool", 2: "str", 10: "float16", 11: "float32", 12: "float64",
    21: "int8", 22: "int16", 23: "int32", 24: "int64", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64",
}  # fmt: skip
DEQUANTIZE = "constexpr_affine_dequantize"


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: as MIL names it.
        names: of the values that it reads, by argument.
        outputs: names of the values that it writes.
        constants: arguments that stand in the operation itself.
    """

    kind: str
    names: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]
    constants: Mapping[str, Any]


@dataclass(frozen=True)
class Program:
    """What a package runs.

    Attributes:
        constants: by name: arrays, numbers, texts. Quantised weights are there as the floats that they stand for.
        steps: of the quantised ones, the size of a step by channel.
        operations: all others, in order.
        description: the package's own (`ModelDescription` of Model.proto).
        version: of the specification; `TARGETS` has the oldest system for it.
    """

    constants: Mapping[str, Any]
    steps: Mapping[str, np.ndarray]
    operations: tuple[Operation, ...]
    description: Any
    version: int


def plain_name(name: str) -> str:
    """A constant's name without what conversion to float16 and quantisation append."""
    return name.removesuffix("_quantized").removesuffix("_to_fp16")


def read_program(path: Path) -> Program:
    """Read a package.

    Raises:
        ExportError: it is no package of one ML program, or is damaged.
    """
    from mvsearch.targets.coreml.convert import quiet_coremltools

    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        model = path / "Data" / manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        with quiet_coremltools() as (ct, _):
            spec = ct.proto.Model_pb2.Model.FromString(model.read_bytes())
        function = spec.mlProgram.functions["main"]
        block = function.block_specializations[function.opset]
        weights = model.parent / "weights" / "weight.bin"
        blob = weights.read_bytes() if weights.is_file() else b""
        return _read(block, blob, spec)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ExportError(f"`{path.name}` cannot be read back: {type(error).__name__}: {error}") from error
    except Exception as error:
        # protobuf's own errors have no common class outside of it.
        if type(error).__module__.startswith("google.protobuf"):
            raise ExportError(f"`{path.name}` cannot be read back: {error}") from error
        raise


def _read(block: Any, blob: bytes, spec: Any) -> Program:
    constants: dict[str, Any] = {}
    steps: dict[str, np.ndarray] = {}
    operations = []
    for op in block.operations:
        attributes = {name: _value(v, blob) for name, v in op.attributes.items() if name != "name"}
        outputs = tuple(value.name for value in op.outputs)
        if op.type == "const":
            constants[outputs[0]] = attributes["val"]
        elif op.type == DEQUANTIZE:
            constants[outputs[0]], steps[plain_name(outputs[0])] = _dequantized(**attributes)
        else:
            inline = {n: _value(a.arguments[0].value, blob) for n, a in op.inputs.items() if _is_inline(a)}
            names = {n: tuple(b.name for b in a.arguments) for n, a in op.inputs.items() if n not in inline}
            operations.append(Operation(op.type, names, outputs, {**attributes, **inline}))
    return Program(constants, steps, tuple(operations), spec.description, spec.specificationVersion)


def _is_inline(argument: Any) -> bool:
    return len(argument.arguments) == 1 and argument.arguments[0].WhichOneof("binding") == "value"


def _dequantized(quantized_data: Any, scale: Any, zero_point: Any, axis: Any) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    wide = np.asarray(scale, np.float32).reshape(shape if np.ndim(scale) else [1] * quantized_data.ndim)
    zero = np.asarray(zero_point, np.float32).reshape(shape if np.ndim(zero_point) else [1] * quantized_data.ndim)
    return (quantized_data.astype(np.float32) - zero) * wide, wide


def _value(value: Any, blob: bytes) -> Any:
    import numpy as np

    tensor = value.type.tensorType
    kind = _TENSORS.get(tensor.dataType, "")
    shape = tuple(d.constant.size for d in tensor.dimensions)
    if value.WhichOneof("value") == "blobFileValue":
        return _from_blob(blob, value.blobFileValue.offset).reshape(shape)
    immediate = value.immediateValue
    if immediate.WhichOneof("value") != "tensor":
        return [_value(v, blob) for v in immediate.list.values]
    found = immediate.tensor
    which = found.WhichOneof("value")
    if which == "bytes":
        flat: Any = np.frombuffer(found.bytes.values, kind)
    else:
        flat = list(getattr(found, which).values)
    if kind == "str":
        texts = [t.decode() if isinstance(t, bytes) else t for t in flat]
        return texts if shape else texts[0]
    array = np.asarray(flat, kind or None)
    return array.reshape(shape) if shape else array.reshape(-1)[0].item()


def _from_blob(blob: bytes, offset: int) -> np.ndarray:
    import numpy as np

    sentinel, kind, size, start = struct.unpack_from("<IIQQ", blob, offset)
    if sentinel != SENTINEL or kind not in _BLOBS or start + size > len(blob):
        raise ValueError(f"no weights at {offset} of {len(blob)} bytes")
    return np.frombuffer(blob, _BLOBS[kind], size // np.dtype(_BLOBS[kind]).itemsize, start)
