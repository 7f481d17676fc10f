"""What a built network costs by fvcore's count: the independent witness of the closed form."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from mvsearch.costs import Resolution, count, image_size
from mvsearch.errors import MvsearchError
from mvsearch.spec.arch import ArchSpec

MAC_OPERATORS = frozenset({"conv", "linear", "addmm", "matmul", "bmm"})
"""fvcore's names of the operators that multiply and accumulate; it counts one per multiply-accumulate."""

WITHOUT_MACS = frozenset(
    f"aten::{name}"
    for name in (
        "add",
        "mul",
        "div",
        "sum",
        "mean",
        "sqrt",
        "softmax",
        "silu",
        "gelu",
        "relu",
        "relu6",
        "hardswish",
        "hardtanh",
        "avg_pool2d",
        "sub",
        "sigmoid",
        "expand_as",
    )
)
"""Operators that fvcore leaves out and that hold no multiply-accumulates."""


class UncountedOperatorError(MvsearchError):
    """The network holds an operator that may multiply and accumulate and that the counter leaves out."""


@dataclass(frozen=True, slots=True)
class BuiltCosts:
    """fvcore's count of one network at batch size 1.

    Attributes:
        params: learnable numbers.
        macs: multiply-accumulates of convolutions, linear layers and matrix products.
        extra: (operator, flops) that fvcore counts besides (norms, pooling, resize); not in `macs`.
        uncounted: (operator, times) that fvcore leaves out; none of them has multiply-accumulates.
    """

    params: int
    macs: int
    extra: tuple[tuple[str, int], ...]
    uncounted: tuple[tuple[str, int], ...]


def count_built(model: nn.Module, resolution: Resolution) -> BuiltCosts:
    """Count parameters and operations of a network as built.

    Args:
        model: takes (B, in_channels, H, W); its mode, weights and statistics stay as they are.
        resolution: side of a square image, or (height, width), in pixels.

    Raises:
        UncountedOperatorError: an operator that fvcore leaves out and that is not known to be free
            of multiply-accumulates, e.g. the fused attention kernel.
    """
    return _run_and_count(model, resolution)[0]


def _run_and_count(model: nn.Module, resolution: Resolution) -> tuple[BuiltCosts, torch.Tensor]:
    """The count and the output; fvcore traces one real run, and that run is all there is."""
    outputs: list[torch.Tensor] = []
    hook = model.register_forward_hook(lambda module, images, output: outputs.append(output.detach()))
    try:
        with _evaluating(model), _quiet():
            from fvcore.nn import FlopCountAnalysis

            analysis = FlopCountAnalysis(model, _images(model, resolution))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
            counted = {name: int(number) for name, number in analysis.by_operator().items()}
            uncounted = dict(analysis.unsupported_ops())
    finally:
        hook.remove()
    unknown = sorted(set(uncounted) - WITHOUT_MACS)
    if unknown:
        raise UncountedOperatorError(
            f"fvcore does not count `{', '.join(unknown)}`",
            "write it with operators that are counted, or list it as free of multiply-accumulates",
        )
    costs = BuiltCosts(
        params=sum(p.numel() for p in model.parameters()),
        macs=sum(n for name, n in counted.items() if name in MAC_OPERATORS),
        extra=tuple(sorted((name, n) for name, n in counted.items() if name not in MAC_OPERATORS)),
        uncounted=tuple(sorted(uncounted.items())),
    )
    return costs, outputs[0]


def verify(spec: ArchSpec, resolution: Resolution, model: nn.Module) -> str | None:
    """Run a built network once and compare its count with the closed form, as integers.

    Returns:
        What does not agree, in one line; None if everything does.
    """
    closed = count(spec, resolution)
    built, logits = _run_and_count(model, resolution)
    for name, expected, found in (("params", closed.params, built.params), ("macs", closed.macs, built.macs)):
        if expected != found:
            return f"{name}: closed form `{expected}`, built network `{found}`"
    if logits.shape != (1, spec.num_classes):
        return f"output shape `{tuple(logits.shape)}` instead of `{(1, spec.num_classes)}`"
    if not bool(torch.isfinite(logits).all()):
        return "output that is not finite"
    return None


def _images(model: nn.Module, resolution: Resolution) -> torch.Tensor:
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, first.in_channels, *image_size(resolution), generator=generator)
    return images.to(first.weight.device, first.weight.dtype)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Without fvcore's remarks on operators that it leaves out (they are returned) and torch's on its tracer's age."""
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
