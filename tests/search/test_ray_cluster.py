"""A cluster of three nodes, the phone at one of them: the search joins it, and nodes go away in the middle."""

import os
import threading
import time
from contextlib import closing

import pytest

from mvsearch.errors import InputError
from mvsearch.search.estimate import estimate
from mvsearch.search.executor import GPU, InProcessExecutor
from mvsearch.search.explore import Explorer, Silent
from mvsearch.search.goals import Goals
from mvsearch.search.measuring import Job, bench_for
from mvsearch.search.ray.nodes import check_nodes, versions
from mvsearch.search.ray.start import one_start_at_a_time
from mvsearch.search.store import Store
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.published import network
from mvsearch.spec.space_file import load_space
from mvsearch.targets import LatencyRecord
from tests.search.fake_phone import FakePhone, package

NAMES = ("mobilevit_xxs", "mobilevit_xs", "mobilevitv2_0.5", "mobilevitv3_xxs")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MVSEARCH_CACHE", str(tmp_path_factory.mktemp("cluster-cache")))
        with one_start_at_a_time():
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
            cluster.mac = cluster.add_node(num_cpus=0, resources={"fakephone": 1}, **small)
            cluster.second = cluster.add_node(num_cpus=1, num_gpus=2, **small)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def joined(cluster):
    from mvsearch.search.ray import RayExecutor

    executor = RayExecutor(2, cluster.address)
    yield executor
    executor.close()


class SlowPhone(FakePhone):
    """Takes its time to predict."""

    def predict(self, spec, resolution):
        time.sleep(0.05)
        return super().predict(spec, resolution)


def node_of(seconds):
    import ray

    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()


def gpu_of(seconds):
    time.sleep(seconds)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()


def offer(bench, names, folder):
    for name in names:
        spec = network(name)
        bench.offer(Job(estimate(spec, 256, FakePhone()), package(folder / f"{spec.arch_id}.mlpackage", spec, 256)))


def test_a_search_that_can_only_predict_has_its_front_measured_by_the_node_that_can(joined, tmp_path):
    phone = FakePhone(available=False, factor=1.1)
    assert phone.capability().status == "predict only"
    bench = bench_for(joined, phone, 0)
    offer(bench, NAMES[:2], tmp_path)
    results = {job.evaluation.arch_id: outcome.value_ms for job, outcome in bench.results()}
    assert results == {network(n).arch_id: phone.truth(network(n), 256) for n in NAMES[:2]}


def test_when_the_node_goes_away_what_was_measured_stays_and_the_rest_is_told_apart(cluster, joined, tmp_path):
    bench = bench_for(joined, FakePhone(available=False, seconds=1.0), 0)
    offer(bench, ("mobilevit_s", *NAMES[2:]), tmp_path)
    results = bench.results()
    _, first = next(results)
    assert isinstance(first, LatencyRecord)
    cluster.remove_node(cluster.mac)
    before = time.monotonic()
    rest = [outcome for _, outcome in results]
    assert time.monotonic() - before < 60
    lost = [o for o in rest if not isinstance(o, LatencyRecord)]
    assert len(rest) == 2
    assert lost
    assert {o.kind for o in lost} == {"worker-lost"}
    assert "no node with the resource `fakephone` is left" in lost[-1].message
    assert joined.units("fakephone") == 0


def test_nodes_must_have_the_same_software(joined):
    import ray

    here = versions()
    check_nodes(ray)
    with pytest.raises(InputError) as caught:
        check_nodes(ray, ask=lambda: {**here, "torch": "2.0.1", "mvsearch": "none"})
    lines = caught.value.message.splitlines()
    assert lines[0] == "the cluster does not fit this process:"
    assert len(lines) - 1 == sum(n["Alive"] for n in ray.nodes()) > 1, "every node that is wrong is named"
    assert lines[1].endswith(f"mvsearch `none`, `{here['mvsearch']}` expected; torch `2.0.1`, `{here['torch']}` expected")
    assert f"torch=={here['torch']}" in caught.value.hint


def test_a_node_that_cannot_say_what_it_has_is_named(joined):
    import ray

    def broken():
        raise OSError("no space left on device")

    with pytest.raises(InputError, match="no space left on device"):
        check_nodes(ray, ask=broken)


def test_every_gpu_has_a_worker_of_its_own(joined):
    """GPUs by name only: Ray hands them out wherever they are."""
    assert joined.units(GPU) == 2
    ends = time.monotonic() + 60
    while len(found := {seen for _, seen in joined.map(gpu_of, [0.3] * 4, GPU)}) < 2:
        assert time.monotonic() < ends
    assert sorted(gpu for gpu, _ in found) == ["0", "1"], "one each, and the same one for the life of a worker"


def test_a_node_that_goes_away_in_mid_run_costs_no_trial(cluster, joined, tmp_path):
    assert any(len({node for _, node in joined.map(node_of, [0.3] * 4)}) == 2 for _ in range(60)), "both have work"
    space, goals, removed = load_space("mobilevit"), Goals(parse_budgets(["9M-params"]), 0.8, 256), []

    class Removing(Silent):
        def progress(self, done, total, best):
            if done > 60 and not removed:
                removed.append(threading.Timer(0.3, cluster.remove_node, [cluster.second], {"allow_graceful": False}))
                removed[0].start()

    with closing(Store(tmp_path / "trials.sqlite", space, 256)) as store:
        found = Explorer(space, goals, SlowPhone(), store, 0, Removing()).run(150, [joined])
        removed[0].join()
        assert [t.number for t in found] == [t.number for t in store.trials()] == list(range(150))
        assert not any(t.evaluation.failure for t in found)
    assert len({node for _, node in joined.map(node_of, [0.1] * 4)}) == 1, "the node has gone"
    with closing(Store(tmp_path / "here.sqlite", space, 256)) as store:
        here = Explorer(space, goals, FakePhone(), store, 0).run(150, [InProcessExecutor()])
    assert [t.point for t in here] == [t.point for t in found], "the same search"
