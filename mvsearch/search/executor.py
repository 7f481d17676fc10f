"""Executors run work on candidates: in this process, or on Ray actors. Both yield results as they come.

A call that fails, runs out of memory, takes too long or loses its worker gives a `Failure`, never an exception.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from mvsearch.search.interrupt import STOP
from mvsearch.spec.record import Failure, FailureKind

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")
Source = Callable[[], Item | None]


GPU = "GPU"
"""Resource of a worker that holds a GPU, as Ray names it; such a worker sees that one alone."""


class TaskError(Exception):
    """Raised by a task to name its kind of failure."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


class Executor(Protocol):
    """Runs tasks."""

    @property
    def num_workers(self) -> int:
        """How many tasks run at a time."""
        ...

    def units(self, resource: str) -> int:
        """How many units of an exclusive resource, such as an attached phone, the workers hold; 0 if none does."""
        ...

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resource: str | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """Call `task` on every item.

        Args:
            task: a module-level function.
            items: plain picklable data.
            resource: run only where a unit of this resource is, one task per unit at a time; see `units`.

        Yields:
            (index of the item, its result or failure), in the order of completion.
        """
        ...

    def feed(
        self,
        task: Callable[[Item], Result],
        source: Source[Item],
        resource: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[int, Result | Failure]]:
        """Call `task` on what a source hands out, which may depend on the results so far.

        Args:
            task: a module-level function.
            source: asked for an item whenever a worker is idle; None if it has none at that moment. It ends when the
                source has none and nothing runs.
            resource: as in `map`.
            timeout_s: of one task, after which it is given up; the executor's own by default.

        Yields:
            (number of the item in the order in which they were handed out, its result or failure), in the order of
            completion.

        Raises:
            KeyboardInterrupt: a stop was asked for (see `interrupt`); what was under way then has been yielded.
        """
        ...

    def close(self) -> None:
        """Let go of the workers."""
        ...


def run_task(task: Callable[[Item], Result], item: Item) -> Result | Failure:
    """Call a task and turn what it raises into a recorded failure."""
    try:
        return task(item)
    except TaskError as error:
        return Failure(error.kind, error.message)
    except MemoryError as error:
        return Failure("oom", str(error) or "out of memory")
    except Exception as error:
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
            return Failure("oom", _first_line(error))
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Failure("error", f"{type(error).__name__}: {_first_line(error)} ({where.name}, line {where.lineno})")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


def source_of(items: Iterable[Item]) -> Source[Item]:
    """Hands out the items one after the other."""
    left = iter(items)
    return lambda: next(left, None)


class InProcessExecutor:
    """Runs every task here, one after the other, in order."""

    num_workers = 1

    def units(self, resource: str) -> int:
        """None: whether this process can use a device is the device's to say."""
        return 0

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resource: str | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.map`; one task at a time has every resource to itself."""
        return self.feed(task, source_of(items))

    def feed(
        self,
        task: Callable[[Item], Result],
        source: Source[Item],
        resource: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.feed`; nothing here can give up what runs."""
        number = 0
        with STOP.heeded():
            while not STOP.asked and (item := source()) is not None:
                yield number, run_task(task, item)
                number += 1

    def close(self) -> None:
        """Nothing to let go of."""


class LazyExecutor:
    """An executor that is started in the background and used once it is there.

    Until it is closed, this process computes its matrices on one thread: a start forks, at a fork OpenBLAS waits for
    its threads, and these may be waiting for the one that forks.

    Args:
        start: makes the executor; called on a thread of its own.
    """

    def __init__(self, start: Callable[[], Executor]) -> None:
        from concurrent.futures import Future
        from threading import Event, Thread

        import numpy as np  # noqa: F401 - only a library that is loaded can be held to one thread
        from threadpoolctl import threadpool_limits

        self._one_thread = threadpool_limits(limits=1)
        self._future: Future[Executor] = Future()
        self._closed = Event()

        def run() -> None:
            try:
                self._future.set_result(start())
            except BaseException as error:
                self._future.set_exception(error)
            # Processes that a thread has started may be told to end when it does, as those of Ray are.
            self._closed.wait()

        # No interpreter waits at its end for a start that nobody wants any more.
        Thread(target=run, name="executor-start", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether the executor can take work without a wait."""
        return self._future.done()

    @property
    def num_workers(self) -> int:
        """Workers of the executor; waits for it."""
        return self._future.result().num_workers

    def units(self, resource: str) -> int:
        """See `Executor.units`; waits for the executor."""
        return self._future.result().units(resource)

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resource: str | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.map`; waits for the executor."""
        yield from self._future.result().map(task, items, resource)

    def feed(
        self,
        task: Callable[[Item], Result],
        source: Source[Item],
        resource: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.feed`; waits for the executor."""
        yield from self._future.result().feed(task, source, resource, timeout_s)

    def close(self) -> None:
        """Wait for the start to end, then close; a start that failed is the matter of whoever asked for a worker."""
        try:
            if self._future.exception() is None:
                self._future.result().close()
        finally:
            self._closed.set()
            self._one_thread.restore_original_limits()
