"""A user's networks: simulated recipes are found again, nothing judges itself, and the verdict keeps its rules."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy.estimate import estimate_top1, explain_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.validation import OwnNetwork, anchored_estimator, validate_accuracy
from mvsearch.accuracy.validation.own import BLOCKS, OwnFit, in_points
from mvsearch.accuracy.validation.verdict import Candidate, letter_of, verdict
from mvsearch.spec.published import network

NAMES = ("mobilevit_xxs", "mobilevit_xs", "mobilevitv2_0.75", "mobilevitv2_1.0", "mobilevitv3_xxs", "mobilevitv3_0.75")


def simulated(laboratory=0.1, names=NAMES, **blocks):
    """Networks of a recipe whose ln(100 - top1) is shifted, and whose block kinds' offsets are other ones."""
    shipped = load_estimator()
    truth = replace(shipped, laboratory=laboratory, block_offsets={**shipped.block_offsets, **blocks})
    return [OwnNetwork(i, n, network(n), 256, estimate_top1(network(n), estimator=truth).value) for i, n in enumerate(names, 2)]


def test_without_own_networks_nothing_changes():
    assert anchored_estimator([]) is load_estimator()
    refit = OwnFit(()).without_band("none of them")
    assert refit.block_offsets == pytest.approx(load_estimator().block_offsets, abs=1e-5)


@pytest.mark.parametrize("laboratory", [-0.08, 0.1, 0.25])
def test_a_recipe_is_found_again(laboratory):
    found = anchored_estimator(simulated(laboratory))
    assert found.laboratory == pytest.approx(laboratory, rel=0.15)
    assert found.num_own == len(NAMES)
    for other in ("mobilevitv3_s", "mobilevitv2_0.5"):
        before = estimate_top1(network(other)).value
        after = estimate_top1(network(other), estimator=found)
        truth = estimate_top1(network(other), estimator=replace(load_estimator(), laboratory=laboratory)).value
        assert abs(after.value - truth) < 0.25 * abs(before - truth)
        assert "and 6 of your own" in after.basis and after.n == 257 + 6


def test_a_block_kind_that_does_better_is_credited():
    shipped = load_estimator().block_offsets
    found = anchored_estimator(simulated(0.0, v3=shipped["v3"] - 0.1))
    assert found.block_offsets["v3"] < shipped["v3"] - 0.01
    better = {b: in_points(found.block_offsets[b]) - in_points(shipped[b]) for b in BLOCKS}
    assert better["v3"] > 0.2 > better["v1"] and better["v3"] > better["v2"]


def test_the_explanation_adds_up():
    found = anchored_estimator(simulated())
    e = explain_top1(network("mobilevitv3_xs"), estimator=found)
    assert e.laboratory_offset == pytest.approx(in_points(found.laboratory), rel=0.1)
    total = e.score + e.block_offset + e.laboratory_offset + e.patch_offset + e.resolution_offset + e.bias
    assert total == pytest.approx(e.value)
    assert explain_top1(network("mobilevitv3_xs")).laboratory_offset == 0


def test_no_network_judges_itself():
    rows = simulated()
    spoiled = [replace(rows[0], top1=rows[0].top1 - 5), *rows[1:]]
    assert OwnFit(spoiled).left_out(spoiled[0]) == pytest.approx(OwnFit(rows).left_out(rows[0]))
    assert OwnFit(spoiled).left_out(rows[1]) != pytest.approx(OwnFit(rows).left_out(rows[1]))
    # Nor by its other resolution.
    twice = [*spoiled, OwnNetwork(9, "again", spoiled[0].spec, 320, 40.0)]
    assert OwnFit(twice).left_out(twice[0]) == pytest.approx(OwnFit(rows).left_out(rows[0]))


def test_noise_widens_and_agreement_narrows():
    shipped = load_estimator().sigma
    rows = simulated()
    assert anchored_estimator(rows).sigma < shipped
    noisy = [replace(r, top1=r.top1 + (4 if i % 2 else -4)) for i, r in enumerate(rows)]
    assert anchored_estimator(noisy).sigma > 1.5 * shipped


def test_one_network_alone():
    (row,) = simulated(names=NAMES[:1])
    fit = OwnFit([row])
    assert fit.left_out(row) is None and fit.pairs() == []
    found = fit.estimator()
    assert 0.5 < found.laboratory / 0.1 < 1  # shrunk
    assert found.sigma == load_estimator().sigma
    assert found.calibration.keys() == load_estimator().calibration.keys()


def test_own_pairs_enter_the_calibration():
    found = anchored_estimator(simulated())
    before = sum(b.pairs for b in load_estimator().calibration["same_family"])
    assert sum(b.pairs for b in found.calibration["same_family"]) == before + 15
    for bins in found.calibration.values():
        assert all(a.probability <= b.probability for a, b in pairwise(bins))


def test_a_strange_network_counts_less():
    usual = simulated()
    strange = with_depth(usual[0].spec, 1)
    assert explain_top1(strange).distance > 1
    spec = replace(usual[0], spec=strange, top1=estimate_top1(strange).value - 6)
    same = replace(usual[0], top1=estimate_top1(usual[0].spec).value - 6)
    assert 0 < anchored_estimator([spec]).laboratory < anchored_estimator([same]).laboratory


def with_depth(spec, depth):
    return replace(spec, stages=tuple(replace(s, depth=depth) if hasattr(s, "depth") else s for s in spec.stages))


def test_what_the_report_says():
    rows = simulated()
    found = validate_accuracy(rows, "mine.csv", proxies=False)
    assert found.own is not None
    assert found.own.mae_after < 0.5 * found.own.mae_before
    assert found.own.calibration_pairs == 15
    assert found.verdict.own_pairs > 0 and found.verdict.pairs > found.own.verdict_before.pairs == 24
    assert found.own.verdict_before.letter == "B"  # 22 of 24: the share of an A, on too few pairs
    assert [p.name for p in found.proxies] == ["params", "activations", "macs", "estimate, family out", "estimate, band out"]


@pytest.mark.parametrize(
    ("share", "pairs", "letter"),
    [
        (1.0, 30, "A"), (0.85, 30, "A"), (0.85, 29, "B"), (0.9, 10, "B"), (0.9, 9, "C"), (0.849, 400, "B"), (0.7, 10, "B"),
        (0.699, 400, "C"), (None, 0, "C"),
    ],
)  # fmt: skip
def test_letters(share, pairs, letter):
    assert letter_of(share, pairs) == letter


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(10, 60), st.floats(60, 80), st.floats(60, 80), st.booleans()), max_size=9))
def test_only_pairs_of_equal_size_count(drawn):
    candidates = [Candidate(str(i), p, t, q, own) for i, (p, t, q, own) in enumerate(drawn)]
    counted = [
        (a, b)
        for i, a in enumerate(candidates)
        for b in candidates[:i]
        if max(a.params, b.params) / min(a.params, b.params) <= 1.2 and a.top1 != b.top1
    ]
    found = verdict(candidates)
    assert found.pairs == len(counted)
    assert found.own_pairs == sum(a.own or b.own for a, b in counted)
    right = sum(0.5 if a.predicted == b.predicted else (a.predicted > b.predicted) == (a.top1 > b.top1) for a, b in counted)
    assert found.share == (pytest.approx(right / len(counted)) if counted else None)


def test_one_architecture_is_no_pair():
    a = Candidate("same", 10, 70.0, 71.0, own=False)
    assert verdict([a, replace(a, top1=68.0, own=True)]).pairs == 0
