"""A device that one node of a Ray cluster has: measured there, one at a time, from wherever the search runs."""

import os
import time
from pathlib import Path

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.measuring import Job, MeasureFailure, bench_for
from mvsearch.spec.published import network
from mvsearch.targets import get_target
from tests.search.fake_phone import FakePhone, package

NAMES = ("mobilevit_xxs", "mobilevit_xs", "mobilevitv2_0.5", "mobilevitv3_xxs")


def alone(folder):
    """Fails if another task is at it in the same moment."""
    (Path(folder) / "busy").mkdir()
    time.sleep(0.1)
    (Path(folder) / "busy").rmdir()
    return os.getpid()


@pytest.fixture
def jobs(tmp_path):
    specs = [network(n) for n in NAMES]
    packages = [package(tmp_path / f"{s.arch_id}.mlpackage", s, 256) for s in specs]
    return [Job(estimate(s, 256, FakePhone()), p) for s, p in zip(specs, packages, strict=True)]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Ray on this machine, which has the phone."""
    from mvsearch.search.ray import RayExecutor

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MVSEARCH_CACHE", str(tmp_path_factory.mktemp("worker-cache")))
        executor = RayExecutor(2, resources={"fakephone": 1})
        yield executor
        executor.close()


def test_packages_travel_to_the_worker_and_records_come_back(local, jobs):
    phone = FakePhone(factor=1.2)
    assert local.units("fakephone") == 1
    bench = bench_for(local, phone, 0)
    for job in jobs:
        bench.offer(job)
    results = {job.evaluation.arch_id: outcome for job, outcome in bench.results()}
    assert {a: o.value_ms for a, o in results.items()} == {
        j.evaluation.arch_id: phone.truth(j.evaluation.spec, 256) for j in jobs
    }
    assert phone.measured == [], "measured by a worker, not in this process"
    assert list(bench.results()) == []


def test_a_fault_keeps_its_kind_on_its_way(local, tmp_path):
    spec = network("mobilevit_s")  # Of no other test here: the workers have one cache.
    bench = bench_for(local, FakePhone(faults={"*": "locked"}), 0)
    bench.offer(Job(estimate(spec, 256, FakePhone()), package(tmp_path / "s.mlpackage", spec, 256)))
    [(_, outcome)] = list(bench.results())
    assert outcome == MeasureFailure("locked", "the fake phone is locked", "it is meant to be")


def test_one_at_a_time_holds_a_device(local, tmp_path):
    results = dict(local.map(alone, [str(tmp_path)] * 6, "fakephone"))
    assert len(set(results.values())) == 1
    assert os.getpid() not in results.values()


def test_who_measures(local):
    assert bench_for(local, FakePhone(available=False), 0).executor is local, "the cluster has it, this process does not"
    assert local.units("iphone12") == 0
    assert bench_for(local, get_target("iphone12"), 0) is None
    assert isinstance(bench_for(InProcessExecutor(), FakePhone(), 0).executor, InProcessExecutor)
