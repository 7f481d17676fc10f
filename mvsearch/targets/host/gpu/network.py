"""The torch module as it is timed: eval mode, batch norm folded, cast, laid out; and one inference as a function.

Nothing here needs a GPU. Weights are the initial ones of seed 0 and the image is random of seed 0: latency does not
depend on them, but a GPU draws less power, and so clocks higher, on zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvsearch.errors import ConversionError
from mvsearch.spec.arch import ArchSpec
from mvsearch.targets.host.gpu.device import Run
from mvsearch.targets.host.gpu.options import GpuOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SEED = 0


def prepared_network(spec: ArchSpec, options: GpuOptions) -> nn.Module:
    """The network on the CPU, in eval mode, folded, cast and laid out as the options say."""
    import torch

    from mvsearch.models import build

    network = build(spec, seed=SEED).eval().requires_grad_(False)
    if options.fold:
        fold_batch_norm(network)
    network.to(dtype=getattr(torch, options.precision))
    return network.to(memory_format=_memory_format(options))  # type: ignore[call-overload,no-any-return]


def random_images(spec: ArchSpec, resolution: int, options: GpuOptions) -> Tensor:
    """(batch, channels, resolution, resolution), normal, the same for every call."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(options.batch, spec.in_channels, resolution, resolution, generator=generator)
    return images.to(dtype=getattr(torch, options.precision)).contiguous(memory_format=_memory_format(options))


def fold_batch_norm(network: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place.

    Args:
        network: in eval mode.

    Raises:
        ConversionError: a batch norm is left over that follows no convolution.
    """
    from torch import nn

    from mvsearch.models import folding

    folding.fold_batch_norm(network)
    left = next((name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)), None)
    if left is not None:
        raise ConversionError(
            f"batch norm `{left}` follows no convolution that it could be folded into", "measure with `fold=no`",
            op="batch_norm", location=left,
        )  # fmt: skip


def inference(network: nn.Module, images: Tensor, options: GpuOptions, backend: str = "inductor") -> Run:
    """One inference as a function of nothing.

    Eager launches run in inference mode, which does the least on the host; graphs and compiled code under `no_grad`,
    since inference tensors must not outlive what was captured; MobileViTv3's script has `no_grad`.

    Args:
        network: on the images' device.
        images: of `random_images`.
        options: how to run it.
        backend: of `torch.compile`, with `compile=yes`.
    """
    import torch

    module = network
    if options.compile:
        # Networks share the code of their blocks: what was compiled for others would count against the limit of
        # variants, beyond which torch goes back to eager without a word.
        torch._dynamo.reset()
        module = torch.compile(network, fullgraph=True, dynamic=False, backend=backend)  # type: ignore[assignment]
    eager = options.launch == "eager" and not options.compile and not options.preset
    mode = torch.inference_mode if eager else torch.no_grad

    def run() -> object:
        with mode():
            return module(images)

    return run


def _memory_format(options: GpuOptions) -> torch.memory_format:
    import torch

    return torch.channels_last if options.layout == "channels_last" else torch.contiguous_format
