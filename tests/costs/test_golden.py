"""The closed form equals the official networks, to the last digit."""

import pytest

from mvsearch.costs import count
from tests.golden import Golden, ablation, official


@pytest.mark.parametrize("golden", [*official(), *ablation()], ids=lambda g: g.name)
def test_closed_form_equals_the_official_count(golden: Golden) -> None:
    costs = count(golden.spec, golden.resolution)
    assert (costs.params, costs.macs) == (golden.params, golden.macs)


def test_the_data_is_whole() -> None:
    assert len(official()) == 37
    assert len({g.spec for g in ablation()}) == 96
