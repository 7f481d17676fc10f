"""Measurements for real, where there is a Mac or a phone; skipped elsewhere with the reason."""

from __future__ import annotations

import pytest

from mvsearch.spec.published import network
from mvsearch.targets import StopPolicy, Target
from mvsearch.targets.coreml.mac import MacTarget
from mvsearch.targets.coreml.phone import PhoneTarget
from mvsearch.targets.predictor.phones import PHONES


def measured(target: Target, folder, policy: StopPolicy | None = None):
    capability = target.capability()
    if capability.status != "available":
        pytest.skip(capability.reason)
    return target.measure(target.prepare(network("mobilevit_xxs"), 256, folder), policy)


@pytest.mark.mac
@pytest.mark.parametrize("units", ["all", "cpu_only"])
def test_this_mac(tmp_path, units) -> None:
    record = measured(MacTarget({"units": units}), tmp_path, StopPolicy(max_s=3, min_rounds=5, max_drift=0.5))
    assert 0.05 < record.value_ms < 500 and record.n >= 150
    assert record.condition("ane_operations"), record.condition("compute_plan")


@pytest.mark.iphone
@pytest.mark.parametrize("name", list(PHONES))
@pytest.mark.parametrize("runner", ["swift", "coremltools"])
def test_an_attached_phone(tmp_path, name, runner) -> None:
    phone = PhoneTarget(name, {"runner": runner})
    record = measured(phone, tmp_path)
    assert 0.2 < record.value_ms < 100
    assert record.protocol == phone.spec.protocol
