"""Orders of two estimates: probabilities, ties and tiers."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.accuracy import estimate_top1, probability_better, probability_of_order, tied, tiers
from mvsearch.accuracy.anchors import MOBILEVIT, load_anchors
from mvsearch.accuracy.fit import GAP_EDGES, fit_line, predict
from mvsearch.spec.published import network
from mvsearch.spec.record import Measurement

PAIRS_THAT_COUNT = 20
"""In a bin with fewer pairs the observed share says little."""


@pytest.fixture(scope="module")
def judged() -> list[tuple[str, str, float, bool]]:
    """(family, other family, predicted gap, whether the order was right) of all pairs, each predicted without its family."""
    anchors, predicted = load_anchors(), {}
    for family in {a.family for a in anchors}:
        mine = [a for a in anchors if a.family == family]
        line = fit_line([a for a in anchors if a.family != family])
        predicted.update(zip((a.name for a in mine), predict(line, mine).tolist(), strict=True))
    pairs = []
    for a, b in combinations(anchors, 2):
        if a.top1 != b.top1:
            gap = predicted[a.name] - predicted[b.name]
            pairs.append((a.family, b.family, abs(gap), (gap > 0) == (a.top1 > b.top1)))
    return pairs


@pytest.mark.parametrize(("table", "bins"), [("any", 6), ("same_family", 6), ("mobilevit", 2)])
def test_stated_probabilities_come_true(judged: list[tuple[str, str, float, bool]], table: str, bins: int) -> None:
    """What `probability_of_order` says of each pair, against how many of the bin's pairs were in that order."""
    keep = {
        "any": lambda a, b: True,
        "same_family": lambda a, b: a == b,
        "mobilevit": lambda a, b: a == b == MOBILEVIT,
    }[table]
    counted = 0
    for low, high in zip(GAP_EDGES, (*GAP_EDGES[1:], float("inf")), strict=True):
        inside = [(gap, right) for a, b, gap, right in judged if keep(a, b) and low <= gap < high]
        if len(inside) < PAIRS_THAT_COUNT:
            continue
        counted += 1
        stated = sum(probability_of_order(gap, same_family=table != "any") for gap, _ in inside) / len(inside)
        observed = sum(right for _, right in inside) / len(inside)
        print(f"{table:11} {low:g} to {high:g}: {len(inside):5} pairs, stated {stated:.3f}, observed {observed:.3f}")
        assert abs(stated - observed) <= 0.1
    assert counted == bins


@given(st.floats(0, 20, allow_subnormal=False), st.floats(0, 20, allow_subnormal=False), st.booleans())
def test_probability_grows_with_the_gap(a: float, b: float, same_family: bool) -> None:
    small, large = sorted((a, b))
    assert 0.5 <= probability_of_order(small, same_family) <= probability_of_order(large, same_family) < 1


@given(st.floats(-20, 20, allow_subnormal=False))
def test_the_other_order_has_the_rest(gap: float) -> None:
    assert probability_of_order(gap) + probability_of_order(-gap) == pytest.approx(1)


@pytest.mark.parametrize(
    ("gap", "low", "high"), [(0.0, 0.5, 0.5), (0.75, 0.8, 0.9), (1.5, 0.84, 0.9), (3.0, 0.92, 0.97), (8.0, 0.99, 1.0)]
)
def test_within_a_family(gap: float, low: float, high: float) -> None:
    assert low <= probability_of_order(gap) <= high


def test_across_families_orders_are_less_sure() -> None:
    assert all(probability_of_order(g, same_family=False) < probability_of_order(g) for g in (0.4, 0.75, 1.5, 3.0))


def test_published_networks() -> None:
    xs, xxs = estimate_top1(network("mobilevitv3_xs")), estimate_top1(network("mobilevitv3_xxs"))
    assert probability_better(xs, xxs) > 0.95
    assert probability_better(xxs, xs) == pytest.approx(1 - probability_better(xs, xxs))
    assert probability_better(xs, xs) == 0.5
    assert not tied(xs, xxs)
    near = estimate_top1(network("mobilevitv3_xs_l2"))
    assert tied(xs, near)
    assert not tied(xs, near, threshold=0.3)


def test_what_is_far_from_evidence_is_ordered_less_surely() -> None:
    better = estimate_top1(network("mobilevitv2_1.75"))
    worse = estimate_top1(network("mobilevitv2_1.0"))
    assert probability_better(better, worse) < probability_of_order(better.value - worse.value)


def estimate(value: float, sigma: float) -> Measurement:
    half = 1.6448536269514722 * sigma
    return Measurement("top1", value, "%", "estimated", value - half, value + half, 0.9)


ESTIMATES = st.lists(st.builds(estimate, st.floats(70, 76), st.floats(0.1, 3)), max_size=12)
CONFIDENCES = st.sampled_from((0.5, 0.8, 0.95))


@given(ESTIMATES, CONFIDENCES, st.sampled_from((0.1, 0.5, 2.0)))
def test_a_tier_is_what_cannot_be_told_from_its_best(ms: list[Measurement], confidence: float, threshold: float) -> None:
    numbers = tiers(ms, confidence, threshold)
    assert set(numbers) == set(range(len(set(numbers))))
    groups = [[m for m, n in zip(ms, numbers, strict=True) if n == tier] for tier in range(len(set(numbers)))]
    leaders = [max(group, key=lambda m: m.quantile(1 - confidence)) for group in groups]
    bounds = [leader.quantile(1 - confidence) for leader in leaders]
    assert bounds == sorted(bounds, reverse=True)
    for i, (group, leader) in enumerate(zip(groups, leaders, strict=True)):
        for m in group:
            assert m is leader or (tied(m, leader, threshold) and bounds[i] - m.quantile(1 - confidence) < threshold)
            for better, bound in zip(leaders[:i], bounds[:i], strict=True):  # told apart from the best of every better tier
                assert not (tied(m, better, threshold) and bound - m.quantile(1 - confidence) < threshold)


@given(ESTIMATES, CONFIDENCES, st.randoms())
def test_tiers_do_not_depend_on_the_order(ms: list[Measurement], confidence: float, rng: object) -> None:
    numbers = tiers(ms, confidence)
    order = list(range(len(ms)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    if len({m.quantile(1 - confidence) for m in ms}) == len(ms):
        assert tiers([ms[i] for i in order], confidence) == tuple(numbers[i] for i in order)


@given(ESTIMATES, CONFIDENCES)
def test_nothing_ties_at_no_threshold_and_all_at_a_great_one(ms: list[Measurement], confidence: float) -> None:
    if len({m.quantile(1 - confidence) for m in ms}) == len(ms):
        assert sorted(tiers(ms, confidence, 0.0)) == list(range(len(ms)))
    assert tiers(ms, confidence, 100.0) == (0,) * len(ms)


def test_ties_are_not_passed_on() -> None:
    """a ties with b, b with c, a and c do not: c leads the second tier."""
    assert tiers([estimate(75.0, 0.7), estimate(74.6, 0.7), estimate(74.2, 0.7)], 0.8) == (0, 0, 1)


def test_an_estimate_that_is_as_high_but_less_sure_is_not_in_the_tier() -> None:
    assert tiers([estimate(75.0, 0.7), estimate(75.0, 3.0), estimate(76.0, 2.0)], 0.8) == (0, 2, 1)


def test_import_stays_light() -> None:
    code = "import sys, mvsearch.accuracy; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
