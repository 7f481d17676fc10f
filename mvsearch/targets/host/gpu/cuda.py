"""`CudaDevice`: the one place that talks to CUDA, through torch. Nothing is started before `session` is entered."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import MeasureError
from mvsearch.targets.host.gpu.device import Gpu, GpuState, MathSettings, Run
from mvsearch.targets.host.gpu.smi import count_processes, read_state, visible_gpus

if TYPE_CHECKING:
    from torch import Tensor, nn

CAPTURE_WARM_UP = 3
"""Inferences before a capture: libraries choose algorithms and take their workspaces, which a capture must not."""


class CudaDevice:
    """A CUDA device.

    Args:
        index: among the devices that CUDA sees.
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self._gpu: Gpu | None = None
        self._memory_before = 0

    def gpu(self) -> Gpu:
        """See `Device.gpu`: name and identity as CUDA has them, since the driver's tool may count in another order."""
        import torch

        if self._gpu is None:
            properties = torch.cuda.get_device_properties(self.index)
            uuid = f"GPU-{properties.uuid}"
            known = visible_gpus()
            # A single GPU is the one, whatever a virtual machine makes of its identity.
            same = known if len(known) == 1 else [g for g in known if g.uuid == uuid]
            self._gpu = Gpu(properties.name, same[0].driver, same[0].uuid) if same else Gpu(properties.name, "unknown", uuid)
        return self._gpu

    def versions(self) -> tuple[tuple[str, str], ...]:
        """See `Device.versions`."""
        import torch

        return (("cudnn", str(torch.backends.cudnn.version())),)  # type: ignore[no-untyped-call]

    @contextmanager
    def session(self, settings: MathSettings) -> Iterator[None]:
        """See `Device.session`."""
        import torch

        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            found = torch.cuda.device_count()
        except (RuntimeError, AssertionError) as error:
            first = str(error).strip().partition("\n")[0]
            raise MeasureError(
                "unavailable",
                f"CUDA does not start in this process: {first}",
                "a process that was forked after CUDA had started cannot use it; start a new one",
            ) from None
        if self.index >= found:
            raise MeasureError("unavailable", f"there is no device {self.index}: CUDA sees {found}", "name another `device`")
        matmul = torch.backends.cuda.matmul
        tf32_before = matmul.allow_tf32
        with (
            torch.cuda.device(self.index),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=settings.autotune, deterministic=settings.deterministic, allow_tf32=settings.tf32
            ),
        ):
            matmul.allow_tf32 = settings.tf32
            try:
                yield
            finally:
                matmul.allow_tf32 = tf32_before
                torch.cuda.empty_cache()

    def load(self, network: nn.Module, image: Tensor) -> tuple[nn.Module, Tensor]:
        """See `Device.load`."""
        device = f"cuda:{self.index}"
        return network.to(device), image.to(device)

    def capture(self, run: Run) -> Run:
        """See `Device.capture`."""
        import torch

        gc.collect()  # A graph that the collector deletes during a capture would break it.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(CAPTURE_WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            output = run()

        return _Replay(graph, run, output)

    def event(self) -> Any:
        """See `Device.event`."""
        import torch

        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def record(self, event: Any) -> None:
        """See `Device.record`."""
        event.record()

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """See `Device.elapsed_ms`."""
        return float(start.elapsed_time(end))

    def synchronize(self) -> None:
        """See `Device.synchronize`."""
        import torch

        torch.cuda.synchronize(self.index)

    def now(self) -> float:
        """See `Device.now`."""
        return time.perf_counter()

    def memory_mark(self) -> None:
        """See `Device.memory_mark`."""
        import torch

        torch.cuda.synchronize(self.index)
        torch.cuda.reset_peak_memory_stats(self.index)
        self._memory_before = torch.cuda.memory_allocated(self.index)

    def memory_peak(self) -> int:
        """See `Device.memory_peak`."""
        import torch

        return torch.cuda.max_memory_allocated(self.index) - self._memory_before

    def state(self) -> GpuState:
        """See `Device.state`."""
        return read_state(self.gpu().uuid)

    def processes(self) -> int | None:
        """See `Device.processes`."""
        return count_processes(self.gpu().uuid)


@dataclass(frozen=True)
class _Replay:
    """A captured graph with what it reads and writes: it knows their addresses only, and does not keep them alive."""

    graph: Any
    run: Run
    output: object

    def __call__(self) -> object:
        self.graph.replay()
        return self.output


@lru_cache(maxsize=8)
def cuda_device(index: int) -> CudaDevice:
    """The device of this index, one object per process."""
    return CudaDevice(index)


@lru_cache(maxsize=1)
def torch_build() -> dict[str, str]:
    """`torch` and `cuda` versions of the installed package, read without importing it; empty if there is none.

    `cuda` is missing for a build without CUDA.
    """
    found = find_spec("torch")
    if found is None or found.origin is None:
        return {}
    text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    patterns = {"torch": r"^__version__\s*=\s*'([^']+)'", "cuda": r"^cuda\b[^=\n]*=\s*'([^']+)'"}
    matches = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in patterns.items()}
    return {name: match[1] for name, match in matches.items() if match}
