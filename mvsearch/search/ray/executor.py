"""An executor of Ray actors."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mvsearch.search.executor import GPU, Source, run_task, source_of
from mvsearch.search.ray.start import THREADS, join_ray, load_ray, start_ray
from mvsearch.spec.record import Failure

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_LOSSES = 2
"""A task that takes its worker down this often is recorded as the cause."""
TASK_TIMEOUT_S = 300.0
DEVICE_TIMEOUT_S = 1800.0
"""Of a task on a device: a phone may compile a network for minutes, and is tried again where that may help."""
POLL_S = 5.0


class _Worker:
    """One actor: runs tasks one at a time with one thread each."""

    def call(self, task: Callable[[Any], Any], item: Any) -> Any:
        return run_task(task, item)


class RayExecutor:
    """A pool of actors with one task each in flight, and one more pool for every device that tasks ask for.

    Args:
        num_workers: actors; each asks Ray for one CPU.
        address: of a running cluster, or None to start Ray on this machine.
        resources: devices of this machine by name, with how many there are; a running cluster has its own.

    Raises:
        InputError: Ray does not start here, or there is no cluster at the address.
    """

    def __init__(self, num_workers: int, address: str | None = None, resources: Mapping[str, float] | None = None) -> None:
        ray = self._ray = load_ray()
        self.num_workers = num_workers
        if address:
            join_ray(ray, address)
        else:
            start_ray(ray, num_workers, resources or {})
        actor = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._pool = _Pool(ray, actor.remote, num_workers, TASK_TIMEOUT_S)
        self._device_pools: dict[str, _Pool] = {}

    def units(self, resource: str) -> int:
        """See `Executor.units`: of the whole cluster."""
        resources: dict[str, float] = self._ray.cluster_resources()
        return int(resources.get(resource, 0))

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resource: str | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.map`; a lost worker is replaced and its task tried once more."""
        return self.feed(task, source_of(items), resource)

    def feed(
        self,
        task: Callable[[Item], Result],
        source: Source[Item],
        resource: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.feed`; a lost worker is replaced and its task tried once more."""
        return (self._device_pool(resource) if resource else self._pool).feed(task, source, timeout_s)

    def _device_pool(self, resource: str) -> _Pool:
        if resource not in self._device_pools:
            ray = self._ray
            # No CPU: those are taken by the workers, which wait while a device is measured.
            options: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "resources": {resource: 1}}
            if resource == GPU:
                options = {"num_cpus": 0, "max_restarts": 0, "num_gpus": 1}
            elif resource.startswith("gpu") and self.units(GPU):
                # Taken from whoever else asks Ray for GPUs; numbered as the target numbers them, all of them visible.
                options |= {
                    "num_gpus": 1,
                    "runtime_env": {"env_vars": {**THREADS, "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}},
                }
            actor = ray.remote(**options)(_Worker)
            self._device_pools[resource] = _Pool(
                ray, actor.remote, max(1, self.units(resource)), DEVICE_TIMEOUT_S,
                lambda: "" if self.units(resource) else f"no node with the resource `{resource}` is left",
            )  # fmt: skip
        return self._device_pools[resource]

    def close(self) -> None:
        """Stop Ray, or leave the cluster that was joined."""
        self._ray.shutdown()
        sys.stderr.flush()


class _Pool:
    """Actors of one kind.

    Args:
        ray: the module.
        start: makes an actor.
        size: how many.
        timeout_s: without any result, after which what runs is given up.
        lost: why no task can run any more; empty while they can.
    """

    def __init__(
        self, ray: Any, start: Callable[[], Any], size: int, timeout_s: float, lost: Callable[[], str] = lambda: ""
    ) -> None:
        self._ray, self._start, self._timeout_s, self._lost = ray, start, timeout_s, lost
        self._workers = [start() for _ in range(size)]

    def feed(
        self, task: Callable[[Item], Result], source: Source[Item], timeout_s: float | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.feed`."""
        ray, timeout_s = self._ray, timeout_s or self._timeout_s
        items: list[Item] = []
        losses: Counter[int] = Counter()
        waiting: deque[int] = deque()
        running: dict[Any, tuple[int, int]] = {}
        idle = list(range(len(self._workers)))
        heard = time.monotonic()
        while True:
            while idle:
                if not waiting:
                    item = source()
                    if item is None:
                        break
                    waiting.append(len(items))
                    items.append(item)
                index, slot = waiting.popleft(), idle.pop()
                running[self._workers[slot].call.remote(task, items[index])] = (index, slot)
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
            if not done:
                if reason := self._lost():
                    for index, slot in running.values():
                        self._replace(slot)
                        waiting.append(index)
                    yield from ((index, Failure("worker-lost", reason)) for index in waiting)
                    while (item := source()) is not None:
                        items.append(item)
                        yield len(items) - 1, Failure("worker-lost", reason)
                    return
                if time.monotonic() - heard > timeout_s:
                    heard = time.monotonic()
                    for ref, (index, slot) in list(running.items()):
                        del running[ref]
                        self._replace(slot)
                        idle.append(slot)
                        yield index, Failure("timeout", f"no result within {timeout_s:.0f} s")
                continue
            heard = time.monotonic()
            index, slot = running.pop(done[0])
            idle.append(slot)
            try:
                yield index, ray.get(done[0])
            except ray.exceptions.OutOfMemoryError as error:
                self._replace(slot)
                yield index, Failure("oom", str(error).splitlines()[0])
            except ray.exceptions.RayActorError as error:
                self._replace(slot)
                losses[index] += 1
                if losses[index] < MAX_LOSSES:
                    waiting.append(index)
                else:
                    yield index, Failure("worker-lost", f"its worker died {losses[index]} times: {str(error).splitlines()[0]}")
            except ray.exceptions.RayError as error:
                yield index, Failure("error", str(error).splitlines()[-1])

    def _replace(self, slot: int) -> None:
        self._ray.kill(self._workers[slot], no_restart=True)
        self._workers[slot] = self._start()
