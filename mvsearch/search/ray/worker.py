"""What runs on the nodes: the actor that calls tasks, its memory limit, and the inquest into its death."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvsearch.search.executor import run_task
from mvsearch.search.ray.nodes import Versions, versions
from mvsearch.spec.record import Failure

MEMORY_SHARE = 0.9
"""Of a node's memory, for all of its workers together."""
MEMORY_FLOOR_BYTES = 4 * 2**30
"""Each worker may have so much where its share would be less: converting a network takes gigabytes for a moment."""
LOOK_S = 0.1

Result = tuple[Any, int]
"""What a task gave, and how many processes the kernel of the node has killed for memory by then."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A worker that is there.

    Attributes:
        node: Ray's id of its node.
        address: of the node.
        oom_kills: processes that the kernel of the node has killed for memory so far.
        versions: of the software on the node.
    """

    node: str
    address: str
    oom_kills: int
    versions: Versions


class Worker:
    """One actor: calls tasks one at a time with one thread each.

    Args:
        name: of this worker, for its last words.
        resource: which resource of its node it takes one unit of; the node's units share its memory.
        limit_bytes: it may take so much memory; its share of the node's if None.
    """

    def __init__(self, name: str, resource: str, limit_bytes: int | None = None) -> None:
        from mvsearch.search.ray.start import load_ray

        ray = load_ray()
        self._node = str(ray.get_runtime_context().get_node_id())
        own: dict[str, Any] = next((n for n in ray.nodes() if n["NodeID"] == self._node), {})
        self._address = str(own.get("NodeManagerAddress", "unknown"))
        sharers = max(1, int(own.get("Resources", {}).get(resource, 1)))
        limit = limit_bytes or default_limit(memory_bytes(), sharers)
        threading.Thread(target=_watch, args=(limit, note_path(name)), daemon=True).start()

    def presence(self) -> Presence:
        """That it is there, and where."""
        return Presence(self._node, self._address, oom_kills(), versions())

    def call(self, task: Callable[[Any], Any], item: Any) -> Result:
        """Call a task; what it raises comes back as a failure."""
        return run_task(task, item), oom_kills()


@dataclass(frozen=True, slots=True)
class Inquest:
    """What a node knows of the death of a worker.

    Attributes:
        last_words: why it ended itself; empty if it did not.
        oom_kills: processes that the kernel has killed for memory by now.
    """

    last_words: str
    oom_kills: int


def inquest(name: str) -> Inquest:
    """Run on the node of a dead worker."""
    path = note_path(name)
    words = ""
    with suppress(OSError):
        words = path.read_text(encoding="utf-8")
        path.unlink()
    return Inquest(words, oom_kills())


def note_path(name: str) -> Path:
    """Where a worker leaves its last words."""
    return Path(tempfile.gettempdir()) / f"mvsearch-worker-{name}.txt"


def default_limit(node_bytes: int, workers: int) -> int:
    """Memory that one worker may take.

    Args:
        node_bytes: memory of its node.
        workers: that share it.
    """
    whole = int(MEMORY_SHARE * node_bytes)
    return min(whole, max(whole // workers, MEMORY_FLOOR_BYTES))


def _watch(limit: int, note: Path) -> None:
    while True:
        taken = resident_bytes()
        if taken > limit:
            words = f"its worker took {taken / 2**30:.1f} GiB of memory, more than the {limit / 2**30:.1f} GiB that each may"
            with suppress(OSError):
                note.write_text(words, encoding="utf-8")
            # The candidate holds the main thread, which may not come back before the node is out of memory.
            os._exit(1)
        time.sleep(LOOK_S)


def resident_bytes() -> int:
    """Memory that this process takes; the most that it ever took, where the system tells no more (macOS)."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of this node, or of the container that it is in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # `max`: no limit.
            total = min(total, int((cgroup / name).read_text(encoding="ascii")))
    return total


def oom_kills(cgroup: Path = Path("/sys/fs/cgroup"), vmstat: Path = Path("/proc/vmstat")) -> int:
    """Processes that the kernel has killed for memory: of this container if it counts its own, else of the machine."""
    for path in (cgroup / "memory.events", vmstat):
        with suppress(OSError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


def lost_for_memory(before: int, found: Inquest) -> Failure | None:
    """The failure of a candidate whose worker went for want of memory by what the inquest found; None if by something else.

    Args:
        before: processes that the kernel of the node had killed for memory before.
        found: by the inquest.
    """
    if found.last_words:
        return Failure("oom", found.last_words)
    if found.oom_kills > before:
        return Failure("oom", "the kernel ended its worker, or others beside it, for want of memory")
    return None
