"""Ray's start: a bounded number of attempts, nothing left of a failed one, one start at a time on a machine."""

import signal
import threading
import time
from contextlib import closing
from typing import ClassVar

import pytest

from mvsearch.errors import InputError
from mvsearch.search.executor import InProcessExecutor, LazyExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.goals import Goals
from mvsearch.search.ray import start
from mvsearch.search.ray.start import join_ray, one_start_at_a_time, start_ray
from mvsearch.search.store import Store
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target

SLOW = "The current node timed out during startup."


class Node:
    """As Ray's own: its constructor raises, with processes running that nobody else knows of."""

    left: ClassVar[list] = []

    def __init__(self):
        Node.left.append(self)
        raise Exception(SLOW)

    def kill_all_processes(self, check_alive, allow_graceful):
        Node.left.remove(self)


class FakeRay:
    """Fails so many times before it starts."""

    def __init__(self, failures):
        self.failures, self.asked, self.shutdowns = failures, [], 0

    def init(self, **options):
        self.asked.append(options)
        if len(self.asked) <= self.failures:
            Node()

    def shutdown(self):
        self.shutdowns += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(start, "PAUSE_S", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_start_that_fails_is_tried_again(failures):
    ray = FakeRay(failures)
    start_ray(ray, 3, {"iphone12": 1})
    assert len(ray.asked) == failures + 1
    assert ray.shutdowns == failures, "between attempts, and not after the one that succeeded"
    assert Node.left == []
    assert {(o["num_cpus"], o["resources"]["iphone12"], o["address"]) for o in ray.asked} == {(3, 1, "local")}


def test_a_start_that_always_fails_is_one_clear_message():
    ray = FakeRay(99)
    with pytest.raises(InputError) as caught:
        start_ray(ray, 2, {})
    assert len(ray.asked) == start.ATTEMPTS == ray.shutdowns
    assert Node.left == []
    assert caught.value.message == f"Ray did not start in 3 attempts: {SLOW}"
    assert "`--in-process`" in caught.value.hint


def test_no_cluster_at_an_address():
    ray = FakeRay(99)
    with pytest.raises(InputError, match=r"no Ray cluster at `10\.0\.0\.1:6379`") as caught:
        join_ray(ray, "10.0.0.1:6379")
    assert "ray start --head" in caught.value.hint
    assert ray.shutdowns == 1


def test_starts_wait_for_each_other():
    inside, most = [], []

    def begin():
        with one_start_at_a_time():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.1)
            inside.pop()

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == [1, 1, 1]


def test_nobody_waits_for_ever(monkeypatch):
    monkeypatch.setattr(start, "TURN_S", 0.1)
    with one_start_at_a_time():
        done = threading.Event()

        def begin():
            with one_start_at_a_time():
                done.set()

        threading.Thread(target=begin).start()
        assert done.wait(10)


def test_ray_does_not_keep_the_handler_of_sigterm():
    class Greedy(FakeRay):
        def init(self, **options):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    before = signal.getsignal(signal.SIGTERM)
    start_ray(Greedy(0), 1, {})
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_search_does_not_wait_for_ray(tmp_path):
    """Generations are evaluated here until Ray is there, and by its workers from then on."""
    may, used = threading.Event(), []

    class Workers(InProcessExecutor):
        def __init__(self):
            may.wait(60)

        def feed(self, task, source, resource=None, timeout_s=None):
            used.append(True)
            return super().feed(task, source)

    space, target = load_space("mobilevit"), get_target("iphone12")
    goals = Goals(parse_budgets(["9M-params"]), 0.8, 256)
    with (
        closing(LazyExecutor(Workers)) as workers,
        closing(Store(tmp_path / "t.sqlite", space, 256)) as store,
    ):
        executors = [workers, InProcessExecutor()]
        assert len(Explorer(space, goals, target, store, 0).run(60, executors)) == 60
        assert not used
        may.set()
        assert workers.num_workers == 1, "waits until they are there"
        assert len(Explorer(space, goals, target, store, 0).run(120, executors)) == 120
        assert used
