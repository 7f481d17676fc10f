"""The table: what is marked as size, and what may call itself more."""

import pytest

from mvsearch.accuracy.validation.networks import BANDS, judged_networks
from mvsearch.accuracy.validation.ranks import Statistic
from mvsearch.accuracy.validation.scoring import Scores, judge, mark_of


def sizes():
    found = judged_networks()
    return [Scores(n, "counted", "", tuple(float(getattr(j, n)) for j in found)) for n in ("params", "activations", "macs")]


def judged(*values, name="candidate"):
    columns = [*sizes(), Scores(name, "untrained network", "", tuple(values), 0.1)]
    return judge(judged_networks(), columns, seed=0)


def test_nineteen_networks_in_four_bands():
    found = judged_networks()
    assert len(found) == 19
    assert [sum(j.band == b for j in found) for b in BANDS] == [5, 5, 5, 4]


def test_the_baselines_come_first_and_are_size():
    rows = judged(*(j.top1 for j in judged_networks()))
    assert [r.name for r in rows[:2]] == ["params", "activations"]
    assert [r.mark for r in rows[:2]] == ["size", "size"]
    assert rows[0].over_params is None and rows[0].partial == Statistic(None)
    # proxy_findings: tau .88, .90, .82 and the published pairs .67, .63 to .68, .50
    assert [r.correlations[0].kendall.value for r in rows[:3]] == pytest.approx([0.88, 0.90, 0.82], abs=0.01)
    assert [r.right.value for r in rows[:3]] == pytest.approx([0.67, 0.68, 0.50], abs=0.01)


def test_the_labels_themselves_are_beyond_size():
    row = judged(*(j.top1 for j in judged_networks()))[-1]
    assert row.mark == "beyond size"
    assert row.right.value == 1 and row.pairs == 30
    assert all(c.kendall.value == 1 for c in row.correlations)
    assert row.partial.value == pytest.approx(1)


@pytest.mark.parametrize("score", [lambda j: j.params, lambda j: -j.top1, lambda j: j.params * j.activations, lambda j: 1.0])
def test_size_in_disguise_is_not(score):
    assert judged(*(score(j) for j in judged_networks()))[-1].mark == "no evidence beyond size"


def test_failures_are_counted_and_left_out():
    values = [j.top1 for j in judged_networks()]
    values[0] = values[3] = None  # both of the least band
    row = judged(*values)[-1]
    assert row.failures == 2
    assert [c.networks for c in row.correlations] == [17, 3, 5, 5, 4]
    assert row.pairs == 23
    assert row.right.value == 1


def test_both_baselines_have_to_be_beaten_with_their_intervals():
    above, across = Statistic(0.2, 0.01, 0.4), Statistic(0.2, -0.01, 0.4)
    assert mark_of("x", above, above) == "beyond size"
    assert mark_of("x", above, across) == mark_of("x", across, above) == "no evidence beyond size"
    assert mark_of("x", above, Statistic(0.2)) == "no evidence beyond size"  # without an interval nothing is shown
    assert mark_of("params", None, above) == "size"
