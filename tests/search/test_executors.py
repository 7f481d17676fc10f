"""One contract for every executor: results as they come, and failures as records."""

import os
import time

import pytest

from mvsearch.search.executor import InProcessExecutor, LazyExecutor, TaskError
from mvsearch.spec.record import Failure


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
        os._exit(1)
    time.sleep(0.05)
    return x


def process_id(_):
    time.sleep(0.2)
    return os.getpid()


@pytest.fixture(scope="module")
def ray_executor():
    from mvsearch.search.ray import RayExecutor

    executor = RayExecutor(2)
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


def test_ray_runs_on_several_workers(ray_executor):
    ids = {pid for _, pid in ray_executor.map(process_id, list(range(6)))}
    assert len(ids) == 2
    assert os.getpid() not in ids


def test_a_candidate_that_kills_its_worker_is_recorded_and_the_others_survive(ray_executor):
    results = dict(ray_executor.map(deadly, list(range(4))))
    assert results[1].kind == "worker-lost"
    assert {i: results[i] for i in (0, 2, 3)} == {0: 0, 2: 2, 3: 3}
    assert dict(ray_executor.map(double, [1, 2])) == {0: 2, 1: 4}
