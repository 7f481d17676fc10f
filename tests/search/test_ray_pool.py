"""What a pool makes of every way to lose a worker, on a fake Ray and a fake clock."""

import itertools

import pytest

from mvsearch.errors import InputError
from mvsearch.search.interrupt import STOP
from mvsearch.search.ray import pool as module
from mvsearch.search.ray.pool import MAX_FALSE_STARTS, MAX_MOVES, Pool
from mvsearch.search.ray.worker import Inquest
from mvsearch.spec.record import Failure
from tests.search.fake_ray import (
    SAME,
    ActorUnavailableError,
    FakeRay,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    Takes,
)  # fmt: skip

NODE_DIED = "The actor died because its node has died. Node Id: 12"
DIED = "The actor is dead because its worker process has died."


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "on_node", lambda ray, task, node, name: ray.remote()(task).remote(name))


def pool(ray, size=2, timeout_s=100.0, **options):
    return Pool(ray, ray.start, size, timeout_s, expected=SAME, clock=ray.clock, **options)


def run(ray, task, items, **options):
    return dict(pool(ray, **options).feed(task, source(items)))


def source(items):
    left = iter(items)
    return lambda: next(left, None)


def failing(error, times, at=1):
    """A task that ends in an error at one item so many times, and doubles the others."""
    left = [times]

    def task(x):
        if x == at and left[0]:
            left[0] -= 1
            return error
        return 2 * x

    return task


def test_100_000_items_are_never_more_than_the_workers_in_flight():
    ray = FakeRay()
    ahead, done, most = itertools.count(1), 0, 0
    handed = [0]

    def items():
        if handed[0] == 100_000:
            return None
        handed[0] = next(ahead)
        return handed[0]

    for _ in pool(ray, size=16).feed(lambda x: x, items):
        done += 1
        most = max(most, handed[0] - done)
    assert done == 100_000
    assert most <= 16, "no item is taken from the source before a worker is idle"
    assert ray.most <= 16
    assert ray.pending == {}
    assert ray.started == 16, "the workers live long"


def test_a_task_that_kills_its_worker_twice_is_recorded_and_once_is_forgiven():
    for times, expected in ((1, 2), (2, Failure("worker-lost", "its worker died (2 times)"))):
        ray = FakeRay()
        assert run(ray, failing(RayActorError(DIED), times), [0, 1, 2]) == {0: 0, 1: expected, 2: 4}
        assert ray.started == 2 + times


@pytest.mark.parametrize("error", [RayActorError(NODE_DIED), ActorUnavailableError("socket closed"), NodeDiedError("gone")])
def test_a_node_that_goes_away_is_not_held_against_what_ran_there(error):
    assert run(FakeRay(), failing(error, MAX_MOVES), [0, 1, 2]) == {0: 0, 1: 2, 2: 4}


def test_nodes_that_go_away_without_end_end_a_task():
    results = run(FakeRay(), failing(NodeDiedError("gone"), 99), [0, 1, 2])
    assert results[1] == Failure("worker-lost", f"{MAX_MOVES + 1} nodes went away while they worked on it")
    assert (results[0], results[2]) == (0, 4)


def test_a_node_that_cannot_be_asked_about_a_death_has_gone():
    assert run(FakeRay(found=RayError("the node is dead")), failing(RayActorError(DIED), 3), [0, 1]) == {0: 0, 1: 2}


def test_rays_memory_monitor_may_pick_the_wrong_one_once():
    error = OutOfMemoryError("Task was killed due to the node running low on memory.\nmore")
    assert run(FakeRay(), failing(error, 1), [0, 1]) == {0: 0, 1: 2}
    failure = run(FakeRay(), failing(error, 2), [0, 1])[1]
    assert failure == Failure("oom", "Task was killed due to the node running low on memory. (2 times)")


def test_the_kernels_killer_is_told_from_a_bug():
    failure = run(FakeRay(found=Inquest("", 1)), failing(RayActorError(DIED), 2), [0, 1])[1]
    assert failure.kind == "oom"
    assert "the kernel ended its worker" in failure.message


def test_the_memory_limit_of_a_worker_is_final():
    ray = FakeRay(found=Inquest("its worker took 9 GiB", 0))
    assert run(ray, failing(RayActorError(DIED), 1), [0, 1])[1] == Failure("oom", "its worker took 9 GiB")


def test_one_that_hangs_is_found_beside_others_that_are_busy():
    ray = FakeRay()
    order = list(pool(ray, timeout_s=10.0).feed(lambda x: Takes(1e9) if x == 0 else x, source(range(100))))
    results = dict(order)
    assert results[0] == Failure("timeout", "no result within 10 s")
    assert [results[i] for i in range(1, 100)] == list(range(1, 100))
    position = [i for i, _ in order].index(0)
    assert 5 <= position <= 25, "in its own time, while the others go on"


def test_everybody_has_the_whole_time():
    results = run(FakeRay(), lambda x: Takes(9.5, x), range(7), timeout_s=10.0)
    assert results == {i: i for i in range(7)}


def test_what_a_result_cannot_be_made_of_is_an_error():
    assert run(FakeRay(), failing(RayError("cannot unpickle\nno module `x`"), 1), [0, 1])[1] == Failure(
        "error", "no module `x`"
    )


def test_workers_that_never_start_end_the_run_with_a_reason():
    ray = FakeRay()
    ray.stuck = True
    with pytest.raises(InputError, match="no worker has started within 1800 s"):
        run(ray, lambda x: x, [0])
    assert list(pool(ray).feed(lambda x: x, lambda: None)) == [], "nobody waits for them without work"


def test_workers_that_die_at_once_end_the_run_with_a_reason():
    ray = FakeRay()
    ray.versions = SAME
    start, left = ray.start, [MAX_FALSE_STARTS]

    def dying(name):
        actor = start(name)
        if left[0]:
            left[0] -= 1
            actor.presence.remote = lambda: ray.later(RayActorError("no space left"), 1.0)
        return actor

    assert dict(Pool(ray, dying, 2, 100.0, clock=ray.clock).feed(lambda x: x, source([0, 1]))) == {0: 0, 1: 1}
    left[0] = MAX_FALSE_STARTS + 1
    with pytest.raises(InputError, match="workers in a row died before their first task: no space left"):
        list(Pool(ray, dying, 1, 100.0, clock=ray.clock).feed(lambda x: x, source([0, 1])))


def test_a_worker_on_a_node_that_came_later_with_other_software_is_refused():
    ray = FakeRay(versions={**SAME, "torch": "2.8"})
    with pytest.raises(InputError, match=r"node 10\.0\.0\.2: torch `2.8`, `2.9` expected"):
        run(ray, lambda x: x, [0])


def test_no_device_left():
    ray = FakeRay()
    gone = {"reason": ""}

    def task(x):
        if x == 2:
            gone["reason"] = "no phone"
            ray.stuck = True
            return NodeDiedError("gone")
        return x

    results = dict(pool(ray, size=1, lost=lambda: gone["reason"]).feed(task, source(range(5))))
    assert results == {0: 0, 1: 1, **{i: Failure("worker-lost", "no phone") for i in (2, 3, 4)}}


def test_who_breaks_off_leaves_nothing_running():
    ray = FakeRay()
    workers = pool(ray)
    results = workers.feed(lambda x: Takes(1.0 + x, x), source(range(5)))
    assert next(results) == (0, 0)
    results.close()
    assert dict(workers.feed(lambda x: -x, source([1, 2, 3]))) == {0: -1, 1: -2, 2: -3}
    assert ray.killed == 1


def test_a_stop_lets_what_runs_end_and_begins_nothing_new():
    ray = FakeRay()
    handed, seen = [], []

    def task(x):
        handed.append(x)
        return x

    with pytest.raises(KeyboardInterrupt):
        for index, _ in pool(ray).feed(task, source(range(100))):
            seen.append(index)
            if index == 10:
                assert STOP.ask()
                assert not STOP.ask(), "a second request is not heeded: stop at once"
    assert sorted(seen) == handed, "all that was begun has ended"
    assert len(handed) <= 13
    assert not STOP.asked
    assert not STOP.ask(), "nobody is there to heed it"
