"""A cluster of two nodes, the phone at the second one: the search joins it, and the phone goes away in the middle."""

import time

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.measuring import Job, bench_for
from mvsearch.search.ray.start import one_start_at_a_time
from mvsearch.spec.published import network
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
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def joined(cluster):
    from mvsearch.search.ray import RayExecutor

    executor = RayExecutor(1, cluster.address)
    yield executor
    executor.close()


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
