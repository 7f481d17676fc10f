"""Searching by measured latencies, with a phone that is not as predicted: slower on one kind of block."""

import math
from contextlib import closing
from dataclasses import dataclass

import pytest

from mvsearch.search.estimate import estimate
from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import Explorer
from mvsearch.search.final import FrontVerifier
from mvsearch.search.measured_search import MeasuredSearch
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import bench_for
from mvsearch.search.packages import Packages
from mvsearch.search.pareto import hypervolume
from mvsearch.search.store import Store
from mvsearch.search.view import goals_of
from mvsearch.spec.budget import parse_budgets
from mvsearch.spec.run import RunSettings
from mvsearch.spec.space_file import load_space
from tests.search.fake_phone import FakePhone, climb

TRIALS = 30
SPACE = load_space("mobilevit")
SETTINGS = RunSettings(parse_budgets(["2M-params"]), "iphone12", "mobilevit", SPACE.content_hash, TRIALS, 0, 256, 0.8)


@dataclass
class Surprise(FakePhone):
    """Takes 1.6 times as long for every stage of the second kind of block, which the predictor likes best."""

    noise: float = 0.02

    def truth(self, spec, resolution):
        share = sum(b.endswith("v2") for b in spec.blocks) / len(spec.blocks)
        return super().truth(spec, resolution) * 1.6**share


class Case:
    def __init__(self, folder):
        self.folder, self.phone = folder, Surprise()
        self.goals = goals_of(SETTINGS, self.phone)

    def open(self):
        self.store = Store(self.folder / "trials.sqlite", SPACE, 256)
        records, executor = MeasurementFile(self.folder / "measurements.jsonl"), InProcessExecutor()
        self.verifier = FrontVerifier(
            self.goals, self.store, executor, climb, self.phone, 0, Packages(self.folder / "coreml"), records,
            bench_for(executor, self.phone, 0), most=1,
        )  # fmt: skip
        return Explorer(SPACE, self.goals, self.phone, self.store, 0).run(TRIALS, [executor])

    def search(self, trials, wanted):
        return MeasuredSearch(SPACE, self.goals, self.phone, self.store, self.verifier, 0).run(trials, wanted)

    def truth(self, trials):
        """Hypervolume of what was measured, by the phone's true latencies."""
        known = self.store.verified()
        ids = [t.evaluation.arch_id for t in trials if t.evaluation.arch_id in self.phone.measured]
        points = [(self.goals.lower_top1(known[i]), self.phone.truth(known[i].spec, 256)) for i in ids]
        return hypervolume(points, (self.goals.floor, 3.0))


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))
    return Case(tmp_path)


def test_what_was_measured_leads_on(case):
    trials = case.open()
    case.verifier.run(trials)
    before, first = case.truth(trials), len(case.phone.measured)
    found = case.search(trials, 24)
    assert len(case.phone.measured) == first + 24
    assert len(set(case.phone.measured)) == first + 24, "nothing is measured twice"
    assert [t.number for t in found] == list(range(len(found)))
    assert all(case.goals.excess(t.evaluation.spec) <= 0 for t in found)
    assert case.truth(found) > 1.05 * before
    # As many again of what the search by estimates alone goes on to find.
    executor = InProcessExecutor()
    with closing(Store(case.folder / "other.sqlite", SPACE, 256)) as store:
        more = Explorer(SPACE, case.goals, case.phone, store, 0).run(TRIALS + 24, [executor])
    points = [(case.goals.lower_top1(t.evaluation), case.phone.truth(t.evaluation.spec, 256)) for t in more]
    assert case.truth(found) > hypervolume(points, (case.goals.floor, 3.0))


def test_a_resumed_run_goes_on(case):
    trials = case.open()
    case.verifier.run(trials)
    first = len(case.phone.measured)
    found = case.search(trials, 8)
    case.store.close()
    again = case.open()
    assert again == found
    assert len(case.search(again, 8)) == len(found)
    assert len(case.phone.measured) == first + 8
    case.search(again, 12)
    assert len(case.phone.measured) == first + 12


def test_what_was_proposed_and_not_measured_before_a_kill_is_measured(case):
    trials = case.open()
    case.verifier.run(trials)
    first = len(case.phone.measured)

    def killed(_):
        raise KeyboardInterrupt

    case.verifier.measure, measure = lambda todo: killed(todo) if todo else None, case.verifier.measure
    with pytest.raises(KeyboardInterrupt):
        case.search(trials, 8)
    case.verifier.measure = measure
    case.search(case.store.trials(), 8)
    assert len(case.phone.measured) == first + 8


def test_it_ends_when_the_time_is_up(case):
    trials = case.open()
    case.verifier.run(trials)
    search = MeasuredSearch(SPACE, case.goals, case.phone, case.store, case.verifier, 0, is_over=lambda: True)
    assert search.run(trials, 8) == trials


def test_without_any_measurement_there_is_nothing_to_go_by(case):
    trials = case.open()
    assert case.search(trials, 8) == trials
    assert math.isfinite(estimate(trials[0].evaluation.spec, 256, case.phone).measurements["latency"].value)
