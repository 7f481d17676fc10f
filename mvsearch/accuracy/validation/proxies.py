"""Two zero-cost proxies of the literature, for comparison only: neither is used by a search.

Both need one forward pass of the untrained network and no gradient. Batch norm takes the batch's own statistics,
since an untrained network's running ones say nothing.

naswot: Mellor, Turner, Storkey, Crowley, "Neural Architecture Search without Training", ICML 2021, arXiv 2006.04647.
meco: Jiang, Wang, Bie, "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of
Correlation", NeurIPS 2023.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mvsearch.spec.arch import ArchSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGE_SIDE = 128
BATCH = 16


@dataclass(frozen=True, slots=True)
class ProxyScore:
    """One network's score.

    Attributes:
        value: higher is meant to be better; None where it was not a finite number.
        seconds: for the forward pass and what the proxy makes of it, on one thread.
    """

    value: float | None
    seconds: float


def noise_images(side: int = IMAGE_SIDE, batch: int = BATCH, seed: int = 0) -> NDArray[np.float32]:
    """Images whose amplitude falls as 1 / frequency, as that of photographs does.

    Returns:
        (batch, 3, side, side); every image has mean 0 and variance 1, channels are independent.
    """
    generator = np.random.default_rng(seed)
    white = np.fft.fft2(generator.standard_normal((batch, 3, side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    frequency[0, 0] = inf  # the mean
    images = np.fft.ifft2(white / frequency).real
    images -= images.mean(axis=(1, 2, 3), keepdims=True)
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    return images.astype(np.float32)


class _Hooked:
    """Calls `see(output or input)` for every module of some kinds while the network runs once."""

    def __init__(self, network: nn.Module, kinds: tuple[type, ...], on_input: bool) -> None:
        self._network, self._kinds, self._on_input = network, kinds, on_input

    def run(self, images: Tensor, see: Any) -> None:
        import torch

        def hook(module: Any, inputs: Any, output: Any) -> None:
            see(module, inputs[0] if self._on_input else output)

        handles = [m.register_forward_hook(hook) for m in self._network.modules() if isinstance(m, self._kinds)]
        try:
            with torch.no_grad():
                self._network.train()(images)
        finally:
            for handle in handles:
                handle.remove()


def naswot(network: nn.Module, images: Tensor) -> float:
    """Logarithm of |K|, K_ij = number of units on whose side of zero the images i and j agree.

    The paper's units are rectifiers, on or off. Here a unit of any activation function is on where its input is positive.

    Args:
        network: untrained.
        images: (B, 3, H, W).

    Returns:
        The logarithm of the determinant of the (B, B) kernel; -inf where two images share every code.
    """
    import torch

    from mvsearch.models.layers import ACTIVATIONS

    kinds = tuple({type(make()) for make in ACTIVATIONS.values()})
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def see(_: Any, x: Tensor) -> None:
        # A sequence of patches has its image first: (B * P, N, C).
        on = (x.reshape(len(images), -1) > 0).to(torch.float32)
        off = 1 - on
        kernel.add_(on @ on.T + off @ off.T)

    _Hooked(network, kinds, on_input=True).run(images, see)
    sign, value = torch.linalg.slogdet(kernel)
    return float(value) if sign > 0 else -inf


def meco(network: nn.Module, images: Tensor) -> float:
    """Sum over layers of the least eigenvalue of the correlation matrix of the layer's channels on one image.

    Layers are the convolutions and the linear layers on token sequences. A layer with no more positions than
    channels has a singular matrix and adds 0, as does one with a constant channel.

    Args:
        network: untrained.
        images: (B, 3, H, W); the first is looked at, all of them feed batch norm.
    """
    import torch
    from torch import nn

    total = 0.0

    def see(module: Any, x: Tensor) -> None:
        nonlocal total
        if x.dim() == 4:
            channels = x[0].flatten(1)
        elif x.dim() == 3:
            channels = x[: len(x) // len(images)].flatten(0, 1).T
        else:
            return  # the classifier: one position
        if not bool(torch.isfinite(channels).all()):
            total = nan
        elif len(channels) < channels.shape[1]:
            total += _least_eigenvalue(channels.double())

    _Hooked(network, (nn.Conv2d, nn.Linear), on_input=False).run(images, see)
    return total


def _least_eigenvalue(channels: Tensor) -> float:
    """Of the Pearson correlation matrix of rows of (C, positions)."""
    import torch

    centred = channels - channels.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        return 0.0
    unit = centred / norms
    return max(0.0, float(torch.linalg.eigvalsh(unit @ unit.T)[0]))


PROXIES = {"naswot": naswot, "meco": meco}
"""By name: higher is meant to be better."""


def score_network(name: str, spec: ArchSpec, images: NDArray[np.float32], seed: int = 0) -> ProxyScore:
    """Score one network by one proxy, on one thread.

    Args:
        name: a key of `PROXIES`.
        spec: the network; it is built with the initial weights of `seed`.
        images: (B, 3, H, W).
        seed: of the weights.
    """
    import torch

    from mvsearch.models import build

    network = build(spec, seed=seed)
    batch = torch.from_numpy(images)
    before = torch.get_num_threads()
    # Matrices this small gain little from more threads, and where others compute as well they wait for one another.
    torch.set_num_threads(1)
    try:
        start = time.perf_counter()
        value = PROXIES[name](network, batch)
    finally:
        torch.set_num_threads(before)
    return ProxyScore(value if isfinite(value) else None, time.perf_counter() - start)
