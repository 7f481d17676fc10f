"""One contract for every executor: results as they come, and failures as records."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mvsearch.search.executor import InProcessExecutor, LazyExecutor, TaskError
from mvsearch.search.interrupt import STOP
from mvsearch.spec.record import Failure

LIMIT_BYTES = 600 * 2**20


def double(x):
    return 2 * x


def troublesome(x):
    if x == 1:
        raise ValueError("a bug\nwith a second line")
    if x == 2:
        raise TaskError("convert-fail", "no such operator")
    if x == 3:
        raise MemoryError("too large")
    if x == 4:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")
    return x


def deadly(x):
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return x


def deadly_once(path):
    """Takes its worker down the first time that it is called."""
    if path and not Path(path).exists():
        Path(path).touch()
        os._exit(1)
    return path


def greedy(x):
    if x == 1:
        taken = []
        while True:
            taken.append(bytearray(os.urandom(2**16)) * 256)
    return x


def endless(x):
    """At 1 it does not come back, nor does it let any other thread of its process run."""
    if x == 1:
        re.match("(a+)+$", "a" * 64 + "b")
    return x


def process_id(_):
    time.sleep(0.2)
    return os.getpid()


@pytest.fixture(scope="module")
def ray_executor():
    from mvsearch.search.ray import RayExecutor

    executor = RayExecutor(2, memory_bytes=LIMIT_BYTES)
    yield executor
    executor.close()


@pytest.fixture(params=["in-process", "ray", "lazy"])
def executor(request):
    if request.param == "ray":
        return request.getfixturevalue("ray_executor")
    return InProcessExecutor() if request.param == "in-process" else LazyExecutor(InProcessExecutor)


def test_every_item_has_its_result(executor):
    assert dict(executor.map(double, list(range(20)))) == {i: 2 * i for i in range(20)}


def test_no_items(executor):
    assert list(executor.map(double, [])) == []


def test_a_source_may_depend_on_the_results(executor):
    """Doubles a number until it exceeds 20; the next one is known only when the one before is done."""
    last, done = [1], []

    def source():
        return last.pop() if last else None

    for number, result in executor.feed(double, source):
        done.append((number, result))
        if result < 20:
            last.append(result)
    assert done == [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32)]


def test_a_source_with_nothing(executor):
    assert list(executor.feed(double, lambda: None)) == []


def test_a_failure_is_a_record_with_its_kind(executor):
    results = dict(executor.map(troublesome, list(range(6))))
    assert results[0] == 0
    assert results[5] == 5
    assert results[1].kind == "error"
    assert results[1].message.startswith("ValueError: a bug")
    assert "\n" not in results[1].message
    assert results[2] == Failure("convert-fail", "no such operator")
    assert results[3].kind == results[4].kind == "oom"


def test_a_stop_lets_what_runs_end_and_begins_nothing_new(executor):
    asked, results = [], {}

    def source():
        asked.append(len(asked))
        return asked[-1]

    with pytest.raises(KeyboardInterrupt):
        for index, result in executor.feed(double, source):
            results[index] = result
            if index == 5:
                assert STOP.ask()
    assert results == {i: 2 * i for i in asked}, "what was begun has its result"
    assert dict(executor.map(double, [1, 2])) == {0: 2, 1: 4}, "and the next work is done as ever"


def test_who_breaks_off_may_go_on_with_something_else(executor):
    for _ in executor.feed(double, iter(range(1000)).__next__):
        break
    assert dict(executor.map(double, [1, 2])) == {0: 2, 1: 4}


def workers_of(executor):
    """Process ids of both workers, once both are there: one that was lost takes a moment to be replaced."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        ids = {pid for _, pid in executor.map(process_id, list(range(4)))}
        if len(ids) == 2:
            return ids
    raise AssertionError("the second worker never came")


def test_ray_runs_on_several_workers(ray_executor):
    assert os.getpid() not in workers_of(ray_executor)


def test_workers_live_long(ray_executor):
    assert workers_of(ray_executor) == workers_of(ray_executor)


def test_a_candidate_that_kills_its_worker_is_recorded_and_the_others_survive(ray_executor):
    results = dict(ray_executor.map(deadly, list(range(4))))
    assert results[1].kind == "worker-lost"
    assert {i: results[i] for i in (0, 2, 3)} == {0: 0, 2: 2, 3: 3}
    assert dict(ray_executor.map(double, [1, 2])) == {0: 2, 1: 4}


def test_a_candidate_that_lost_its_worker_once_is_tried_again(ray_executor, tmp_path):
    path = str(tmp_path / "once")
    assert dict(ray_executor.map(deadly_once, ["", path, ""])) == {0: "", 1: path, 2: ""}


def test_a_candidate_that_takes_too_much_memory_is_recorded_as_that(ray_executor):
    results = dict(ray_executor.map(greedy, list(range(4))))
    assert results[1].kind == "oom"
    assert re.fullmatch(r"its worker took \d+\.\d GiB of memory, more than the 0\.6 GiB that each may", results[1].message)
    assert {i: results[i] for i in (0, 2, 3)} == {0: 0, 2: 2, 3: 3}


def test_a_candidate_that_hangs_is_given_up_while_others_go_on(ray_executor):
    workers_of(ray_executor)
    items = iter(range(400))
    order = [
        i for i, r in ray_executor.feed(endless, lambda: next(items, None), timeout_s=1.5) if r == i or r.kind == "timeout"
    ]
    assert sorted(order) == list(range(400))
    assert order.index(1) > 1, "the others did not wait for it"


def test_an_executor_that_is_still_starting_says_so():
    may = threading.Event()
    closed = []

    class Slow(InProcessExecutor):
        def __init__(self):
            may.wait(30)

        def close(self):
            closed.append(True)

    lazy = LazyExecutor(Slow)
    assert not lazy.ready
    may.set()
    assert dict(lazy.map(double, [1])) == {0: 2}
    assert lazy.ready
    lazy.close()
    assert closed == [True]


FORKS_WHILE_MATRICES_ARE_MULTIPLIED = """
import subprocess
import numpy as np
from mvsearch.search.executor import InProcessExecutor, LazyExecutor

def start():
    for _ in range(100):
        subprocess.run(["true"], preexec_fn=lambda: None)  # As Ray starts its processes: by a real `fork`.
    return InProcessExecutor()

matrix = np.ones((300, 60))
executor = LazyExecutor(start)
while not executor.ready:
    matrix @ matrix.T
executor.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_a_start_that_forks_does_not_lock_what_computes_meanwhile():
    """OpenBLAS waits at every fork for its threads, which may wait for the thread that forks: both stand for ever."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", FORKS_WHILE_MATRICES_ARE_MULTIPLIED], check=True, timeout=60, env=environment)


def test_a_start_that_failed_is_told_to_who_asks_for_a_worker_and_to_nobody_else():
    def start():
        raise OSError("no room")

    lazy = LazyExecutor(start)
    with pytest.raises(OSError, match="no room"):
        list(lazy.map(double, [1]))
    lazy.close()
