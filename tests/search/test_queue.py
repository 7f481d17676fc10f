"""The pull queue over a real socket: good workers, bad ones, and none."""

import http.client
import json
import socket
import threading
import time
from dataclasses import replace

import pytest

from mvsearch.errors import InputError
from mvsearch.search.estimate import estimate
from mvsearch.search.measuring import Job, MeasureFailure
from mvsearch.search.queue import MAX_BODY, MeasureQueue, check_servable, parse_address
from mvsearch.search.queue_worker import QueueClient, measure_from_queue
from mvsearch.spec.published import network
from mvsearch.targets import LatencyRecord, MeasurementCache, get_target
from mvsearch.targets.coreml.package import artifact_of
from tests.search.fake_phone import FakePhone, package, record

NAMES = ("mobilevit_xxs", "mobilevit_xs", "mobilevitv2_0.5")
TOKEN = "a shared secret"
WORKER = "0123456789abcdef"


@pytest.fixture
def jobs(tmp_path):
    phone = FakePhone()
    found = []
    for name in NAMES:
        spec = network(name)
        found.append(Job(estimate(spec, 256, phone), package(tmp_path / f"{spec.arch_id}.mlpackage", spec, 256)))
    return found


@pytest.fixture
def serve():
    """Starts queues and stops them."""
    queues = []

    def start(address="127.0.0.1:0", **options):
        queues.append(MeasureQueue(address, FakePhone(available=False), 256, **{"token": TOKEN, "lease_s": 0.6, **options}))
        return queues[-1]

    yield start
    for queue in queues:
        queue._state.seen.clear()  # No goodbye to workers that are long gone.
        queue.close()


def client(url, token=TOKEN, patience_s=5.0):
    return QueueClient(url, token, patience_s, sleep=lambda s: time.sleep(min(s, 0.05)))


class Worker(threading.Thread):
    """`measure_from_queue` on a thread of its own."""

    def __init__(self, url, phone, tmp_path, **options):
        super().__init__(daemon=True)
        self.client, self.phone = client(url, **options), phone
        self.cache = MeasurementCache(tmp_path / "worker-cache")
        self.found, self.ended = None, None
        self.start()

    def run(self):
        self.found, self.ended = measure_from_queue(self.client, self.phone, cache=self.cache)


def call(queue, path, body=None, token=TOKEN, headers=None):
    """A request by hand: (status, answer)."""
    connection = http.client.HTTPConnection(*queue.url.removeprefix("http://").split(":"), timeout=5)
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path, data, {"Authorization": f"Bearer {token}", **(headers or {})})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content if answer.headers["Content-Type"] == "application/zip" else json.loads(content)


def lease(queue, worker=WORKER):
    return call(queue, "/lease", {"worker": worker, "target_key": FakePhone.spec.key})[1]["job"]


def send(queue, job, data, worker=WORKER):
    return call(queue, "/result", {"worker": worker, "job": job["id"], "record": data})


def good(jobs, job, ms=2.0):
    """The record that a good worker sends for a job."""
    path = next(j.package for j in jobs if j.evaluation.arch_id == job["arch_id"])
    return record(artifact_of(path), ms)


def wait_for(check, timeout=10.0):
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_a_worker_measures_what_is_given_out_and_ends_when_the_queue_closes(serve, jobs, tmp_path):
    kept = []
    queue = serve(keep=kept.append)
    phone = FakePhone(factor=1.3)
    worker = Worker(queue.url, phone, tmp_path)
    wait_for(lambda: queue._state.seen)
    for job in jobs:
        queue.offer(job)
        queue.offer(job)
    results = {job.evaluation.arch_id: outcome for job, outcome in queue.results()}
    assert {a: o.value_ms for a, o in results.items()} == {
        j.evaluation.arch_id: phone.truth(j.evaluation.spec, 256) for j in jobs
    }
    assert sorted(phone.measured) == sorted(results), "each of them once"
    assert sorted(r.arch_id for r in kept) == sorted(results)
    queue.end()
    worker.join(5)
    assert worker.ended == ""
    assert {m.arch_id: m.record for m in worker.found} == results
    assert all(m.predicted == j.evaluation.measurements["latency"] for m, j in zip(worker.found, jobs, strict=True))


def test_without_workers_the_search_does_not_wait(serve, jobs):
    queue = serve()
    for job in jobs:
        queue.offer(job)
    before = time.monotonic()
    assert list(queue.results()) == []
    assert time.monotonic() - before < 0.5


def test_a_worker_that_vanishes_with_a_job_loses_it_to_another(serve, jobs, tmp_path):
    queue = serve()
    queue.offer(jobs[0])
    taken = lease(queue)
    assert lease(queue, "fedcba9876543210") is None, "leased to one at a time"
    worker = Worker(queue.url, FakePhone(), tmp_path)
    [(job, outcome)] = list(queue.results())
    assert job.evaluation.arch_id == taken["arch_id"]
    assert isinstance(outcome, LatencyRecord)
    # The lost one comes back with its result: nothing changes.
    assert send(queue, taken, good(jobs, taken, 9.0).to_json()) == (200, {"schema": 1, "accepted": True, "known": True})
    assert list(queue.results()) == []
    queue.end()
    worker.join(5)


def test_when_the_last_worker_vanishes_the_search_goes_on(serve, jobs):
    queue = serve(lease_s=0.3)
    for job in jobs:
        queue.offer(job)
    taken = lease(queue)
    send(queue, taken, good(jobs, taken).to_json())
    lease(queue)
    before = time.monotonic()
    assert [job.evaluation.arch_id for job, _ in queue.results()] == [taken["arch_id"]]
    assert 0.2 < time.monotonic() - before < 2


def test_workers_that_bring_nothing_are_not_waited_for_for_ever(serve, jobs):
    queue = serve(patience_s=0.5, lease_s=5.0)
    queue.offer(jobs[0])
    lease(queue)
    before = time.monotonic()
    assert list(queue.results()) == []
    assert 0.4 < time.monotonic() - before < 2


def test_a_long_measurement_keeps_its_lease(serve, jobs, tmp_path):
    queue = serve(lease_s=0.3)
    queue.offer(jobs[0])
    phone = FakePhone(seconds=1.2)
    worker = Worker(queue.url, phone, tmp_path)
    wait_for(lambda: queue._state.seen)
    assert len(list(queue.results())) == 1
    assert len(phone.measured) == 1
    assert next(iter(queue._state.entries.values())).leases == 1
    queue.end()
    worker.join(5)


def test_a_job_that_takes_its_workers_down_is_given_up(serve, jobs):
    queue = serve(lease_s=0.05)
    queue.offer(jobs[0])
    for number in range(4):
        assert lease(queue, f"{number:016x}")
        time.sleep(0.1)
    assert lease(queue) is None
    [(_, outcome)] = list(queue.results())
    assert outcome == MeasureFailure("worker-lost", "its worker vanished 4 times")


def test_a_worker_that_leaves_gives_its_job_back_at_once(serve, jobs):
    queue = serve(lease_s=60.0)
    queue.offer(jobs[0])
    taken = lease(queue)
    assert call(queue, "/leave", {"worker": WORKER})[0] == 200
    assert lease(queue, "fedcba9876543210")["id"] == taken["id"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " ", "Bearer"])
def test_a_wrong_token_sees_and_changes_nothing(serve, jobs, token, tmp_path):
    queue = serve()
    queue.offer(jobs[0])
    number = next(iter(queue._state.entries))
    requests = [
        ("/queue", None),
        ("/lease", {"worker": WORKER, "target_key": FakePhone.spec.key}),
        (f"/package/{number}", None),
    ]
    for path, body in requests:
        status, answer = call(queue, path, body, token=token)
        assert (status, answer) == (401, {"schema": 1, "error": "the token is wrong"})
    assert not queue._state.seen
    with pytest.raises(InputError, match="refuses the token") as error:
        measure_from_queue(client(queue.url, token or "none"), FakePhone())
    assert "MVSEARCH_QUEUE_TOKEN" in error.value.hint


def test_another_target_is_refused(serve, jobs):
    queue = serve()
    other = FakePhone()
    other.spec = replace(other.spec, protocol="another")
    with pytest.raises(InputError, match="another target, or another version"):
        measure_from_queue(client(queue.url), other)


def garbage(data):
    """Records that are none, each with what is wrong in its answer."""
    yield "schema", {**data, "schema": 99}
    yield "lacks", {k: v for k, v in data.items() if k != "host"}
    yield "too many", {**data, "more": 1}
    yield "artifact", {**data, "artifact": "another"}
    yield "arch_id", {**data, "arch_id": "000000000000"}
    yield "target_key", {**data, "target_key": "f" * 16}
    yield "protocol", {**data, "protocol": "another"}
    yield "batch", {**data, "batch": 100}
    yield "value_ms", {**data, "value_ms": "2.0"}
    yield "in this order", {**data, "value_ms": 50.0}
    yield "above zero", {**data, "low_ms": -1.0}
    yield "value_ms", {**data, "value_ms": True}
    yield "above zero", {**data, "samples_ms": []}
    yield "above zero", {**data, "samples_ms": [1.0, 0.0]}
    yield "samples_ms", {**data, "samples_ms": [1.0, "x"]}
    yield "text", {**data, "host": "x" * 10_000}
    yield "record.host", {**data, "host": 7}
    yield "not a latency record", {**data, "conditions": [["a"]]}
    yield "not a latency record", {**data, "samples_ms": 3}
    yield "JSON object", ["a", "list"]
    yield "JSON object", None


def test_garbage_is_refused_and_the_job_stays(serve, jobs):
    queue = serve(lease_s=30.0)
    queue.offer(jobs[0])
    taken = lease(queue)
    data = good(jobs, taken).to_json()
    for said, bad in garbage(data):
        status, answer = send(queue, taken, bad)
        assert status == 422, bad
        assert said in answer["error"], answer
    for status, body in ((400, b"{no json"), (400, b"[1]"), (400, b'{"a": NaN}'), (400, b"[" * 100_000), (400, b"\xff\xfe")):
        assert call(queue, "/result", body)[0] == status
    assert call(queue, "/result", {"worker": "../..", "job": taken["id"], "record": data})[0] == 422
    assert call(queue, "/result", {"worker": WORKER, "job": "ffffffffffffffff", "record": data})[0] == 404
    assert call(queue, "/result", {"worker": WORKER, "job": taken["id"]})[0] == 422
    assert call(queue, "/result", {"worker": WORKER, "job": taken["id"], "failure": {"kind": "nonsense"}})[0] == 422
    assert call(queue, "/nowhere", {})[0] == call(queue, "/nowhere")[0] == call(queue, "/package/../../etc/passwd")[0] == 404
    assert not queue._state.done
    assert send(queue, taken, data)[0] == 200
    [(_, outcome)] = list(queue.results())
    assert outcome == good(jobs, taken)
    assert send(queue, taken, data) == (200, {"schema": 1, "accepted": True, "known": True}), "the same once more"
    assert list(queue.results()) == []


def test_a_body_beyond_the_limit_is_not_read(serve):
    queue = serve()
    host, port = queue.url.removeprefix("http://").split(":")
    for length, status in ((str(MAX_BODY + 1), b"413"), ("-5", b"411"), ("many", b"411")):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            head = f"POST /lease HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode())
            assert status in connection.recv(100)


def test_a_failure_is_tried_by_another_and_then_recorded(serve, jobs, tmp_path):
    queue = serve()
    queue.offer(jobs[0])
    worker = Worker(queue.url, FakePhone(faults={"*": "unplugged"}), tmp_path)
    wait_for(lambda: queue._state.seen)
    [(_, outcome)] = list(queue.results())
    assert outcome == MeasureFailure("unplugged", "the fake phone is unplugged", "it is meant to be")
    queue.end()
    worker.join(5)
    assert [m.outcome.kind for m in worker.found] == ["unplugged", "unplugged"]


def test_a_network_that_the_runtime_refuses_is_not_given_out_again(serve, jobs, tmp_path):
    queue = serve()
    queue.offer(jobs[0])
    worker = Worker(queue.url, FakePhone(faults={"*": "load"}), tmp_path)
    wait_for(lambda: queue._state.seen)
    [(_, outcome)] = list(queue.results())
    assert outcome.kind == "load"
    queue.end()
    worker.join(5)
    assert len(worker.found) == 1


def test_a_worker_outlives_a_search_that_is_stopped_and_resumed(serve, jobs, tmp_path):
    first = serve()
    address = first.url.removeprefix("http://")
    for job in jobs[:2]:
        first.offer(job)
    phone = FakePhone(seconds=0.3)
    worker = Worker(first.url, phone, tmp_path, patience_s=10_000.0)
    wait_for(lambda: first._state.seen)
    assert next(first.results())
    first.close()
    time.sleep(0.5)
    second = serve(address)
    for job in jobs:
        second.offer(job)
    wait_for(lambda: second._state.seen)
    assert sorted(j.evaluation.arch_id for j, _ in second.results()) == sorted(j.evaluation.arch_id for j in jobs)
    assert len(phone.measured) == 3, "what was measured for the first comes from the worker's cache"
    second.end()
    worker.join(5)
    assert worker.ended == ""


def test_a_worker_gives_up_on_a_search_that_does_not_come_back(serve, jobs, tmp_path):
    queue = serve()
    url = queue.url
    queue.offer(jobs[0])
    worker = Worker(url, FakePhone(), tmp_path, patience_s=3.0)
    wait_for(lambda: queue._state.seen)
    assert next(queue.results())
    queue.close()
    worker.join(10)
    assert "was not reached for 3 s" in worker.ended
    assert len(worker.found) == 1


def test_a_package_that_changed_on_its_way_is_not_measured(serve, jobs, tmp_path, monkeypatch):
    queue = serve()
    queue.offer(jobs[0])
    monkeypatch.setattr(queue, "package", lambda number: b"PK something else")
    phone = FakePhone()
    worker = Worker(queue.url, phone, tmp_path)
    wait_for(lambda: queue._state.seen)
    [(_, outcome)] = list(queue.results())
    assert outcome.kind == "tool"
    assert "arrived changed" in outcome.message
    assert phone.measured == []
    queue.end()
    worker.join(5)


def test_the_end_is_told_before_the_server_goes(serve, tmp_path):
    queue = serve()
    worker = Worker(queue.url, FakePhone(), tmp_path)
    wait_for(lambda: queue._state.seen)
    queue.end()
    queue.close()
    worker.join(1)
    assert worker.ended == ""


def test_what_is_no_queue_is_said(tmp_path):
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Other(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>a web site</html>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(InputError, match="does not answer as a queue"):
            measure_from_queue(client(f"http://127.0.0.1:{server.server_port}"), FakePhone())
        server.shutdown()
    for url in ("ftp://a:1", "http://", "http://host:1/path", "http://host:port", "nonsense"):
        with pytest.raises(InputError, match="no address of a queue"):
            QueueClient(url, TOKEN)


@pytest.mark.parametrize("address", ["", "8123", "host", "host:", ":8123", "host:eighty", "host:99999"])
def test_addresses_that_are_none(address):
    with pytest.raises(InputError, match="no address to listen on"):
        parse_address(address)


def test_an_address_that_is_taken_is_one_message(serve):
    queue = serve()
    with pytest.raises(InputError, match="cannot listen on"):
        MeasureQueue("198.51.100.1:8123", FakePhone(), 256)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="cannot listen on"):
        MeasureQueue(f"127.0.0.1:{taken.getsockname()[1]}", FakePhone(), 256)
    assert queue.url.startswith("http://127.0.0.1:")


def test_a_queue_is_for_phones():
    with pytest.raises(InputError, match="measured on the machine that the search runs on"):
        check_servable(get_target("cpu"))
    check_servable(get_target("iphone12"))


def test_the_token_is_drawn_or_taken_from_the_environment(serve, monkeypatch):
    monkeypatch.delenv("MVSEARCH_QUEUE_TOKEN", raising=False)
    drawn = {serve(token=None).token for _ in range(2)}
    assert len(drawn) == 2
    assert min(map(len, drawn)) >= 20
    monkeypatch.setenv("MVSEARCH_QUEUE_TOKEN", "ours")
    assert serve(token=None).token == "ours"
