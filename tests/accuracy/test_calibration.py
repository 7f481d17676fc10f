"""Orders of two estimates: probabilities and ties."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.accuracy import estimate_top1, probability_better, probability_of_order, tied
from mvsearch.spec.published import network


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


def test_import_stays_light() -> None:
    code = "import sys, mvsearch.accuracy; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
