"""Estimates on the workers: what becomes of a candidate whose numbers are none, or which takes its worker down."""

from dataclasses import replace

import pytest

from mvsearch.search.estimate import EstimateTask, estimate, estimate_many, estimate_on
from mvsearch.search.executor import InProcessExecutor
from mvsearch.spec.published import network
from mvsearch.spec.record import Failure
from tests.search.fake_phone import FakePhone


class Broken(FakePhone):
    """Predicts nonsense for one network."""

    def predict(self, spec, resolution):
        found = super().predict(spec, resolution)
        return replace(found, value=self.nonsense) if spec == network("mobilevit_xs") else found


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf")])
def test_a_candidate_without_a_number_is_a_recorded_failure_among_the_others(nonsense):
    target = Broken()
    target.nonsense = nonsense
    specs = tuple(network(n) for n in ("mobilevit_xxs", "mobilevit_xs", "mobilevit_s"))
    first, broken, last = estimate_many(EstimateTask(specs, 256, target))
    assert broken.failure.kind == "nan"
    assert broken.failure.message == f"latency is {nonsense}"
    assert broken.measurements == {}
    assert first.failure is last.failure is None


NAMES = ("mobilevit_xxs", "mobilevit_xs", "mobilevit_s", "mobilevitv2_0.5", "mobilevitv2_1.0", "mobilevitv3_xxs")
SPECS = [network(n) for n in NAMES]
PHONE = FakePhone()


class Mortal(InProcessExecutor):
    """As an executor with workers, that one candidate takes down."""

    num_workers = 2

    def __init__(self, poison):
        self.poison, self.sizes = poison, []

    def feed(self, task, source, resource=None, timeout_s=None):
        def lethal(item):
            self.sizes.append(len(item.specs))
            return Failure("worker-lost", "died") if self.poison in item.specs else task(item)

        return super().feed(lethal, source)


@pytest.mark.parametrize("executor", [InProcessExecutor(), Mortal(None)])
def test_estimates_of_workers_are_the_same(executor):
    found = dict(estimate_on(executor, SPECS, 256, PHONE))
    here = [estimate(s, 256, PHONE) for s in SPECS]
    assert [found[i].measurements for i in range(len(SPECS))] == [e.measurements for e in here]
    assert list(estimate_on(executor, [], 256, PHONE)) == []


def test_a_candidate_that_takes_its_worker_down_takes_no_other_with_it():
    executor = Mortal(SPECS[2])
    found = dict(estimate_on(executor, SPECS, 256, PHONE))
    assert sorted(found) == list(range(len(SPECS)))
    assert {i: e.failure for i, e in found.items() if e.failure} == {2: Failure("worker-lost", "died")}
    assert executor.sizes == [2, 2, 2, 1, 1], "only the batch that failed is done again"
