"""Starting Ray, or joining a cluster that runs already.

A start takes a dozen processes that have to find each other within 30 s, a limit that Ray (2.60) lets nobody raise.
A machine that is busy, with a second Ray starting at the same time above all, may miss it. So one start at a time on a
machine, and a bounded number of attempts.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mvsearch.errors import InputError, first_line

ATTEMPTS = 3
PAUSE_S = 2.0
"""Before the second attempt; twice as long before the third."""
TURN_S = 60.0
"""At most so long for another start on this machine; then both go on at once."""
OBJECT_STORE_BYTES = 100 * 2**20
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_ENVIRONMENT = {
    # With this on, Ray would ship the working directory wherever a parent process is `uv run`.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would give its workers the lowest priority, and whatever else runs would starve the search.
    "RAY_worker_niceness": "0",
    # Processes of a busy machine take longer to report than Ray's defaults allow.
    "RAY_worker_register_timeout_seconds": "180",
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_gcs_server_request_timeout_seconds": "120",
}


def load_ray() -> Any:
    """Import Ray, with what it reads from the environment set; the user's own settings stay."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module="ray")
    import ray

    return ray


def start_ray(ray: Any, num_workers: int, resources: Mapping[str, float], attempts: int = ATTEMPTS) -> None:
    """Start Ray on this machine, whatever cluster may be there already.

    Raises:
        InputError: no attempt succeeded.
    """
    reasons: list[str] = []
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            with one_start_at_a_time(), _own_signals():
                ray.init(
                    address="local", num_cpus=num_workers, resources=dict(resources), include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES, **_common(),
                )  # fmt: skip
        except Exception as error:  # Ray raises a bare `Exception` for a start that took too long.
            reasons.append(first_line(error))
            _clear(ray, error)
        else:
            return
    listed = "; ".join(dict.fromkeys(reasons))
    raise InputError(
        f"Ray did not start in {attempts} attempt{'s' * (attempts != 1)}: {listed}",
        "`--in-process` does without it; `--resume` goes on from here",
    )


def join_ray(ray: Any, address: str) -> None:
    """Join a running cluster.

    Raises:
        InputError: there is none at the address, or it cannot be joined.
    """
    try:
        with _own_signals():
            ray.init(address=address, **_common())
    except Exception as error:
        _clear(ray, error)
        raise InputError(
            f"no Ray cluster at `{address}`: {first_line(error)}",
            "start one with `ray start --head`, or leave `--address` out",
        ) from None


@contextmanager
def one_start_at_a_time() -> Iterator[None]:
    """Wait while another process of this user starts Ray on this machine, for a bounded time."""
    from filelock import FileLock, Timeout

    user = getattr(os, "getuid", lambda: "user")()
    lock = FileLock(Path(tempfile.gettempdir()) / f"mvsearch-ray-start-{user}.lock")
    with suppress(Timeout):
        lock.acquire(timeout=TURN_S)
    try:
        yield
    finally:
        lock.release()


def _common() -> dict[str, Any]:
    return {"runtime_env": {"env_vars": THREADS}, "log_to_driver": False, "logging_level": logging.ERROR}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep SIGTERM ours: `ray.init` on the main thread takes it over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _clear(ray: Any, error: BaseException) -> None:
    """End what a failed start left running, or the next attempt would have to share the machine with it."""
    trace = error.__traceback__
    while trace is not None:
        # `ray.shutdown` knows nothing of a node whose constructor raised; only the traceback still holds it.
        node = trace.tb_frame.f_locals.get("self")
        if node is not None and hasattr(node, "kill_all_processes"):
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False)
        trace = trace.tb_next
    with suppress(Exception):
        ray.shutdown()
    sys.stderr.flush()
