"""Random architectures build, run, and cost what the closed form says, to the last digit.

`-m full` takes 1,000 of every shipped space and 1,000 of the strategy of these tests, at 256 and 224, counted by
torch's `FlopCounterMode`, and every tenth by fvcore too.
"""

from __future__ import annotations

import os
import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mvsearch.costs import count
from mvsearch.models import build
from mvsearch.models.witness import verify
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import default_resolution
from mvsearch.spec.space_file import shipped_spaces
from tests.strategies import random_spec

torch.set_num_threads(1)

FULL = int(os.environ.get("MVSEARCH_SAMPLES", "1000"))
BLOCK = 50
SPACES = shipped_spaces()
RESOLUTIONS = (256, 224)


def resolutions(spec: ArchSpec) -> tuple[int, ...]:
    """Sides of images that the network takes: attention with a table of offsets is made for one."""
    bound = any(s.bound_side for s in spec.stages)
    return (default_resolution(spec),) if bound else RESOLUTIONS


def check(spec: ArchSpec) -> None:
    model = build(spec)
    for resolution in resolutions(spec):
        assert verify(spec, resolution, model) is None, (spec, resolution)


def check_quickly(spec: ArchSpec, with_fvcore: bool) -> None:
    """The same with torch's own counter, which takes a tenth of fvcore's time; the two agree where both are asked."""
    model = build(spec).eval()
    for resolution in resolutions(spec):
        costs = count(spec, resolution)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            logits = model(torch.rand(1, spec.in_channels, resolution, resolution))
        assert logits.shape == (1, spec.num_classes), (spec, resolution)
        assert bool(torch.isfinite(logits).all()), (spec, resolution)
        assert counter.get_total_flops() == costs.flops, (spec, resolution)
        assert sum(p.numel() for p in model.parameters()) == costs.params, spec
        if with_fvcore:
            assert verify(spec, resolution, model) is None, (spec, resolution)


def sample(space: str, seed: int) -> ArchSpec:
    return SPACES[space].decode(SPACES[space].random_point(random.Random(seed)))


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int) -> None:
    check(random_spec(seed))


@pytest.mark.parametrize("space", SPACES)
def test_random_networks_of_every_space(space: str) -> None:
    check(sample(space, 0))


@pytest.mark.full
@pytest.mark.parametrize("start", range(0, FULL, BLOCK))
def test_many_random_networks(start: int) -> None:
    for seed in range(start, start + BLOCK):
        check_quickly(random_spec(seed), with_fvcore=seed % 10 == 0)


@pytest.mark.full
@pytest.mark.parametrize("start", range(0, FULL, BLOCK))
@pytest.mark.parametrize("space", SPACES)
def test_many_random_networks_of_every_space(space: str, start: int) -> None:
    for seed in range(start, start + BLOCK):
        check_quickly(sample(space, seed), with_fvcore=seed % 10 == 0)
