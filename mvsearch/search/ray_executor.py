"""Work on Ray actors: long-lived workers that import torch once. Ray is imported here only."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from mvsearch.errors import InputError
from mvsearch.search.executor import run_task
from mvsearch.spec.record import Failure

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_LOSSES = 2
"""A task that takes its worker down this often is recorded as the cause."""
OBJECT_STORE_BYTES = 100 * 2**20
TASK_TIMEOUT_S = 300.0


class _Worker:
    """One actor: runs tasks one at a time with one thread each."""

    def call(self, task: Callable[[Any], Any], item: Any) -> Any:
        return run_task(task, item)


class RayExecutor:
    """A pool of actors with one task each in flight.

    Args:
        num_workers: actors; each asks Ray for one CPU.
        address: of a running cluster, or None to start Ray on this machine.
    """

    def __init__(self, num_workers: int, address: str | None = None) -> None:
        # With this on, Ray would ship the working directory wherever a parent process is `uv run`.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would give its workers the lowest priority, and whatever else runs would starve the search.
        os.environ.setdefault("RAY_worker_niceness", "0")
        warnings.filterwarnings("ignore", module="ray")
        import ray

        self._ray = ray
        self.num_workers = num_workers
        env = {"env_vars": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
        if address:
            try:
                ray.init(address=address, runtime_env=env, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError) as error:
                raise InputError(
                    f"no Ray cluster at `{address}`: {error}", "start one with `ray start --head`, or leave `--address` out"
                ) from None
        else:
            ray.init(
                num_cpus=num_workers, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, runtime_env=env,
                log_to_driver=False, logging_level=logging.ERROR,
            )  # fmt: skip
        self._actor_class = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._workers: list[Any] = [self._actor_class.remote() for _ in range(num_workers)]

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.map`; a lost worker is replaced and its task tried once more."""
        ray = self._ray
        waiting = deque(range(len(items)))
        losses = dict.fromkeys(range(len(items)), 0)
        running: dict[Any, tuple[int, int]] = {}
        idle = list(range(len(self._workers)))
        while waiting or running:
            while waiting and idle:
                index, slot = waiting.popleft(), idle.pop()
                running[self._workers[slot].call.remote(task, items[index])] = (index, slot)
            done, _ = ray.wait(list(running), num_returns=1, timeout=TASK_TIMEOUT_S)
            if not done:
                for ref, (index, slot) in list(running.items()):
                    del running[ref]
                    self._replace(slot)
                    idle.append(slot)
                    yield index, Failure("timeout", f"no result within {TASK_TIMEOUT_S:.0f} s")
                continue
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
        self._workers[slot] = self._actor_class.remote()

    def close(self) -> None:
        """Stop Ray, or leave the cluster that was joined."""
        self._ray.shutdown()
        sys.stderr.flush()
