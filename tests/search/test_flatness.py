"""When a search has stopped growing."""

import pytest

from mvsearch.search.flatness import SHARE, TRIALS, Flatness
from mvsearch.search.goals import Goals
from mvsearch.spec.published import network
from mvsearch.spec.record import Evaluation, Measurement, Trial

SPEC = network("mobilevit_xs")
GOALS = Goals((), 0.8, 256, floor=60.0)


def trial(number, gain, ms, feasible=True, size=50):
    top1, latency = Measurement("top1", gain, "%", "estimated"), Measurement("latency", ms, "ms", "predicted")
    return Trial(number, {}, Evaluation(SPEC, 256, {"top1": top1, "latency": latency}), feasible, generation=number // size)


def until_flat(trials, batch=50):
    """After how many trials the rule says stop, asked at the end of every batch; None if never."""
    flatness = Flatness(GOALS)
    for start in range(0, len(trials), batch):
        flatness.add(trials[start : start + batch])
        if flatness.is_flat:
            return start + batch
    return None


def grown(n, gain_of):
    return [trial(i, gain_of(i), 2.0 if i else 3.0) for i in range(n)]


def test_it_never_stops_while_it_grows():
    assert until_flat(grown(3000, lambda i: 61 + i * 0.01)) is None


def test_it_stops_when_nothing_came_for_so_many_trials():
    assert until_flat(grown(3000, lambda i: min(61 + i * 0.01, 71))) == pytest.approx(1000 + TRIALS, abs=100)


def test_less_than_the_share_is_flat_and_more_is_not():
    slow = 0.5 * SHARE * 10 / TRIALS
    assert until_flat(grown(3000, lambda i: 70 + i * slow)) is not None
    assert until_flat(grown(3000, lambda i: 70 + i * 4 * slow)) is None


def test_what_misses_the_budgets_counts_for_nothing():
    trials = [trial(i, 61 + i * 0.01, 2.0 if i else 3.0, feasible=i < 600) for i in range(3000)]
    assert until_flat(trials) == pytest.approx(600 + TRIALS, abs=100)


def test_too_few_trials_say_nothing():
    assert until_flat(grown(TRIALS, lambda _: 70.0)) is None


@pytest.mark.parametrize("cut", [1, 49, 730, 1037, 1301])
def test_a_run_that_was_stopped_within_a_generation_ends_where_it_would_have(cut):
    trials = grown(3000, lambda i: min(61 + i * 0.01, 71))
    flatness = Flatness(GOALS)
    flatness.add(trials[:cut])
    end = -(-cut // 50) * 50
    flatness.add(trials[cut:end])
    while not flatness.is_flat and end < len(trials):
        flatness.add(trials[end : end + 50])
        end += 50
    assert end == until_flat(trials)
