"""Runs an ML program's operations with torch in float32, so that a package can be tried out without a Mac.

By Apple's reference of MIL's operations (apple.github.io/coremltools, converters.mil.ops), apart from any code of the
converter. What a chip does in float16 is not seen: only what the program says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ExportError
from mvsearch.export.coreml.program import Operation, Program

if TYPE_CHECKING:
    import numpy as np
    import torch

Arguments = dict[str, Any]


def run(program: Program, images: np.ndarray) -> dict[str, Any]:
    """What a program with one input puts out.

    Args:
        program: as `read_program` gives it.
        images: the input; for an image its pixels, (1, channels, H, W) from 0 to 255.

    Returns:
        By output: an array; for a classifier's, the label of the likeliest class, and probabilities by label.

    Raises:
        ExportError: an operation that is not known here.
    """
    import torch

    known = {name: _tensor(value) for name, value in program.constants.items()}
    known[program.description.input[0].name] = _tensor(images)
    with torch.no_grad():
        for op in program.operations:
            _step(op, known)
    outputs = {output.name: known[output.name] for output in program.description.output}
    return {name: value.numpy() if hasattr(value, "numpy") else value for name, value in outputs.items()}


def known_kinds() -> frozenset[str]:
    """Operations that can be run."""
    return frozenset(_OPERATIONS)


def _tensor(value: Any) -> Any:
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        # A blob is read-only memory, and float16 is computed in float32.
        return torch.from_numpy(value.astype(np.float32) if value.dtype.kind == "f" else value.copy())
    return value


def _step(op: Operation, known: dict[str, Any]) -> None:
    operation = _OPERATIONS.get(op.kind)
    if operation is None:
        raise ExportError(f"operation `{op.kind}` of the Core ML program cannot be run here")
    arguments: Arguments = dict(op.constants)
    for name, values in op.names.items():
        read = [known[v] for v in values]
        arguments[name] = read if name == "values" else read[0]
    written = operation(arguments)
    for name, value in zip(op.outputs, written if isinstance(written, tuple) else (written,), strict=True):
        known[name] = value


def _ints(value: Any) -> list[int]:
    return [int(v) for v in value]


def _pads(a: Arguments, kernel: list[int]) -> list[int]:
    """Of both sides of height and width, in torch's order: left, right, top, bottom."""
    if a.get("pad_type", "valid") == "valid":
        return [0, 0, 0, 0]
    if a["pad_type"] != "custom":
        raise ExportError(f"padding `{a['pad_type']}` of the Core ML program cannot be run here")
    top, bottom, left, right = _ints(a["pad"])
    return [left, right, top, bottom]


def _conv(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    weight = a["weight"]
    x = f.pad(a["x"], _pads(a, list(weight.shape[2:])))
    stride, dilation = _ints(a.get("strides", (1, 1))), _ints(a.get("dilations", (1, 1)))
    return f.conv2d(x, weight, a.get("bias"), stride, 0, dilation, int(a.get("groups", 1)))


def _avg_pool(a: Arguments) -> torch.Tensor:
    import torch
    from torch.nn import functional as f

    kernel = _ints(a["kernel_sizes"])
    stride, pads = _ints(a.get("strides", (1, 1))), _pads(a, kernel)
    mean = f.avg_pool2d(f.pad(a["x"], pads), kernel, stride)
    if a.get("exclude_padding_from_average", False):
        mean = mean / f.avg_pool2d(f.pad(torch.ones_like(a["x"]), pads), kernel, stride)
    return mean


def _matmul(a: Arguments) -> torch.Tensor:
    x = a["x"].transpose(-1, -2) if a.get("transpose_x", False) else a["x"]
    y = a["y"].transpose(-1, -2) if a.get("transpose_y", False) else a["y"]
    product: torch.Tensor = x @ y
    return product


def _linear(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    return f.linear(a["x"], a["weight"], a.get("bias"))


def _einsum(a: Arguments) -> torch.Tensor:
    import torch

    return torch.einsum(a["equation"], *a["values"])


def _layer_norm(a: Arguments) -> torch.Tensor:
    x, axes = a["x"], _ints(a["axes"])
    centred = x - x.mean(axes, keepdim=True)
    y = centred / (centred.square().mean(axes, keepdim=True) + a.get("epsilon", 1e-5)).sqrt()
    shape = [x.shape[i] if i in axes or i - x.ndim in axes else 1 for i in range(x.ndim)]
    y = y * a["gamma"].reshape(shape) if "gamma" in a else y
    scaled: torch.Tensor = y + a["beta"].reshape(shape) if "beta" in a else y
    return scaled


def _batch_norm(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    return f.batch_norm(a["x"], a["mean"], a["variance"], a.get("gamma"), a.get("beta"), eps=a.get("epsilon", 1e-5))


def _gelu(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    return f.gelu(a["x"], approximate="none" if a.get("mode", "EXACT") == "EXACT" else "tanh")


def _reshape(a: Arguments) -> torch.Tensor:
    shape = [a["x"].shape[i] if n == 0 else n for i, n in enumerate(_ints(a["shape"]))]
    reshaped: torch.Tensor = a["x"].reshape(shape)
    return reshaped


def _expand_dims(a: Arguments) -> torch.Tensor:
    x: torch.Tensor = a["x"]
    rank = x.ndim + len(a["axes"])
    for axis in sorted(n % rank for n in _ints(a["axes"])):
        x = x.unsqueeze(axis)
    return x


def _split(a: Arguments) -> tuple[torch.Tensor, ...]:
    x, axis = a["x"], int(a["axis"])
    sizes = _ints(a["split_sizes"]) if "split_sizes" in a else x.shape[axis] // int(a["num_splits"])
    return tuple(x.split(sizes, axis))


def _upsample(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    height, width = (
        int(side * a[f"scale_factor_{name}"] + 1e-3) for side, name in zip(a["x"].shape[2:], ("height", "width"), strict=True)
    )
    return f.interpolate(a["x"], (height, width), mode="bilinear", align_corners=bool(a.get("align_corners", True)))


def _resize(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    # Of MIL's five ways to sample, the two that torch has.
    corners = {"STRICT_ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
    if a["sampling_mode"] not in corners:
        raise ExportError(f"sampling mode `{a['sampling_mode']}` of the Core ML program cannot be run here")
    size = (int(a["target_size_height"]), int(a["target_size_width"]))
    return f.interpolate(a["x"], size, mode="bilinear", align_corners=corners[a["sampling_mode"]])


def _concat(a: Arguments) -> torch.Tensor:
    import torch

    if a.get("interleave", False):
        raise ExportError("interleaved `concat` of the Core ML program cannot be run here")
    return torch.cat(a["values"], int(a["axis"]))


def _pixel_shuffle(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    return f.pixel_shuffle(a["x"], int(a["upscale_factor"]))


def _pixel_unshuffle(a: Arguments) -> torch.Tensor:
    from torch.nn import functional as f

    return f.pixel_unshuffle(a["x"], int(a["downscale_factor"]))


def _classify(a: Arguments) -> tuple[str, dict[str, float]]:
    labels: list[str] = a["classes"]
    values = [float(p) for p in a["probabilities"].flatten()]
    by_label = dict(zip(labels, values, strict=True))
    return max(by_label, key=by_label.__getitem__), by_label


_OPERATIONS: Mapping[str, Callable[[Arguments], Any]] = {
    "add": lambda a: a["x"] + a["y"],
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "cast": lambda a: a["x"],
    "classify": _classify,
    "clip": lambda a: a["x"].clamp(a["alpha"], a["beta"]),
    "concat": _concat,
    "conv": _conv,
    "einsum": _einsum,
    "expand_dims": _expand_dims,
    "gelu": _gelu,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "mul": lambda a: a["x"] * a["y"],
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "real_div": lambda a: a["x"] / a["y"],
    "reduce_mean": lambda a: a["x"].mean(_ints(a["axes"]), keepdim=bool(a.get("keep_dims", False))),
    "reduce_sum": lambda a: a["x"].sum(_ints(a["axes"]), keepdim=bool(a.get("keep_dims", False))),
    "relu": lambda a: a["x"].clamp(min=0),
    "relu6": lambda a: a["x"].clamp(0, 6),
    "reshape": _reshape,
    "resize_bilinear": _resize,
    "rsqrt": lambda a: (a["x"] + a.get("epsilon", 1e-12)).rsqrt(),
    "sigmoid_hard": lambda a: (a["alpha"] * a["x"] + a["beta"]).clamp(0, 1),
    "silu": lambda a: a["x"] * a["x"].sigmoid(),
    "softmax": lambda a: a["x"].softmax(int(a["axis"])),
    "split": _split,
    "sqrt": lambda a: a["x"].sqrt(),
    "square": lambda a: a["x"].square(),
    "squeeze": lambda a: a["x"].squeeze(tuple(_ints(a["axes"]))),
    "sub": lambda a: a["x"] - a["y"],
    "thresholded_relu": lambda a: a["x"] * (a["x"] >= a["alpha"]),
    "tile": lambda a: a["x"].repeat(_ints(a["reps"])),
    "transpose": lambda a: a["x"].permute(_ints(a["perm"])),
    "upsample_bilinear": _upsample,
}
