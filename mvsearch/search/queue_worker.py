"""The side of the pull queue that holds the device: asks for networks, measures them, sends the records back."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mvsearch.errors import InputError, MeasureError, MvsearchError, TargetError
from mvsearch.search.measuring import Measured, MeasureFailure, Outcome
from mvsearch.search.packages import MAX_BYTES, unpack
from mvsearch.search.queue import AGAIN_S, SCHEMA, TOKEN_VARIABLE
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.spec.record import Measurement
from mvsearch.targets import Artifact, LatencyRecord, MeasurementCache, StopPolicy, Target, take
from mvsearch.targets.coreml.package import artifact_of

TIMEOUT_S = 30.0
PATIENCE_S = 600.0
"""For which a server that does not answer is tried again: a search that was stopped may be resumed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
MAX_ANSWER = 16 * 2**20


class QueueClient:
    """Speaks to a queue's server.

    Args:
        url: `http://HOST:PORT`.
        token: the shared secret.
        patience_s: see `PATIENCE_S`.
        sleep: waits so many seconds.

    Raises:
        InputError: no such address.
    """

    def __init__(
        self, url: str, token: str, patience_s: float = PATIENCE_S, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
            raise InputError(f"`{url}` is no address of a queue", "`http://HOST:PORT`, as the search prints it")
        self.url, self.token, self.patience_s, self.sleep = url, token, patience_s, sleep
        self.worker = secrets.token_hex(8)
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place = (host, port)

    def ask(self, path: str, body: Mapping[str, Any] | None = None, *, once: bool = False) -> tuple[int, dict[str, Any]]:
        """(status, answer) of a request; tried again while the server does not answer, unless `once`.

        Raises:
            ConnectionError: it did not answer for `patience_s`.
            InputError: the token is wrong, or this is no queue of this version.
        """
        status, data = self._again(path, body, MAX_ANSWER, once)
        try:
            answer = json.loads(data)
            if not isinstance(answer, dict) or answer.get("schema") != SCHEMA:
                raise ValueError
        except ValueError:
            raise InputError(f"`{self.url}` does not answer as a queue of this version of mvsearch", "") from None
        if status == 401:
            raise InputError(
                f"the queue at `{self.url}` refuses the token", f"set `{TOKEN_VARIABLE}` to the one that the search printed"
            )
        return status, answer

    def package(self, number: str) -> bytes | None:
        """The zip file of a job's package; None if the job is not known any more."""
        status, data = self._again(f"/package/{number}", None, MAX_BYTES, False)
        return data if status == 200 else None

    def _again(self, path: str, body: Mapping[str, Any] | None, limit: int, once: bool) -> tuple[int, bytes]:
        pause, waited = FIRST_PAUSE_S, 0.0
        while True:
            try:
                status, data = self._request(path, body, limit)
                if status < 500:
                    return status, data
                error: Exception = ConnectionError(f"status {status}: {data[:200].decode(errors='replace')}")
            except (OSError, http.client.HTTPException) as problem:
                error = problem
            if once or waited >= self.patience_s:
                raise ConnectionError(f"`{self.url}` did not answer: {error}") from None
            self.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE_S)

    def _request(self, path: str, body: Mapping[str, Any] | None, limit: int) -> tuple[int, bytes]:
        host, port = self._place
        connection = self._connection(host or "", port, timeout=TIMEOUT_S)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body).encode()
            connection.request("GET" if data is None else "POST", path, data, headers)
            answer = connection.getresponse()
            content = answer.read(limit + 1)
            if len(content) > limit:
                raise InputError(f"`{self.url}` sent more than {limit / 2**20:.0f} MB", "is this the queue of a search?")
            return answer.status, content
        finally:
            connection.close()


def measure_from_queue(
    client: QueueClient,
    target: Target,
    *,
    policy: StopPolicy | None = None,
    fresh: bool = False,
    cache: MeasurementCache | None = None,
    heard: Callable[[Measured], None] = lambda _: None,
) -> tuple[list[Measured], str]:
    """Measure what a queue gives out until it closes, or is not reached for `client.patience_s`.

    Records are kept in the cache too, so that a job which is given out again, by a search that was resumed, is answered
    at once.

    Args:
        client: of the queue.
        target: the device here.
        policy: how long to measure.
        fresh: measure even what the cache holds; a job that is a repeat is measured anew in any case.
        cache: of this machine.
        heard: called after every network.

    Returns:
        What was measured or failed, in order, and why it ended if not because the queue closed.

    Raises:
        InputError: wrong token, another target, or no queue at all.
    """
    found: list[Measured] = []
    try:
        while True:
            status, answer = client.ask("/lease", {"worker": client.worker, "target_key": target.spec.key})
            if status != 200:
                raise InputError(f"the queue at `{client.url}` refuses this worker: {answer.get('error')}", "")
            if answer.get("closed"):
                return found, ""
            job = _job(answer)
            if job is None:
                client.sleep(AGAIN_S)
                continue
            with _kept(client, job):
                outcome = _measure(client, job, target, policy, fresh, cache)
            if outcome is None:
                continue
            found.append(Measured(job.spec.arch_id, job.spec.arch_id, job.predicted, outcome))
            heard(found[-1])
            if refused := _send(client, job, outcome):
                found[-1] = replace(found[-1], outcome=refused)
                _send(client, job, refused)
    except ConnectionError as error:
        return (
            found,
            f"ended as the queue was not reached for {client.patience_s:.0f} s ({error}); every record is in this cache",
        )
    finally:
        with suppress(ConnectionError, MvsearchError):
            client.ask("/leave", {"worker": client.worker}, once=True)


@dataclass(frozen=True, slots=True)
class _Job:
    """What the server gave out; see `search/queue.py`."""

    id: str
    artifact: str
    spec: ArchSpec
    sha256: str
    predicted: Measurement | None
    lease_s: float
    fresh: bool


def _job(answer: Mapping[str, Any]) -> _Job | None:
    try:
        given = answer["job"]
        if given is None:
            return None
        predicted = Measurement.from_json(given["predicted"])
        return _Job(
            given["id"], given["artifact"], from_json(given["spec"]), given["sha256"],
            predicted if predicted.kind == "predicted" else None, min(3600.0, max(1e-3, float(given["lease_s"]))),
            given["fresh"] is True,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(
            f"the queue gave out what is no job: {error}", "use the same version of mvsearch on both sides"
        ) from None


def _measure(
    client: QueueClient, job: _Job, target: Target, policy: StopPolicy | None, fresh: bool, cache: MeasurementCache | None
) -> Outcome | None:
    """None where the server does not know the job any more."""
    try:
        with tempfile.TemporaryDirectory(prefix="mvsearch-") as folder:
            artifact = _fetch(client, job, Path(folder))
            return take(target, artifact, policy, cache, fresh=fresh or job.fresh) if artifact else None
    except MeasureError as error:
        return MeasureFailure(error.kind, error.message, error.hint)
    except TargetError as error:
        return MeasureFailure("unavailable", error.message, error.hint)
    except MvsearchError as error:
        return MeasureFailure("tool", error.message, error.hint)


def _fetch(client: QueueClient, job: _Job, folder: Path) -> Artifact | None:
    data = client.package(job.id)
    if data is None:
        return None
    if hashlib.sha256(data).hexdigest() != job.sha256:
        raise InputError(f"the package of `{job.spec.arch_id}` arrived changed", "send it again")
    path = folder / f"{job.spec.arch_id}.mlpackage"
    unpack(data, path)
    artifact = artifact_of(path, job.spec)
    if artifact.key != job.artifact:
        raise InputError(f"the package that was sent is `{artifact.key}`, and not `{job.artifact}`", "")
    return artifact


def _send(client: QueueClient, job: _Job, outcome: Outcome) -> MeasureFailure | None:
    """Send a result; gives what the server has against it. A job that it does not know any more is nothing: see the cache."""
    body: dict[str, Any] = {"worker": client.worker, "job": job.id}
    if isinstance(outcome, LatencyRecord):
        body["record"] = outcome.to_json()
    else:
        body["failure"] = {"kind": outcome.kind, "message": outcome.message, "hint": outcome.hint}
    status, answer = client.ask("/result", body)
    return None if status in (200, 404) else MeasureFailure("tool", f"the search refused the result: {answer.get('error')}")


@contextmanager
def _kept(client: QueueClient, job: _Job) -> Iterator[None]:
    """Renew the lease while the block lasts."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(job.lease_s / 4):
            with suppress(ConnectionError, MvsearchError):
                client.ask("/renew", {"worker": client.worker, "job": job.id}, once=True)

    thread = threading.Thread(target=renew, name="measure-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1.0)
