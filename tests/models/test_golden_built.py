"""The built networks equal the official ones in parameters and multiply-accumulates, by fvcore's count."""

import pytest
import torch

from mvsearch.models import build
from mvsearch.models.witness import count_built
from tests.golden import Golden, ablation, official

torch.set_num_threads(1)

QUICK = {
    "mobilevit_xxs@patch=8,4,2@256",
    "mobilevit_s@224",
    "mobilevitv2_0.5@256",
    "mobilevitv3_xxs_l2@256",
    "mobilevitv3_0.5@256",
    "efficientformer_l1@224",
    "efficientformerv2_s0@head=distilled@224",
}


def rows() -> list[object]:
    quick = [g for g in official() if g.name in QUICK] + [g for g in ablation() if g.name.startswith("xxs-v1widths")]
    return [pytest.param(g, marks=() if g in quick else pytest.mark.full, id=g.name) for g in [*official(), *ablation()]]


@pytest.mark.parametrize("golden", rows())
def test_built_network_equals_the_official_count(golden: Golden) -> None:
    built = count_built(build(golden.spec), golden.resolution)
    assert (built.params, built.macs) == (golden.params, golden.macs)
