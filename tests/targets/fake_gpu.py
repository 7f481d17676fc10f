"""A simulated GPU with a clock: launches cost host time, kernels device time, and both can go wrong."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import nn

from mvsearch.targets.host.gpu.device import Gpu, GpuState

LAUNCH_S, GRAPH_LAUNCH_S = 8e-6, 6e-6
KERNEL_S, BYTES_PER_S = 2e-6, 1e12


class FakeGpu:
    """Kernels queue up behind one another; the host runs ahead of them until it synchronises.

    The first pass of a network computes it for real, on the CPU, and notes one kernel per layer; later passes and
    replays only move the clocks.

    Args:
        slowdown: factor on kernels, as a function of the host's time in seconds.
        host_slowdown: the same for launches.
        memory: bytes; a layer's output beyond it is an out-of-memory.
        slowdowns: reasons that the driver would give.
        processes: on the GPU.
    """

    def __init__(self, slowdown=lambda t: 1.0, host_slowdown=lambda t: 1.0, memory=None, slowdowns=(), processes=1):
        self.host = self.free_at = 0.0
        self.slowdown, self.host_slowdown, self.memory = slowdown, host_slowdown, memory
        self.slowdowns, self.count = frozenset(slowdowns), processes
        self.settings = None
        self.sessions = self.computed = self.launches = self.replays = self.synchronised = 0
        self.peak = 0
        self.capturing = None

    def gpu(self):
        return Gpu("Fake GPU", "1.2", "GPU-fake")

    def versions(self):
        return (("cudnn", "fake"),)

    @contextmanager
    def session(self, settings):
        assert self.settings is None, "sessions do not nest"
        self.settings, self.sessions = settings, self.sessions + 1
        try:
            yield
        finally:
            self.settings = None

    def load(self, network, image):
        return _Remembered(self, network), image

    def launch(self, seconds):
        """One kernel."""
        if self.capturing is not None:
            self.capturing.append(seconds)
            return
        self.launches += 1
        self.host += LAUNCH_S * self.host_slowdown(self.host)
        self.free_at = max(self.free_at, self.host) + seconds * self.slowdown(self.host)

    def capture(self, run):
        run()
        self.capturing = []
        run()
        kernels, self.capturing = sum(self.capturing), None
        self.synchronize()

        def replay():
            self.replays += 1
            self.host += GRAPH_LAUNCH_S
            self.free_at = max(self.free_at, self.host) + kernels * self.slowdown(self.host)

        return replay

    def event(self):
        return [0.0]

    def record(self, event):
        event[0] = max(self.free_at, self.host)

    def elapsed_ms(self, start, end):
        return 1e3 * (end[0] - start[0])

    def synchronize(self):
        self.synchronised += 1
        self.host = max(self.host, self.free_at)

    def now(self):
        return self.host

    def memory_mark(self):
        self.peak = 0

    def memory_peak(self):
        return self.peak

    def state(self):
        self.host += 0.05
        return GpuState((("sm_clock", "1980 MHz"), ("temperature", "40 C")), self.slowdowns)

    def processes(self):
        return self.count


class _Remembered(nn.Module):
    def __init__(self, gpu, network):
        super().__init__()
        self.gpu, self.network, self.kernels, self.output = gpu, network, [], None
        for layer in network.modules():
            if not list(layer.children()) and not isinstance(layer, nn.Identity | nn.Dropout):
                layer.register_forward_hook(self._note)

    def _note(self, layer, inputs, output):
        num_bytes = output.numel() * output.element_size()
        self.gpu.peak = max(self.gpu.peak, num_bytes)
        if self.gpu.memory is not None and num_bytes > self.gpu.memory:
            raise torch.OutOfMemoryError(f"tried to allocate {num_bytes} bytes")
        self.kernels.append(KERNEL_S + num_bytes / BYTES_PER_S)

    def forward(self, image):
        if self.output is None:
            self.output = self.network(image)
            self.gpu.computed += 1
        for seconds in self.kernels:
            self.gpu.launch(seconds)
        return self.output

    def ms(self):
        """Device time of one pass."""
        return 1e3 * sum(self.kernels)
