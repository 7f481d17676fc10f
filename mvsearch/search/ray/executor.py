"""An executor of Ray actors: one pool for any task, and one for every device that tasks ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mvsearch.search.executor import GPU, Source, source_of
from mvsearch.search.ray.nodes import check_nodes, versions
from mvsearch.search.ray.pool import Pool
from mvsearch.search.ray.start import THREADS, join_ray, load_ray, start_ray
from mvsearch.search.ray.worker import Worker
from mvsearch.spec.record import Failure

Item = TypeVar("Item")
Result = TypeVar("Result")

TASK_TIMEOUT_S = 900.0
"""Of one task: verifying a large network, the longest of them, takes a minute on a core of its own."""
DEVICE_TIMEOUT_S = 1800.0
"""Of a task on a device: a phone may compile a network for minutes, and is tried again where that may help."""


class RayExecutor:
    """A pool of actors with one task each in flight, and one more pool for every device that tasks ask for.

    Args:
        num_workers: actors; each asks Ray for one CPU. By default, one for every CPU of the machine or of the cluster.
        address: of a running cluster, or None to start Ray on this machine.
        resources: devices of this machine by name, with how many there are; a running cluster has its own.
        memory_bytes: that a worker may take before its candidate is recorded as out of memory; by default its share of
            90 % of its node's memory, at least 4 GiB where the node has them.

    Raises:
        InputError: Ray does not start here, there is no cluster at the address, or one with other software.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        address: str | None = None,
        resources: Mapping[str, float] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        ray = self._ray = load_ray()
        self._memory_bytes = memory_bytes
        if address:
            join_ray(ray, address)
            try:
                check_nodes(ray)
            except BaseException:
                ray.shutdown()
                raise
        else:
            start_ray(ray, num_workers or os.cpu_count() or 1, resources or {})
        self.num_workers = num_workers or max(1, self.units("CPU"))
        self._pool = self._make_pool("CPU", {"num_cpus": 1}, self.num_workers, TASK_TIMEOUT_S)
        self._device_pools: dict[str, Pool] = {}

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

    def _device_pool(self, resource: str) -> Pool:
        if resource not in self._device_pools:
            # No CPU: those are taken by the workers, which wait while a device is measured.
            options: dict[str, Any] = {"num_cpus": 0, "resources": {resource: 1}}
            if resource == GPU:
                options = {"num_cpus": 0, "num_gpus": 1}
            elif resource.startswith("gpu") and self.units(GPU):
                # Taken from whoever else asks Ray for GPUs; numbered as the target numbers them, all of them visible.
                options |= {
                    "num_gpus": 1,
                    "runtime_env": {"env_vars": {**THREADS, "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}},
                }
            self._device_pools[resource] = self._make_pool(
                resource, options, max(1, self.units(resource)), DEVICE_TIMEOUT_S,
                lambda: "" if self.units(resource) else f"no node with the resource `{resource}` is left",
            )  # fmt: skip
        return self._device_pools[resource]

    def _make_pool(
        self, resource: str, options: Mapping[str, Any], size: int, timeout_s: float, lost: Callable[[], str] = lambda: ""
    ) -> Pool:
        ray, limit = self._ray, self._memory_bytes
        actor = ray.remote(max_restarts=0, **options)(Worker)
        return Pool(ray, lambda name: actor.remote(name, resource, limit), size, timeout_s, lost, versions())

    def close(self) -> None:
        """Stop Ray, or leave the cluster that was joined."""
        self._ray.shutdown()
        sys.stderr.flush()
