"""The design: one size, known steps, small errors; and the two cases with the costs that are told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mvsearch.accuracy import explain_top1
from mvsearch.accuracy.allocation.cases import EXPLOITED, THINNED, cases
from mvsearch.accuracy.allocation.design import (
    ACTIVATIONS_TOLERANCE,
    BASE,
    BASE_NAME,
    KNOB_NAMES,
    NUM_CLASSES,
    PARAMS_TOLERANCE,
    RESOLUTION,
    Candidate,
    Knobs,
    base,
    build_spec,
    by_name,
    design,
    knob_steps,
    solve,
)
from mvsearch.costs import count
from mvsearch.models import build
from mvsearch.spec.published import network

CANDIDATES = design()[1:]
LARGEST_ERROR = 1.2
"""Of an effect per doubling, in standard deviations of one training, with one seed (four for the base)."""


def test_is_large_enough_and_distinct() -> None:
    assert len(CANDIDATES) >= 26
    assert len({c.spec.arch_id for c in design()}) == len({c.name for c in design()}) == len(CANDIDATES) + 1
    assert by_name("d_half") is not None
    assert by_name("no such network") is None


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
def test_costs_what_the_base_costs(candidate: Candidate) -> None:
    assert candidate.costs.params == pytest.approx(base().costs.params, rel=PARAMS_TOLERANCE)
    assert candidate.costs.activations == pytest.approx(base().costs.activations, rel=ACTIVATIONS_TOLERANCE)
    assert candidate.spec.num_classes == NUM_CLASSES


DEPTH = {"total depth", "depth share of stage 4", "depth late over early"}
SWITCHES = {k for k in KNOB_NAMES if k.startswith("without ")}
EXPANSIONS = {"early expansion", "late expansion"}


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
def test_differs_in_one_or_two_knobs(candidate: Candidate) -> None:
    """L per stage and the block kind are one knob each, of several directions; so are expansions, early and late."""
    moved = set(candidate.steps)
    groups = [moved & group for group in (DEPTH, SWITCHES, EXPANSIONS)]
    num_knobs = len(moved - DEPTH - SWITCHES - EXPANSIONS) + sum(bool(g) for g in groups)
    assert 1 <= num_knobs <= 2
    assert moved <= set(KNOB_NAMES)


def test_every_direction_is_in_two_networks_and_has_a_small_error() -> None:
    rows = [base()] * 4 + list(CANDIDATES)
    design_matrix = np.array([[1.0] + [c.steps.get(k, 0.0) for k in KNOB_NAMES] for c in rows])
    errors = np.sqrt(np.diag(np.linalg.inv(design_matrix.T @ design_matrix)))[1:]
    for knob, error in zip(KNOB_NAMES, errors, strict=True):
        print(f"{knob:24s} {error:.2f}")
        assert sum(knob in c.steps for c in CANDIDATES) >= 2
        assert error < LARGEST_ERROR
    assert len(rows) - design_matrix.shape[1] >= 20


def test_steps_are_those_of_the_networks() -> None:
    for candidate in CANDIDATES:
        stages = candidate.spec.transformer_stages
        if "heads" in candidate.steps:
            assert np.log2(stages[0].heads / 4) == candidate.steps["heads"]  # type: ignore[union-attr]
        ratios = [np.log2(s.dim / s.channels) for s in stages]
        of_base = [np.log2(s.dim / s.channels) for s in base().spec.transformer_stages]
        if "width profile to early" not in candidate.steps:  # it moves C alone or with d, by stage
            assert np.mean(ratios) - np.mean(of_base) == pytest.approx(candidate.steps.get("transformer width", 0.0), abs=0.1)
        total = sum(s.depth for s in stages)
        assert np.log2(total / 9) == pytest.approx(candidate.steps.get("total depth", 0.0))
        assert np.log2(stages[1].ffn_ratio / 2) == pytest.approx(candidate.steps.get("FFN ratio", 0.0))


def test_the_base_is_the_published_network() -> None:
    assert build_spec(BASE) == base().spec == network(BASE_NAME).with_classes(NUM_CLASSES)
    assert solve(BASE) == (1.0, 0.0)
    assert not knob_steps(BASE)


def test_what_widths_cannot_pay_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no widths give"):
        solve(Knobs(expansions=(16, 16, 16, 1, 1)))


@pytest.mark.parametrize("name", ["l_171", "v1", "e_late_6_widths_late", "patch_221_v3_on_v2", "d_double_heads_8"])
def test_runs(name: str) -> None:
    candidate = by_name(name)
    assert candidate is not None
    model = build(candidate.spec).eval()
    assert sum(p.numel() for p in model.parameters()) == candidate.costs.params
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, RESOLUTION, RESOLUTION)).shape == (1, NUM_CLASSES)


@pytest.mark.parametrize(("name", "params", "macs", "activations"), [(EXPLOITED, 2.00, 361, 11.6), (THINNED, 2.12, 882, None)])
def test_cases_cost_what_is_told_of_them(name: str, params: float, macs: float, activations: float | None) -> None:
    costs = count(cases()[name], 256)
    assert round(costs.params / 1e6, 2) == params
    assert round(costs.macs / 1e6) == macs
    if activations is not None:
        assert round(costs.activations / 1e6, 1) == activations


def test_cases_have_the_shapes_that_are_told_of_them() -> None:
    exploited, thinned = cases()[EXPLOITED], cases()[THINNED]
    assert [s.depth for s in exploited.transformer_stages] == [1, 1, 1]
    assert [s.dim for s in exploited.transformer_stages] == [48, 64, 128]
    assert [s.expansion for s in exploited.stages] == [6, 6, 2, 3, 6]
    assert {s.ffn_ratio for s in exploited.transformer_stages} == {4}
    assert exploited.stages[4].channels == 320
    assert [s.channels for s in thinned.stages[2:]] == [88, 144, 144]
    assert [s.dim for s in thinned.transformer_stages] == [88, 112, 128]


def test_the_lower_bound_tells_the_cases_apart_where_size_does_not() -> None:
    exploited, thinned = (explain_top1(cases()[name]) for name in (EXPLOITED, THINNED))
    by_size = [e.score + e.block_offset for e in (exploited, thinned)]
    lower = [e.value - 0.8416 * e.sigma for e in (exploited, thinned)]  # the search's default confidence, 80 %
    print(f"by size {by_size}, lower bounds {lower}")
    assert abs(by_size[1] - by_size[0]) < 1.5
    assert lower[1] - lower[0] > 3
