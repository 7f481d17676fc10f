"""What becomes of a candidate whose numbers are none."""

from dataclasses import replace

import pytest

from mvsearch.search.estimate import EstimateTask, estimate_many
from mvsearch.spec.published import network
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
