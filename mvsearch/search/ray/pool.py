"""A pool of actors of one kind: hands out tasks, and finds out what became of each.

A worker that dies is replaced. Its task is blamed only for deaths that may be its own: one that was under way on a node
that went away is handed out again and nothing is held against it.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from mvsearch.errors import InputError, first_line
from mvsearch.search.executor import Source
from mvsearch.search.interrupt import STOP
from mvsearch.search.ray.nodes import Versions, difference, on_node, refuse
from mvsearch.search.ray.worker import Inquest, Presence, inquest, lost_for_memory
from mvsearch.spec.record import Failure

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_LOSSES = 2
"""A task that takes its worker down this often is recorded as the cause."""
MAX_MOVES = 5
"""A task is handed out again this often after the loss of a node."""
MAX_FALSE_STARTS = 10
"""Workers in a row that die before they have said that they are there."""
START_S = 1800.0
"""Without any worker at all: a cloud takes minutes to bring up a node."""
INQUEST_S = 90.0
POLL_S = 0.2
"""Signals are heard between two looks only: `ray.wait` does not let Python run their handlers."""


@dataclass
class _Slot:
    """One worker and what is awaited from it."""

    state: Literal["absent", "starting", "idle", "busy", "inquest"] = "absent"
    name: str = ""
    actor: Any = None
    ref: Any = None
    since: float = 0.0
    index: int = -1
    there: Presence | None = None
    oom_kills: int = 0


@dataclass
class _Work:
    """The tasks of one call of `feed` that are not finished."""

    items: dict[int, Any] = field(default_factory=dict)
    waiting: deque[int] = field(default_factory=deque)
    losses: Counter[int] = field(default_factory=Counter)
    moves: Counter[int] = field(default_factory=Counter)
    handed_out: int = 0

    def pull(self, source: Source[Any]) -> bool:
        """Take one more item from the source; False if it has none."""
        item = source()
        if item is None:
            return False
        self.items[self.handed_out] = item
        self.waiting.append(self.handed_out)
        self.handed_out += 1
        return True


class Pool:
    """Actors of one kind, each with at most one task.

    Args:
        ray: the module, connected.
        start: makes an actor with a name.
        size: how many.
        timeout_s: of one task, after which it is given up.
        lost: why no task can run any more; empty while they can.
        expected: versions that the node of a worker must have.
        clock: seconds.
    """

    def __init__(
        self,
        ray: Any,
        start: Callable[[str], Any],
        size: int,
        timeout_s: float,
        lost: Callable[[], str] = lambda: "",
        expected: Versions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._start, self._timeout_s, self._lost = ray, start, timeout_s, lost
        self._expected, self._clock = expected, clock
        self._false_starts = 0
        self._slots = [_Slot() for _ in range(size)]
        for slot in self._slots:
            self._begin(slot)

    def feed(
        self, task: Callable[[Item], Result], source: Source[Item], timeout_s: float | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """See `Executor.feed`."""
        work, timeout_s = _Work(), timeout_s or self._timeout_s
        for slot in self._in("absent"):
            self._begin(slot)
        alive = self._clock()
        try:
            with STOP.heeded():
                while self._hand_out(task, work, source):
                    refs = {slot.ref: slot for slot in self._in("starting", "busy", "inquest")}
                    done, _ = self._ray.wait(list(refs), num_returns=1, timeout=POLL_S)
                    if done:
                        yield from self._take(refs[done[0]], work)
                    elif reason := self._lost():
                        yield from self._give_up(work, source, reason)
                        return
                    yield from self._overdue(work, timeout_s)
                    alive = self._clock() if self._in("idle", "busy") else alive
                    if self._clock() - alive > START_S:
                        raise InputError(
                            f"no worker has started within {START_S:.0f} s", "`ray status` says what the cluster waits for"
                        )
        finally:
            # Whoever breaks off must not find the next work queued behind what is still running.
            for slot in self._in("busy", "inquest"):
                self._end(slot)

    def _in(self, *states: str) -> list[_Slot]:
        return [slot for slot in self._slots if slot.state in states]

    def _hand_out(self, task: Callable[[Any], Any], work: _Work, source: Source[Any]) -> bool:
        """Give every idle worker a task.

        Returns:
            Whether there is anything to wait for.
        """
        if not STOP.asked:
            for slot in self._in("idle"):
                if not work.waiting and not work.pull(source):
                    break
                slot.index, slot.since, slot.state = work.waiting.popleft(), self._clock(), "busy"
                slot.ref = slot.actor.call.remote(task, work.items[slot.index])
            if not work.waiting and not self._in("idle", "busy", "inquest"):
                work.pull(source)
        return bool(self._in("busy", "inquest") or (work.waiting and not STOP.asked))

    def _take(self, slot: _Slot, work: _Work) -> Iterator[tuple[int, Any]]:
        """What has come from a worker."""
        if slot.state == "starting":
            self._welcome(slot)
        elif slot.state == "inquest":
            yield from self._judge(slot, work)
        else:
            yield from self._collect(slot, work)

    def _welcome(self, slot: _Slot) -> None:
        try:
            there: Presence = self._ray.get(slot.ref)
        except self._ray.exceptions.RayError as error:
            self._false_starts += 1
            if self._false_starts > MAX_FALSE_STARTS:
                raise InputError(
                    f"{self._false_starts} workers in a row died before their first task: {_last_line(error)}",
                    "`ray logs` and the nodes' own logs have the reason",
                ) from None
            self._end(slot)
            self._begin(slot)
            return
        if self._expected:
            refuse(list(filter(None, [difference(there.address, there.versions, self._expected)])), self._expected)
        self._false_starts = 0
        slot.there, slot.oom_kills, slot.state = there, there.oom_kills, "idle"

    def _collect(self, slot: _Slot, work: _Work) -> Iterator[tuple[int, Any]]:
        errors, index = self._ray.exceptions, slot.index
        try:
            result, slot.oom_kills = self._ray.get(slot.ref)
        except errors.OutOfMemoryError as error:
            # Ray's memory monitor picks a worker of a full node, perhaps not the one that filled it.
            self._replace(slot)
            yield from self._blame(index, work, Failure("oom", first_line(error)))
        except (errors.ActorUnavailableError, errors.NodeDiedError):
            self._replace(slot)
            yield from self._move(index, work)
        except errors.RayActorError as error:
            if "node has died" in str(error) or slot.there is None:
                self._replace(slot)
                yield from self._move(index, work)
            else:
                slot.state, slot.since = "inquest", self._clock()
                slot.ref = on_node(self._ray, inquest, slot.there.node, slot.name)
        except errors.RayError as error:
            slot.state = "idle"
            del work.items[index]
            yield index, Failure("error", _last_line(error))
        else:
            slot.state = "idle"
            del work.items[index]
            yield index, result

    def _judge(self, slot: _Slot, work: _Work) -> Iterator[tuple[int, Any]]:
        index = slot.index
        try:
            found: Inquest = self._ray.get(slot.ref)
        except self._ray.exceptions.RayError:  # The node has gone, and the worker with it.
            self._replace(slot)
            yield from self._move(index, work)
            return
        failure = lost_for_memory(slot.oom_kills, found)
        self._replace(slot)
        if failure and found.last_words:
            del work.items[index]
            yield index, failure
        else:
            yield from self._blame(index, work, failure or Failure("worker-lost", "its worker died"))

    def _blame(self, index: int, work: _Work, failure: Failure) -> Iterator[tuple[int, Failure]]:
        """Hold a death against a task, which may have been another's doing the first time."""
        work.losses[index] += 1
        if work.losses[index] < MAX_LOSSES:
            work.waiting.append(index)
        else:
            del work.items[index]
            yield index, Failure(failure.kind, f"{failure.message} ({work.losses[index]} times)")

    def _move(self, index: int, work: _Work) -> Iterator[tuple[int, Failure]]:
        """Hand a task out again whose node went away."""
        work.moves[index] += 1
        if work.moves[index] <= MAX_MOVES:
            work.waiting.appendleft(index)
        else:
            del work.items[index]
            yield index, Failure("worker-lost", f"{work.moves[index]} nodes went away while they worked on it")

    def _overdue(self, work: _Work, timeout_s: float) -> Iterator[tuple[int, Failure]]:
        now = self._clock()
        for slot in self._in("busy"):
            if now - slot.since > timeout_s:
                self._replace(slot)
                del work.items[slot.index]
                yield slot.index, Failure("timeout", f"no result within {timeout_s:.0f} s")
        for slot in self._in("inquest"):
            if now - slot.since > INQUEST_S:  # Its node does not answer.
                self._replace(slot)
                yield from self._move(slot.index, work)

    def _give_up(self, work: _Work, source: Source[Any], reason: str) -> Iterator[tuple[int, Failure]]:
        for slot in self._slots:
            self._end(slot)
        while work.items or (not STOP.asked and work.pull(source)):
            index = min(work.items)
            del work.items[index]
            yield index, Failure("worker-lost", reason)

    def _begin(self, slot: _Slot) -> None:
        slot.name = uuid.uuid4().hex
        slot.actor = self._start(slot.name)
        slot.state, slot.ref, slot.there = "starting", slot.actor.presence.remote(), None

    def _end(self, slot: _Slot) -> None:
        if slot.state != "absent":
            self._ray.kill(slot.actor, no_restart=True)
            slot.state, slot.actor, slot.ref = "absent", None, None

    def _replace(self, slot: _Slot) -> None:
        self._end(slot)
        if not STOP.asked:
            self._begin(slot)


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
