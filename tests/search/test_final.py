"""From trials to the verified front: a member that fails is struck off, and the next takes its place."""

import io
import random
import shutil
import zipfile
from dataclasses import replace

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor, TaskError
from mvsearch.search.explore import Explorer, front_of, growth
from mvsearch.search.final import (
    MAX_MEMBERS,
    NUM_CONVERTED,
    FrontVerifier,
    VerifiedMember,
    choose,
    front_members,
    verified_so_far,
)
from mvsearch.search.goals import Goals
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.packages import Packages
from mvsearch.search.store import Store
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.record import Trial
from mvsearch.spec.space_file import load_space
from mvsearch.targets import get_target


def a_package():
    """A zip file as `pack` gives it, of a package that holds nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Manifest.json", "{}")
    return buffer.getvalue()


SPACE, TARGET = load_space("mobilevit"), get_target("iphone12")
PACKAGE = a_package()
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


def climb(task):
    rung = "converted" if task.convert else "built"
    return VerifiedMember(replace(task.evaluation, rung=rung), PACKAGE if task.convert else None)


def verifier(store, folder, task=climb, goals=GOALS, target=TARGET, **options):
    return FrontVerifier(
        goals, store, InProcessExecutor(), task, target, 0, Packages(folder / "coreml"),
        MeasurementFile(folder / "measurements.jsonl"), **options,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "t.sqlite", SPACE, 256)


@pytest.fixture
def verify(store, tmp_path):
    def run(trials, task=climb, **options):
        return verifier(store, tmp_path, task, **options).run(trials)

    return run


def test_every_member_stands_on_a_higher_rung(trials, verify):
    verified = verify(trials)
    assert [t.number for t in verified.members] == [t.number for t in front_of(trials, GOALS)]
    rungs = [t.evaluation.rung for t in verified.members]
    assert set(rungs) <= {"built", "converted"}
    assert rungs.count("converted") == min(NUM_CONVERTED, len(rungs))
    assert choose(verified.members, GOALS).evaluation.rung == "converted"


def test_a_failing_member_is_struck_off_and_the_next_takes_its_place(trials, store, verify):
    before = verified_so_far(trials, GOALS, store).members
    doomed = {before[len(before) // 2].evaluation.arch_id, choose(before, GOALS).evaluation.arch_id}

    def verify_most(task):
        if task.evaluation.arch_id in doomed:
            raise TaskError("mismatch", "params: closed form `1`, built network `2`")
        return climb(task)

    verified = verify(trials, verify_most)
    after = {t.evaluation.arch_id for t in verified.members}
    assert not doomed & after
    assert {e.arch_id for e in verified.struck} == doomed
    assert {e.failure.kind for e in verified.struck} == {"mismatch"}
    without = [t for t in trials if t.evaluation.arch_id not in doomed]
    assert after == {t.evaluation.arch_id for t in front_of(without, GOALS)}
    assert choose(verified.members, GOALS).evaluation.rung == "converted"


def test_a_front_on_which_everything_fails_is_empty(trials, verify):
    def fail(task):
        raise TaskError("convert-fail", "no such operator")

    verified = verify(trials[:10], fail)
    assert verified.members == ()
    assert len(verified.struck) == len({e.arch_id for e in verified.struck}) > 0


def test_what_was_verified_before_is_not_done_again(trials, verify):
    verify(trials)

    def never(task):
        raise AssertionError

    assert verify(trials, never).struck == ()


def test_a_package_that_is_gone_is_converted_again_and_nothing_else(trials, verify, tmp_path):
    members = verify(trials).members
    converted = [t.evaluation.arch_id for t in members if t.evaluation.rung == "converted"]
    assert {p.stem for p in (tmp_path / "coreml").iterdir()} == set(converted)
    shutil.rmtree(tmp_path / "coreml" / f"{converted[1]}.mlpackage")
    again = []

    def note(task):
        again.append(task.evaluation.arch_id)
        return climb(task)

    assert verify(trials, note).members == members
    assert again == [converted[1]]


def test_conversion_can_be_left_out(trials, verify):
    assert {t.evaluation.rung for t in verify(trials, convert=False).members} == {"built"}


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

    def sometimes(*arguments):
        if next(calls) % 5 == 0:
            raise ValueError("a bug in one candidate")
        return original(*arguments)

    original = module.estimate_top1
    monkeypatch.setattr(module, "estimate_top1", sometimes)
    found = Explorer(SPACE, GOALS, TARGET, store, seed=0).run(60, [InProcessExecutor()])
    assert len(found) == 60
    assert sum(t.evaluation.failure is not None for t in found) == 12
    assert store.trials()[0].evaluation.failure.kind == "error"
