"""Is an entry what it was made from? Loaded back, run, and compared, its exports too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.costs import OpKind, count, lower
from mvsearch.errors import ExportError
from mvsearch.export import entry
from mvsearch.export.onnx import run_onnx
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.targets.coreml.convert import ConvertedProgram, coreml_available, read_package
from mvsearch.targets.host.onnx_runtime import missing_packages

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_RELATIVE_DIFFERENCE = 1e-5
"""Between two runs of one network with the same weights: memory layout may change the order of a sum."""
MAX_ONNX_DIFFERENCE = 1e-4
"""Between torch and ONNX Runtime in float32, relative to the largest logit."""
_IMAGES, _SEED = 2, 20211005

# What coremltools keeps one to one; reshapes and element-wise operations it merges and splits as it likes.
_MIL_KINDS: dict[str, tuple[OpKind, ...]] = {
    "conv": ("conv", "pointwise", "depthwise"),
    "linear": ("linear",),
    "matmul": ("matmul",),
    "softmax": ("softmax",),
    "layer_norm": ("layer_norm",),
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and how far apart it is.

    Attributes:
        params: learnable numbers of the reloaded network, equal to the original's.
        max_abs_difference: largest difference of a logit between the original and the reloaded network; 0 expected.
        onnx_difference: largest difference between the original and ONNX Runtime, relative to the largest
            logit; None if there is no ONNX file or no ONNX Runtime.
        coreml: what the Core ML package holds; None if there is none, or no coremltools.
        notes: what could not be checked here, and why.
    """

    params: int
    max_abs_difference: float
    onnx_difference: float | None
    coreml: ConvertedProgram | None
    notes: tuple[str, ...]


def compare(folder: Path, model: nn.Module, resolution: int) -> Verification:
    """See `mvsearch.export.entry.verify_entry`."""
    import torch

    config = entry.read_config(folder)
    spec = from_json(config["arch"])
    shape = config["input"]["shape"]
    if shape[1:] != [resolution, resolution]:
        raise ExportError(f"`{folder}` is for {shape[1]} x {shape[2]} pixels, not for `{resolution}`")
    reloaded = entry.load(folder)
    params = _same_weights(model, reloaded, config["params"])
    images = torch.rand(_IMAGES, *shape, generator=torch.Generator().manual_seed(_SEED))
    logits = _logits(model, images)
    difference, relative = _difference(logits, _logits(reloaded, images))
    # "Not at most" instead of "more than", so that NaN does not pass.
    if not relative <= MAX_RELATIVE_DIFFERENCE:
        raise ExportError(f"the reloaded network's outputs differ by {relative:.2g} of the largest logit")
    notes: list[str] = []
    return Verification(
        params=params,
        max_abs_difference=difference,
        onnx_difference=_check_onnx(folder / entry.ONNX, images, logits, notes),
        coreml=_check_coreml(folder / entry.COREML, spec, resolution, reloaded, notes),
        notes=tuple(notes),
    )


def _same_weights(model: nn.Module, reloaded: nn.Module, recorded: int) -> int:
    import torch

    original, loaded = model.state_dict(), reloaded.state_dict()
    for name in sorted(original.keys() | loaded.keys()):
        if name not in original or name not in loaded or not torch.equal(original[name].cpu(), loaded[name]):
            raise ExportError(f"`{name}` of the reloaded network is not the original's")
    params = sum(p.numel() for p in reloaded.parameters())
    if params != recorded:
        raise ExportError(f"the reloaded network has {params:,} parameters, its configuration says {recorded:,}")
    return params


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            logits: Tensor = model(images.to(next(model.parameters()).device)).cpu()
            return logits
    finally:
        model.train(was_training)


def _difference(expected: Tensor, found: Tensor) -> tuple[float, float]:
    """Largest difference, as it is and relative to the largest expected value."""
    if expected.shape != found.shape:
        raise ExportError(f"outputs of shape `{tuple(found.shape)}` instead of `{tuple(expected.shape)}`")
    largest = (expected - found).abs().max().item()
    scale = expected.abs().max().item()
    return largest, largest / scale if scale else largest


def _check_onnx(path: Path, images: Tensor, logits: Tensor, notes: list[str]) -> float | None:
    import torch

    if not path.exists():
        return None
    missing = missing_packages()
    if missing:
        notes.append(f"the ONNX file was not run: {', '.join(missing)} not installed")
        return None
    relative = _difference(logits, torch.from_numpy(run_onnx(path, images.numpy())))[1]
    if not relative <= MAX_ONNX_DIFFERENCE:
        raise ExportError(f"`{path.name}` gives outputs that differ by {relative:.2g} of the largest logit")
    return relative


def _check_coreml(
    path: Path, spec: ArchSpec, resolution: int, reloaded: nn.Module, notes: list[str]
) -> ConvertedProgram | None:
    from torch import nn

    if not path.exists():
        return None
    available, reason = coreml_available()
    if not available:
        notes.append(f"the Core ML package was not read: {reason}")
        return None
    program = read_package(path)
    shapes = (1, spec.in_channels, resolution, resolution), (1, spec.num_classes)
    if (program.input_shape, program.output_shape) != shapes:
        raise ExportError(f"`{path.name}` maps {program.input_shape} to {program.output_shape}, not {shapes[0]} to {shapes[1]}")
    ops = [op.kind for part in lower(spec, resolution) for op in part.ops]
    for kind, kinds in _MIL_KINDS.items():
        expected = sum(ops.count(k) for k in kinds)
        if program.ops.get(kind, 0) != expected:
            raise ExportError(f"`{path.name}` has {program.ops.get(kind, 0)} operations `{kind}`, the network has {expected}")
    # Equal constants are stored once and neutral ones not at all: with initial weights, every bias and norm.
    # Kernels and matrices are all different, so that each must be there.
    kernels = 2 * sum(p.numel() for p in reloaded.parameters() if p.dim() > 1)
    # Trained group norms become batch norms, with a mean of 0 and a variance of 1 beside scale and shift.
    norms = (m for m in reloaded.modules() if isinstance(m, nn.GroupNorm))
    most = count(spec, resolution).weight_bytes + 2 * sum(p.numel() for m in norms for p in m.parameters())
    if not kernels <= program.weight_bytes <= most:
        raise ExportError(
            f"`{path.name}` holds {program.weight_bytes:,} bytes of weights; {kernels:,} to {most:,} are expected"
        )
    notes.append("the Core ML package was read and its operations counted; running it needs macOS or iOS")
    return program
