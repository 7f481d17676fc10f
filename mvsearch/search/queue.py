"""A plain pull queue: machines that hold the device ask a running search for networks to measure, and send records back.

The server runs in the search's own process and speaks JSON over HTTP; `search/queue_worker.py` is the other side.

    GET  /queue            what is measured here: {"target", "target_key", "resolution"}
    POST /lease            {"worker", "target_key"} -> {"job": {...}}, {"job": null} or {"closed": true}
    GET  /package/JOB      the network as a Core ML package: a zip file
    POST /renew            {"worker", "job"} -> {"leased": whether it still is}
    POST /result           {"worker", "job", "record"} or {"worker", "job", "failure": {"kind", "message"}}
    POST /leave            {"worker"}: its jobs go to others at once

Every request carries `Authorization: Bearer TOKEN`. A job is leased for a time and goes back to the queue when its
worker is not heard of any more. What a worker sends is checked: size, schema, artefact, target, plain finite numbers;
nothing is unpickled or run. The token travels as it is: use a network that you trust, or an SSH tunnel.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, get_args

from mvsearch.errors import InputError, MeasureFault
from mvsearch.search.measuring import Job, MeasureFailure, Outcome, from_packages
from mvsearch.search.packages import pack
from mvsearch.spec.arch import to_json
from mvsearch.targets import Artifact, LatencyRecord, Target
from mvsearch.targets.coreml.package import artifact_of
from mvsearch.targets.host.machine import MachineTarget

SCHEMA = 1
TOKEN_VARIABLE = "MVSEARCH_QUEUE_TOKEN"
"""Environment variable with the shared secret, on both sides; the server draws one where it is not set."""
LEASE_S = 60.0
"""For which a job is leased, and after which a worker that is not heard of counts as gone. Workers renew in time."""
AGAIN_S = 2.0
"""After which a worker without work asks again."""
PATIENCE_S = 900.0
"""For which the search waits for a next result while workers are there."""
MAX_TRIES = 2
"""A job that fails for the device's sake is given out this often."""
MAX_LEASES = 4
"""A job whose worker vanishes this often is given up: it may be the cause."""
MAX_BODY = 16 * 2**20
MAX_TEXT = 2000
MAX_SAMPLES = 1_000_000
GOODBYE_S = 3.0
_RETRIED: tuple[str, ...] = tuple(k for k in get_args(MeasureFault) if k != "load")
_ID = re.compile(r"[0-9a-f]{8,64}")


class QueueError(Exception):
    """A request that is refused, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Entry:
    """A job and where it stands."""

    job: Job
    artifact: Artifact
    state: Literal["waiting", "leased", "done"] = "waiting"
    worker: str = ""
    until: float = 0.0
    tries: int = 0
    leases: int = 0
    outcome: Outcome | None = None

    @cached_property
    def package(self) -> bytes:
        assert self.job.package is not None
        return pack(self.job.package)


@dataclass
class _State:
    """All that requests and the search share; guarded by `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    entries: dict[str, _Entry] = field(default_factory=dict)
    waiting: deque[str] = field(default_factory=deque)
    done: deque[str] = field(default_factory=deque)
    seen: dict[str, float] = field(default_factory=dict)
    closed: bool = False


class MeasureQueue:
    """The server, and the bench of a search. Serves from the moment that it is made.

    Args:
        address: `HOST:PORT` to listen on.
        target: the device; one that measures Core ML packages.
        resolution: of the run, in pixels.
        token: the shared secret; `$MVSEARCH_QUEUE_TOKEN`, or a new one, by default.
        keep: called with every record on arrival, from any thread.
        lease_s, patience_s: see the module's constants.
        clock: seconds.

    Raises:
        InputError: the address cannot be listened on, or the target is measured where the search runs.
    """

    def __init__(
        self,
        address: str,
        target: Target,
        resolution: int,
        token: str | None = None,
        keep: Callable[[LatencyRecord], None] | None = None,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_servable(target)
        host, port = parse_address(address)
        self.target, self.resolution = target, resolution
        self.token = token or os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(18)
        self.keep, self.clock = keep, clock
        self.lease_s, self.patience_s = lease_s, patience_s
        self._state = _State()
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(self))
        except OSError as error:
            raise InputError(
                f"cannot listen on `{address}`: {error.strerror}", "another port, or an address of this machine"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="measure-queue", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def offer(self, job: Job) -> None:
        """See `Bench.offer`; a job that is known is not taken in twice."""
        assert job.package is not None, "the queue gives out packages"
        artifact = artifact_of(job.package, job.evaluation.spec)
        # A repeat is a job of its own, or it would be answered with the measurement that it is to be compared with.
        repeat = f" {job.repeat}" if job.repeat else ""
        number = hashlib.sha256(f"{artifact.key} {self.target.spec.key}{repeat}".encode()).hexdigest()[:16]
        with self._state.changed:
            if number not in self._state.entries:
                self._state.entries[number] = _Entry(job, artifact)
                self._state.waiting.append(number)

    def results(self) -> Iterator[tuple[Job, Outcome]]:
        """See `Bench.results`: waits while workers are there, and results come within `patience_s`."""
        state, heard = self._state, self.clock()
        while True:
            with state.changed:
                if not state.done:
                    self._take_back()
                    open_jobs = any(e.state != "done" for e in state.entries.values())
                    given_up = not self._workers() or self.clock() - heard > self.patience_s
                    if not state.done and (not open_jobs or given_up):
                        return
                if not state.done:
                    state.changed.wait(min(0.5, self.lease_s / 4))
                    continue
                entry = state.entries[state.done.popleft()]
            heard = self.clock()
            assert entry.outcome is not None
            yield entry.job, entry.outcome

    def end(self) -> None:
        """From now on workers that ask are told that it is over; what they are at is still taken."""
        with self._state.changed:
            self._state.closed = True

    def close(self) -> None:
        """Stop listening. After `end`, workers get a moment to hear it; else they wait for the search to be resumed."""
        state, last = self._state, self.clock() + GOODBYE_S
        with state.changed:
            while state.closed and self._workers() and (left := last - self.clock()) > 0:
                state.changed.wait(left)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _workers(self) -> list[str]:
        return [w for w, seen in self._state.seen.items() if self.clock() - seen <= self.lease_s]

    def _take_back(self) -> None:
        """Jobs of workers that are not heard of any more go back to the front of the queue."""
        state = self._state
        for number, entry in state.entries.items():
            if entry.state != "leased" or self.clock() <= entry.until:
                continue
            if entry.leases >= MAX_LEASES:
                self._done(number, MeasureFailure("worker-lost", f"its worker vanished {entry.leases} times"))
            else:
                entry.state = "waiting"
                state.waiting.appendleft(number)

    def _done(self, number: str, outcome: Outcome) -> None:
        entry = self._state.entries[number]
        entry.state, entry.outcome = "done", outcome
        entry.__dict__.pop("package", None)
        self._state.done.append(number)
        self._state.changed.notify_all()

    # What requests come to; each gets a checked body and gives the answer's.

    def about(self) -> dict[str, Any]:
        """What is measured here."""
        spec = self.target.spec
        return {"target": spec.name, "target_key": spec.key, "resolution": self.resolution}

    def lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give out the next job."""
        worker, state = _id(body, "worker"), self._state
        if body.get("target_key") != self.target.spec.key:
            here = f"`{self.target.name}` with key `{self.target.spec.key}`"
            raise QueueError(409, f"this queue is for {here}: another target, or another version of mvsearch")
        with state.changed:
            if state.closed:
                state.seen.pop(worker, None)
                state.changed.notify_all()
                return {"closed": True}
            state.seen[worker] = self.clock()
            self._take_back()
            while state.waiting:
                number = state.waiting.popleft()
                entry = state.entries[number]
                if entry.state == "waiting":
                    entry.state, entry.worker, entry.until = "leased", worker, self.clock() + self.lease_s
                    entry.leases += 1
                    return {"job": self._described(number, entry)}
        return {"job": None}

    def _described(self, number: str, entry: _Entry) -> dict[str, Any]:
        e = entry.job.evaluation
        return {
            "id": number,
            "artifact": entry.artifact.key,
            "arch_id": e.arch_id,
            "spec": to_json(e.spec),
            "resolution": e.resolution,
            "predicted": e.measurements["latency"].to_json(),
            "bytes": len(entry.package),
            "sha256": hashlib.sha256(entry.package).hexdigest(),
            "lease_s": self.lease_s,
            "fresh": entry.job.repeat > 0,
        }

    def package(self, number: str) -> bytes:
        """A job's package."""
        return self._entry(number).package

    def renew(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a job for the worker that is at it."""
        worker, number = _id(body, "worker"), _id(body, "job")
        with self._state.changed:
            self._state.seen[worker] = self.clock()
            entry = self._entry(number)
            leased = entry.state == "leased" and entry.worker == worker
            if leased:
                entry.until = self.clock() + self.lease_s
            return {"leased": leased}

    def result(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a result: the first good one of a job counts, whoever sends it; the same once more changes nothing."""
        worker, number = _id(body, "worker"), _id(body, "job")
        entry = self._entry(number)
        if ("record" in body) == ("failure" in body):
            raise QueueError(422, "either `record` or `failure`")
        outcome = self._record(body["record"], entry) if "record" in body else _failure(body["failure"])
        with self._state.changed:
            self._state.seen[worker] = self.clock()
            if entry.state == "done":
                return {"accepted": True, "known": True}
            if isinstance(outcome, MeasureFailure):
                if entry.state != "leased" or entry.worker != worker:
                    return {"accepted": True, "known": True}  # Somebody else is at it by now.
                entry.tries += 1
                if outcome.kind in _RETRIED and entry.tries < MAX_TRIES:
                    entry.state = "waiting"
                    self._state.waiting.append(number)
                    return {"accepted": True}
            elif self.keep:
                self.keep(outcome)
            self._done(number, outcome)
        return {"accepted": True}

    def leave(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A worker ends; its jobs go to others at once."""
        worker, state = _id(body, "worker"), self._state
        with state.changed:
            state.seen.pop(worker, None)
            for number, entry in state.entries.items():
                if entry.state == "leased" and entry.worker == worker:
                    entry.state = "waiting"
                    entry.leases -= 1
                    state.waiting.appendleft(number)
            state.changed.notify_all()
        return {}

    def _entry(self, number: str) -> _Entry:
        entry = self._state.entries.get(number)
        if entry is None:
            raise QueueError(404, f"no job `{number}`")
        return entry

    def _record(self, data: Any, entry: _Entry) -> LatencyRecord:
        if not isinstance(data, dict):
            raise QueueError(422, "a record is a JSON object")
        try:
            record = LatencyRecord.from_json(data)
            _check_record(record)
        except (ValueError, TypeError, KeyError) as error:
            raise QueueError(422, f"not a latency record: {error}") from None
        e, spec = entry.job.evaluation, self.target.spec
        wanted = {
            "artifact": entry.artifact.key, "arch_id": e.arch_id, "resolution": e.resolution, "target": spec.name,
            "target_key": spec.key, "protocol": spec.protocol, "batch": spec.batch,
        }  # fmt: skip
        for name, value in wanted.items():
            if getattr(record, name) != value:
                raise QueueError(422, f"`{name}` of the record is `{getattr(record, name)}`, of the job `{value}`"[:MAX_TEXT])
        return record


def check_servable(target: Target) -> None:
    """Refuse a target that a queue is of no use for.

    Raises:
        InputError: it stands for the machine that the search runs on.
    """
    if not from_packages(target) or isinstance(target, MachineTarget):
        raise InputError(
            f"`--queue` with target `{target.name}`, which is measured on the machine that the search runs on",
            "a queue is for phones that are attached to other machines",
        )


def parse_address(address: str) -> tuple[str, int]:
    """`HOST:PORT` -> (host, port).

    Raises:
        InputError: it is none.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise InputError(
            f"`{address}` is no address to listen on",
            "`HOST:PORT`, e.g. `192.168.1.20:8123`; `127.0.0.1:8123` is reached from this machine and through SSH only",
        )
    return host.strip("[]"), int(port)


def _id(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise QueueError(422, f"`{key}` is not an id")
    return value


def _failure(data: Any) -> MeasureFailure:
    if not isinstance(data, dict) or data.get("kind") not in get_args(MeasureFault):
        raise QueueError(422, f"`failure` takes a `kind` of {', '.join(get_args(MeasureFault))}")
    texts = {k: data.get(k, "") for k in ("message", "hint")}
    if not all(isinstance(t, str) for t in texts.values()):
        raise QueueError(422, "`message` and `hint` are texts")
    return MeasureFailure(data["kind"], texts["message"][:MAX_TEXT], texts["hint"][:MAX_TEXT])


def _check_record(record: LatencyRecord) -> None:
    """Raise ValueError for what no measurement can have given."""
    for name in ("value_ms", "low_ms", "high_ms", "level", "warm_up_s"):
        _number(name, getattr(record, name))
    if record.load_ms is not None:
        _number("load_ms", record.load_ms)
    if not 0 < record.low_ms <= record.value_ms <= record.high_ms or not 0 < record.level < 1:
        raise ValueError("`low_ms`, `value_ms`, `high_ms` are not in this order above zero, or `level` is not below 1")
    for name in ("rounds", "warm_up_n", "resolution", "batch"):
        if type(getattr(record, name)) is not int or getattr(record, name) < 0:
            raise ValueError(f"`{name}` is not a count")
    samples = (*record.samples_ms, *record.reference_samples_ms)
    if not record.samples_ms or len(samples) > MAX_SAMPLES:
        raise ValueError(f"no samples, or more than {MAX_SAMPLES:,}")
    for sample in samples:
        _number("samples_ms", sample)
        if sample <= 0:
            raise ValueError("a sample is not above zero")
    texts = [record.artifact, record.arch_id, record.target, record.target_key, record.protocol, record.statistic, record.host,
             record.taken_at, *record.flags, *(t for pair in (*record.conditions, *record.versions) for t in pair)]  # fmt: skip
    if not all(isinstance(t, str) and len(t) <= MAX_TEXT for t in texts) or len(texts) > MAX_TEXT:
        raise ValueError("a text is none, or is too long")


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"`{name}` is not a finite number of at least 0")


def _handler(queue: MeasureQueue) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "mvsearch", ""
        timeout = 30  # Of a silent connection.

        def do_GET(self) -> None:
            self._answer(self._get)

        def do_POST(self) -> None:
            self._answer(self._post)

        def _get(self) -> bytes | dict[str, Any]:
            if self.path == "/queue":
                return queue.about()
            folder, _, number = self.path.removeprefix("/").partition("/")
            if folder != "package":
                raise QueueError(404, "there is no such place")
            return queue.package(number)

        def _post(self) -> dict[str, Any]:
            doors = {"/lease": queue.lease, "/renew": queue.renew, "/result": queue.result, "/leave": queue.leave}
            if self.path not in doors:
                raise QueueError(404, "there is no such place")
            return doors[self.path](self._body())

        def _body(self) -> dict[str, Any]:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit():
                raise QueueError(411, "a body with its length")
            if int(length) > MAX_BODY:
                raise QueueError(413, f"a body of at most {MAX_BODY:,} bytes")
            try:
                body = json.loads(self.rfile.read(int(length)), parse_constant=_no_constant)
            except (ValueError, RecursionError):
                raise QueueError(400, "the body is no JSON") from None
            if not isinstance(body, dict):
                raise QueueError(400, "the body is no JSON object")
            return body

        def _answer(self, door: Callable[[], bytes | dict[str, Any]]) -> None:
            try:
                given = self.headers.get("Authorization", "").removeprefix("Bearer ")
                if not hmac.compare_digest(given.encode(), queue.token.encode()):
                    raise QueueError(401, "the token is wrong")
                status, answer = 200, door()
            except QueueError as error:
                status, answer = error.status, {"error": str(error)}
            except (TimeoutError, ConnectionError):
                return
            except Exception as error:  # A fault of ours ends this request, not the server.
                status, answer = 500, {"error": f"{type(error).__name__}: {error}"}
            data = answer if isinstance(answer, bytes) else json.dumps({"schema": SCHEMA, **answer}).encode()
            try:
                self.send_response(status)
                kind = "application/zip" if isinstance(answer, bytes) else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (TimeoutError, ConnectionError):
                pass

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the search's terminal is not a server's log."""

    return Handler


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")
