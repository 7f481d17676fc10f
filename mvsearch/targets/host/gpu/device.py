"""What timing needs of a GPU, as one small protocol: `CudaDevice` has it, and so has a simulated GPU in the tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

Run = Callable[[], object]
"""One inference, queued on the device: it may return before the device has finished."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as its driver names it.

    Attributes:
        name: e.g. `NVIDIA H200`.
        driver: version of the driver.
        uuid: what the driver's tools know the very card by; empty if unknown.
    """

    name: str
    driver: str
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class GpuState:
    """What a GPU reports of itself at one moment.

    Attributes:
        readings: (what, value with unit), e.g. `("sm_clock", "1980 MHz")`; empty where nothing can be read.
        slowdowns: reasons for which the clocks are held back, e.g. `thermal`, `power cap`.
        missing: why there are no readings; empty if there are.
    """

    readings: tuple[tuple[str, str], ...] = ()
    slowdowns: frozenset[str] = frozenset()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class MathSettings:
    """How the libraries may compute, for as long as a measurement lasts.

    Attributes:
        tf32: float32 products may run in TF32 on tensor cores (10 bits of mantissa).
        deterministic: cuDNN takes only algorithms that give the same bits every time.
        autotune: cuDNN times its algorithms and takes the fastest (`torch.backends.cudnn.benchmark`).
    """

    tf32: bool = False
    deterministic: bool = False
    autotune: bool = False


class Device(Protocol):
    """A GPU with its clock. A device is asked for nothing before `session` was entered.

    Work is queued in order; `event` and `record` put a mark into the queue, and the time between two marks is
    known once `synchronize` has returned. Whatever fails does so with a `RuntimeError`, and for want of the device's
    memory with `torch.OutOfMemoryError`, which is one.
    """

    def gpu(self) -> Gpu:
        """The hardware."""
        ...

    def versions(self) -> tuple[tuple[str, str], ...]:
        """(library, version) beyond what the target states itself, e.g. of cuDNN."""
        ...

    def session(self, settings: MathSettings) -> AbstractContextManager[None]:
        """Take the device with these settings; after it the process computes as before, and unused memory is free.

        Raises:
            MeasureError: there is no such device, or it cannot be used from this process.
        """
        ...

    def load(self, network: nn.Module, image: Tensor) -> tuple[nn.Module, Tensor]:
        """The network and its input in the device's memory."""
        ...

    def capture(self, run: Run) -> Run:
        """The work of one inference as a graph that is launched as a whole."""
        ...

    def event(self) -> Any:
        """A new mark."""
        ...

    def record(self, event: Any) -> None:
        """Put a mark into the queue."""
        ...

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Device time between two recorded marks, in ms."""
        ...

    def synchronize(self) -> None:
        """Wait until the queue is empty."""
        ...

    def now(self) -> float:
        """The host's clock, in seconds, never going back."""
        ...

    def memory_mark(self) -> None:
        """Begin to watch the memory that is allocated."""
        ...

    def memory_peak(self) -> int:
        """Most bytes allocated since `memory_mark`, beyond what was there then."""
        ...

    def state(self) -> GpuState:
        """Clocks, temperature, power, slowdowns."""
        ...

    def processes(self) -> int | None:
        """Processes that hold memory of the GPU, this one included; None if unknown."""
        ...
