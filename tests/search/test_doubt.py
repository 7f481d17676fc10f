"""How sure the front is: probabilities that follow from what is known, and repeats where they settle something."""

import math
import random
import time
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvsearch.accuracy import estimate_top1, explain_top1, probability_better
from mvsearch.accuracy.likeness import departure, position
from mvsearch.search.doubt import MAX_RIVALS, front_doubt, membership, prefers, rivals, to_repeat
from mvsearch.search.law import SHARED, SHARED_GAP, Figures, law_of, sigma
from mvsearch.search.pareto import front
from mvsearch.spec.arch import InvertedResidualStage
from mvsearch.spec.published import network, published_networks
from mvsearch.spec.record import Measurement
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target
from mvsearch.targets.predictor.experiment import experiment
from mvsearch.targets.predictor.scores import by_network

SPACE, PHONE = load_space("mobilevit"), get_target("iphone12")
XXS = network("mobilevitv3_xxs")


def top1(value, sd=0.0):
    z = NormalDist().inv_cdf(0.95)
    return Measurement("top1", value, "%", "estimated", value - z * sd, value + z * sd, 0.9)


def latency(ms, sd=0.0, kind="measured"):
    f = math.exp(NormalDist().inv_cdf(0.95) * sd)
    return Measurement("latency", ms, "ms", kind, ms / f, ms * f, 0.9, "log")


def known(spec, accuracy=None, ms=None, predicted=None):
    return Figures(spec, 256, accuracy or estimate_top1(spec), ms or PHONE.predict(spec, 256), predicted)


def candidates(count, seed=0):
    rng, found = random.Random(seed), {}
    while len(found) < count:
        spec = SPACE.decode(SPACE.random_point(rng))
        found[spec.arch_id] = known(spec)
    return list(found.values())


@pytest.fixture(scope="module")
def some():
    return candidates(300)


def split(all_known):
    on = front([(k.top1.value, k.latency.value) for k in all_known])
    return [all_known[i] for i in on], [k for i, k in enumerate(all_known) if i not in on]


# The law


def apart(law):
    """(n, n) standard deviation of the difference of two errors of top-1."""
    square = ((law.top1_causes[:, None] - law.top1_causes[None]) ** 2).sum(axis=2)
    return np.sqrt(square + law.top1_own[:, None] ** 2 + law.top1_own**2)


def test_orders_of_published_networks_are_as_sure_as_the_calibration_says():
    names = [n for n in published_networks() if "@" not in n]
    networks = [known(network(n)) for n in names]
    sd = apart(law_of(networks))
    for i, a in enumerate(networks):
        for j, b in enumerate(networks[:i]):
            if (gap := a.top1.value - b.top1.value) and abs(gap) < 6:
                ours = NormalDist().cdf(gap / sd[i, j])
                assert ours == pytest.approx(probability_better(a.top1, b.top1), abs=0.09), (names[i], names[j])


def test_orders_of_candidates_are_near_the_calibration(some):
    sd = apart(law_of(some))
    differences = []
    for i in range(0, 300, 3):
        a, b = some[i], some[i + 1]
        ours = NormalDist().cdf((a.top1.value - b.top1.value) / sd[i, i + 1])
        differences.append(ours - probability_better(a.top1, b.top1))
    assert np.abs(differences).mean() < 0.04
    assert abs(np.mean(differences)) < 0.03


def test_twins_have_one_error_and_near_twins_nearly_one():
    first = XXS.stages[0]
    assert isinstance(first, InvertedResidualStage)
    near = replace(XXS, stages=(replace(first, expansion=first.expansion * 1.25), *XXS.stages[1:]))
    far = network("mobilevitv2_0.5")
    law = law_of([known(XXS), known(XXS), known(near), known(far)])
    sd = apart(law)
    assert sd[0, 1] == pytest.approx(0, abs=1e-6)
    assert sd[0, 2] < 0.75 * sd[0, 3]
    covariance = law.ms_causes @ law.ms_causes.T
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert correlation[0, 1] == pytest.approx(1)
    assert correlation[0, 2] > 0.9 > correlation[0, 3]
    assert correlation[0, 3] < 0.2, "softmax and separable attention"


def test_latencies_of_one_family_share_as_much_of_their_error_as_published_ones_did():
    errors = by_network(experiment("iphone12").family_out)
    pairs = [(abs(a.predicted - b.predicted), abs(a.error - b.error)) for i, a in enumerate(errors) for b in errors[:i]
             if a.family == b.family]  # fmt: skip
    own = sigma(PHONE.predict(network("mobilevit_xs"), 256))
    for low, high in ((0.1, 0.25), (0.25, 0.5), (0.5, 1.0), (1.0, 3.0)):
        found = [(gap, apart) for gap, apart in pairs if low <= gap < high]
        observed = np.quantile([apart for _, apart in found], 0.9) / NormalDist().inv_cdf(0.95)
        shared = SHARED * math.exp(-np.mean([gap for gap, _ in found]) / SHARED_GAP)
        assert 0.8 < own * math.sqrt(2 * (1 - shared)) / observed < 1.6, (low, observed)


def test_a_latency_varies_as_its_interval_says(some):
    law = law_of(some)
    _, log_ms = law.draw(4000, 0)
    wanted = np.array([sigma(k.latency) for k in some])
    assert log_ms.std(axis=0) == pytest.approx(wanted, rel=0.08)
    assert log_ms.mean(axis=0) == pytest.approx(law.log_ms, abs=0.02)


def test_a_departure_is_as_long_as_the_estimate_takes_it_for(some):
    for k in some[:60]:
        explained = explain_top1(k.spec, 256)
        assert math.hypot(*departure(k.spec, explained)) == pytest.approx(explained.distance, abs=1e-9)
        assert position(k.spec) == position(k.spec)


def test_what_is_measured_tells_of_what_is_like_it(some):
    told = [replace(k, latency=latency(k.latency.value * 1.3, 0.01), predicted=k.latency) for k in some[:20]]
    near = known(some[0].spec)
    _, log_ms = law_of([*told, near, *some[20:60]]).draw(4000, 0)
    spread = log_ms.std(axis=0)
    assert spread[:20] == pytest.approx(0.01, rel=0.1), "a measurement's own error"
    assert spread[20] < 0.03, "its twin is as good as measured"
    before = np.array([sigma(k.latency) for k in some[20:60]])
    assert (spread[21:] < before * 1.05).all()


# Who is on the front


def test_counted_things_have_no_doubt():
    points = [(70.0, 2.0), (72.0, 3.0), (71.0, 3.5), (72.0, 3.0)]
    items = [known(XXS, top1(a), latency(ms)) for a, ms in points]
    assert front_doubt(items[:3], items[3:]).on_front == (1.0, 1.0, 0.0), "an equal one does not displace"
    assert front_doubt(items[:2], [], limit_ms=2.5).on_front == (1.0, 0.0)
    assert front_doubt([], items).on_front == ()


@given(st.lists(st.tuples(st.integers(60, 66), st.integers(1, 6)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_without_noise_membership_is_the_front(points):
    a, t = (np.array([[float(p[i]) for p in points]]) for i in (0, 1))
    on = membership(a, t, range(len(points)))[0]
    best = front([(float(x), float(y)) for x, y in points])
    assert {points[i] for i in np.flatnonzero(on)} == {points[i] for i in best}


def test_two_measured_networks_have_the_probability_of_two_normals():
    a, b = known(XXS, top1(70.0), latency(2.00, 0.02)), known(XXS, top1(71.0), latency(2.05, 0.03))
    on = front_doubt([a, b], [], draws=40_000).on_front
    faster = NormalDist().cdf(math.log(2.05 / 2.00) / math.hypot(0.02, 0.03))
    assert on == (pytest.approx(faster, abs=0.01), 1.0), "the less accurate one is there while it is faster"


def test_the_budget_is_part_of_the_place_on_the_front():
    alone = known(XXS, top1(70.0, 1.0), latency(2.0, 0.05))
    kept = alone.latency.probability_at_most(2.1)
    assert front_doubt([alone], [], limit_ms=2.1, draws=40_000).on_front[0] == pytest.approx(kept, abs=0.01)


def test_more_rivals_can_only_lower_a_place(some):
    members, others = split(some)
    few = front_doubt(members, others[:50], draws=4000)
    many = front_doubt(members, others, draws=4000)
    assert np.mean(many.on_front) < np.mean(few.on_front)
    assert all(0 <= p <= 1 for p in many.on_front)
    assert front_doubt(members, others) == front_doubt(members, others), "the same seed"
    other = front_doubt(members, others, seed=1)
    assert other.on_front == pytest.approx(front_doubt(members, others).on_front, abs=0.06)


def test_rivals_are_those_that_may_displace(some):
    members, others = split(some)
    chosen = rivals(members, others, 30)
    assert len(set(chosen)) == 30
    hopeless = known(XXS, top1(30.0, 1.0), latency(50.0, 0.1, "predicted"))
    assert rivals(members, [hopeless]) == []
    assert rivals(members, []) == []
    first = members[0]
    better = known(first.spec, replace(first.top1, value=first.top1.value + 3), replace(first.latency, value=1.0))
    assert rivals(members, [*others, better], 30)[0] == len(others)


def test_the_runner_up_is_better_by_the_rule_of_choice():
    # columns: a, b; the tie's threshold is 0.5 points
    accuracy = np.array([[70.6, 70.0], [70.4, 70.0], [70.4, 70.0], [69.4, 70.0], [70.0, 70.0], [71.0, 70.0]])
    log_ms = np.log([[3.0, 2.0], [3.0, 2.0], [1.0, 2.0], [1.0, 2.0], [2.0, 9.0], [9.0, 2.0]])
    assert prefers(accuracy, log_ms, 0, 1).tolist() == [True, False, True, False, True, True]
    limited = prefers(accuracy, log_ms, 0, 1, math.log(5))
    assert limited.tolist() == [True, False, True, False, True, False]
    even = [known(XXS, top1(70.0), latency(2.0, 0.1)), known(XXS, top1(70.0), latency(2.0, 0.1))]
    assert front_doubt(even, [], winner=0, runner_up=1).runner_up_better == pytest.approx(0.5, abs=0.05)
    assert front_doubt(even[:1], [], winner=0).runner_up_better is None


def test_three_thousand_trials_and_forty_members_take_a_second(some):
    rng = random.Random(1)
    members = [replace(k, latency=replace(k.latency, value=k.latency.value * 0.8)) for k in some[:40]]
    others = [replace(k, top1=replace(k.top1, value=k.top1.value + rng.gauss(0, 0.5))) for k in some * 10]
    start = time.process_time()
    front_doubt(members, others, winner=0, runner_up=1)
    assert len(rivals(members, others)) <= MAX_RIVALS
    assert time.process_time() - start < 4.0  # 0.8 s on an idle core


# Whom to measure again


def test_who_is_clear_of_doubt_is_not_measured_again():
    gains = [70.0, 70.5, 71.0, 73.0]
    log_ms = [math.log(x) for x in (2.0, 2.01, 2.5, 4.0)]
    noise = [0.01] * 4
    assert to_repeat(gains, log_ms, noise) == [0], "faster than a better one by half of the noise; the others are sure"
    assert to_repeat(gains, log_ms, [0.0, 0.0, 0.0, 0.0]) == []
    assert to_repeat(gains, log_ms, [0.0, 0.01, 0.0, 0.0]) == [], "nobody repeats a prediction"
    assert to_repeat(gains, log_ms, [0.01, 0.0, 0.0, 0.0]) == [], "nor what is in doubt for a prediction alone"
    assert to_repeat(gains, log_ms, [0.0001] * 4) == []


def test_a_budget_and_a_tie_are_in_doubt_too():
    gains, log_ms = [70.0, 73.0], [math.log(2.0), math.log(3.0)]
    assert to_repeat(gains, log_ms, [0.01, 0.01], math.log(3.01)) == [1]
    close = [math.log(3.0), math.log(3.01), math.log(3.5)]
    assert to_repeat([72.0, 72.3, 72.4], close, [0.01] * 3, tie=[1, 2]) == [0]
    assert to_repeat([72.4, 72.3, 72.0], [math.log(3.01), math.log(3.0), math.log(2)], [0.01] * 3, tie=[0, 1]) == [0, 1]


def error(gains, log_ms, truth):
    """Networks that stand on the front and should not, or the reverse."""
    return len(set(front(list(zip(gains, log_ms, strict=True)))) ^ set(front(list(zip(gains, truth, strict=True)))))


def one_study(seed, count, noise=0.01, most=3):
    """(error of a single measurement, of repeats in doubt, of as many repeats of everybody, repeats) of a noisy device."""
    rng = random.Random(seed)
    gains = sorted(rng.uniform(68, 74) for _ in range(count))
    truth = [math.log(1.5) + 0.09 * (g - 68) + rng.gauss(0, 0.06) for g in gains]
    first = [t + rng.gauss(0, noise) for t in truth]
    taken, evenly, spent = [[x] for x in first], [[x] for x in first], 0
    for _ in range(most - 1):
        for i in to_repeat(gains, [np.mean(s) for s in taken], [noise / math.sqrt(len(s)) for s in taken], draws=500):
            taken[i].append(truth[i] + rng.gauss(0, noise))
            spent += 1
    order = rng.sample(range(count), count)
    for k in range(spent):
        evenly[order[k % count]].append(truth[order[k % count]] + rng.gauss(0, noise))
    assert max(map(len, taken)) <= most
    return (
        error(gains, first, truth), error(gains, [np.mean(s) for s in taken], truth),
        error(gains, [np.mean(s) for s in evenly], truth), spent,
    )  # fmt: skip


def test_repeats_in_doubt_settle_more_than_as_many_repeats_of_everybody():
    studies = np.array([one_study(seed, count) for seed in range(150) for count in (20, 40)], dtype=float)
    single, ours, evenly, spent = studies.mean(axis=0)
    assert ours < 0.8 * single
    assert single - ours > 1.4 * (single - evenly), (single, ours, evenly)
    assert 0 < spent < 0.5 * 30, "of 30 networks in the mean, less than half"
