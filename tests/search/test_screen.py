"""The screen on its own, as it is lent to other engines."""

import math

import pytest

from mvsearch.search.belief import Belief
from mvsearch.search.screen import PATIENCE, Screen
from tests.search.landscape import all_specs, reduced

SPECS = all_specs(reduced(keep=4))
GOOD, BAD = (80.0, 2.0), (70.0, 3.0)


@pytest.fixture
def screen():
    """A maximised and a minimised objective; one network is known."""
    s = Screen(("maximize", "minimize"))
    s.add(SPECS[0], (75.0, 2.5), feasible=True)
    return s


@pytest.mark.parametrize(
    ("spec", "excess", "belief", "reason"),
    [
        (SPECS[1], -0.1, Belief(GOOD), None),
        (SPECS[1], 0.0, Belief(GOOD, 0.0), None),
        (SPECS[1], -math.inf, None, None),
        (SPECS[1], 0.01, Belief(GOOD), "over-budget"),
        (SPECS[1], 0.01, None, "over-budget"),
        (SPECS[1], -0.1, Belief(GOOD, 0.01), "over-budget"),
        (SPECS[0], -0.1, Belief(GOOD), "duplicate"),
        (SPECS[0], -0.1, None, "duplicate"),
        (SPECS[1], -0.1, Belief(BAD), "dominated"),
        (SPECS[1], -0.1, Belief((75.0, 2.5)), "dominated"),
        (SPECS[1], -0.1, Belief((75.0, 2.4)), None),
        (SPECS[1], -0.1, Belief((70.0, 2.4)), None),
    ],
)
def test_reasons(screen, spec, excess, belief, reason):
    assert screen.reason(spec, excess, belief) == reason


def test_only_what_keeps_the_budgets_dominates(screen):
    screen.add(SPECS[1], (90.0, 1.0), feasible=False)
    assert screen.reason(SPECS[2], -1, Belief(GOOD)) is None
    assert screen.knows(SPECS[1])
    assert not screen.knows(SPECS[2])


def test_a_failed_trial_is_known_and_dominates_nothing(screen):
    screen.add(SPECS[1], (-math.inf, math.inf), feasible=False)
    assert screen.reason(SPECS[1], -1, Belief(GOOD)) == "duplicate"
    assert screen.reason(SPECS[2], -1, Belief(BAD)) == "dominated"


def test_patience_ends_for_what_is_only_dominated(screen):
    for _ in range(PATIENCE):
        assert screen.reason(SPECS[1], -1, Belief(BAD)) == "dominated"
    assert screen.reason(SPECS[1], 0.1, Belief(BAD)) == "over-budget"
    assert screen.reason(SPECS[0], -1, Belief(BAD)) == "duplicate"
    assert screen.reason(SPECS[1], -1, Belief(BAD)) is None
    # Once it has let one through, it is as patient as before.
    assert screen.reason(SPECS[2], -1, Belief(BAD)) == "dominated"


def test_directions_are_the_study_s():
    s = Screen(("minimize", "minimize", "maximize"))
    s.add(SPECS[0], (1.0, 1.0, 1.0), feasible=True)
    assert s.reason(SPECS[1], -1, Belief((1.0, 1.0, 2.0))) is None
    assert s.reason(SPECS[1], -1, Belief((1.0, 2.0, 1.0))) == "dominated"
    s.add(SPECS[1], (0.5, 1.0, 3.0), feasible=True)
    assert s.reason(SPECS[2], -1, Belief((0.7, 1.0, 2.0))) == "dominated"
