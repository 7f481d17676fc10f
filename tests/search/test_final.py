"""From trials to the verified front: a member that fails is struck off, and the next takes its place."""

import random
from dataclasses import replace

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor, TaskError
from mvsearch.search.explore import Explorer, Silent, front_of, growth
from mvsearch.search.final import MAX_MEMBERS, NUM_CONVERTED, choose, front_members, verified_so_far, verify_front
from mvsearch.search.goals import Goals
from mvsearch.search.store import Store
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Trial
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target

SPACE, TARGET = load_space("mobilevit"), get_target("iphone12")
GOALS = Goals(parse_budgets(["9M-params"]), 0.8, 256)


@pytest.fixture(scope="module")
def trials():
    rng, found = random.Random(0), []
    while len(found) < 150:
        point = SPACE.random_point(rng)
        spec = SPACE.decode(point)
        if GOALS.excess(spec) <= 0:
            found.append(Trial(len(found), point, estimate(spec, 256, TARGET), True, "random"))
    return found


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "t.sqlite", SPACE, 256)


def climb(task):
    return replace(task.evaluation, rung="converted" if task.convert else "built")


def verify(trials, store, task=climb, **options):
    return verify_front(trials, GOALS, store, InProcessExecutor(), task, TARGET, 0, Silent(), **options)


def test_every_member_stands_on_a_higher_rung(trials, store):
    verified = verify(trials, store)
    assert [t.number for t in verified.members] == [t.number for t in front_of(trials, GOALS)]
    rungs = [t.evaluation.rung for t in verified.members]
    assert set(rungs) <= {"built", "converted"}
    assert rungs.count("converted") == min(NUM_CONVERTED, len(rungs))
    assert choose(verified.members, GOALS).evaluation.rung == "converted"


def test_a_failing_member_is_struck_off_and_the_next_takes_its_place(trials, store):
    before = verified_so_far(trials, GOALS, store).members
    doomed = {before[len(before) // 2].evaluation.arch_id, choose(before, GOALS).evaluation.arch_id}

    def verify_most(task):
        if task.evaluation.arch_id in doomed:
            raise TaskError("mismatch", "params: closed form `1`, built network `2`")
        return climb(task)

    verified = verify(trials, store, verify_most)
    after = {t.evaluation.arch_id for t in verified.members}
    assert not doomed & after
    assert {e.arch_id for e in verified.struck} == doomed
    assert {e.failure.kind for e in verified.struck} == {"mismatch"}
    without = [t for t in trials if t.evaluation.arch_id not in doomed]
    assert after == {t.evaluation.arch_id for t in front_of(without, GOALS)}
    assert choose(verified.members, GOALS).evaluation.rung == "converted"


def test_a_front_on_which_everything_fails_is_empty(trials, store):
    def fail(task):
        raise TaskError("convert-fail", "no such operator")

    verified = verify(trials[:10], store, fail)
    assert verified.members == ()
    assert len(verified.struck) == len({e.arch_id for e in verified.struck}) > 0


def test_what_was_verified_before_is_not_done_again(trials, store):
    verify(trials, store)

    def never(task):
        raise AssertionError

    assert verify(trials, store, never).struck == ()


def test_a_measured_latency_reorders_the_front(trials, store):
    def measure(task):
        latency = task.evaluation.measurements["latency"]
        slower = replace(latency, value=latency.value * random.Random(task.evaluation.arch_id).uniform(1, 3), kind="measured")
        return replace(climb(task), measurements={**task.evaluation.measurements, "latency": slower}, rung="measured")

    members = verify(trials, store, measure).members
    assert all(t.evaluation.measurements["latency"].kind == "measured" for t in members)
    pairs = [GOALS.objectives(t.evaluation) for t in members]
    assert pairs == sorted(pairs, key=lambda p: p[1])
    assert [gain for gain, _ in pairs] == sorted(gain for gain, _ in pairs)


def test_conversion_can_be_left_out(trials, store):
    assert {t.evaluation.rung for t in verify(trials, store, convert=False).members} == {"built"}


def test_the_winner_is_the_fastest_of_those_that_cannot_be_told_apart(trials):
    members = front_of(trials, GOALS)
    best = max(members, key=lambda t: GOALS.lower_top1(t.evaluation))
    winner = choose(members, GOALS)
    assert GOALS.lower_top1(best.evaluation) - GOALS.lower_top1(winner.evaluation) < 0.5
    tie = [m for m in front_members(members, GOALS) if m.tied]
    assert winner.number == tie[0].trial, "members are in order of latency"
    assert best.number in {m.trial for m in tie}


def test_a_long_front_is_thinned_and_keeps_its_ends_and_the_winner(trials):
    step = [replace(t, evaluation=replace(t.evaluation, measurements={
        **t.evaluation.measurements,
        "latency": replace(t.evaluation.measurements["latency"], value=1 + i / 10, low=None, high=None),
        "top1": replace(t.evaluation.measurements["top1"], value=60 + i / 10, low=None, high=None),
    })) for i, t in enumerate(trials)]  # fmt: skip
    assert len(front_of(step, GOALS)) == 150

    class Nothing:
        def verified(self):
            return {}

    members = verified_so_far(step, GOALS, Nothing()).members
    assert len(members) <= MAX_MEMBERS + 1
    assert {members[0].number, members[-1].number} == {0, 149}
    assert choose(members, GOALS).number == choose(step, GOALS).number


def test_below_the_floor_nothing_is_on_the_front(trials):
    bounds = sorted(GOALS.lower_top1(t.evaluation) for t in trials)
    high = replace(GOALS, floor=bounds[-3])
    assert {t.number for t in front_of(trials, high)} <= {
        t.number for t in trials if GOALS.lower_top1(t.evaluation) >= bounds[-3]
    }
    assert growth(trials, high).reference[0] == bounds[-3]


def test_a_time_limit_ends_the_search_between_generations(store):
    explorer = Explorer(SPACE, GOALS, TARGET, store, seed=0)
    assert len(explorer.run(10_000, [InProcessExecutor()], time_limit=1e-9)) == 0
    assert len(explorer.run(50, [InProcessExecutor()])) == 50


def test_an_estimate_that_fails_is_a_recorded_trial(store, monkeypatch):
    import mvsearch.search.estimate as module

    calls = iter(range(10_000))

    def sometimes(spec, resolution):
        if next(calls) % 5 == 0:
            raise ValueError("a bug in one candidate")
        return original(spec, resolution)

    original = module.estimate_top1
    monkeypatch.setattr(module, "estimate_top1", sometimes)
    found = Explorer(SPACE, GOALS, TARGET, store, seed=0).run(60, [InProcessExecutor()])
    assert len(found) == 60
    assert sum(t.evaluation.failure is not None for t in found) == 12
    assert store.trials()[0].evaluation.failure.kind == "error"
