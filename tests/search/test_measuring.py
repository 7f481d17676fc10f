"""Members of the front are measured where somebody can; whatever goes wrong, nothing is lost."""

import json
from dataclasses import replace

import pytest

from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.explore import front_of
from mvsearch.search.final import NUM_CONVERTED, FrontVerifier, choose
from mvsearch.search.goals import Goals
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import Job, MeasureFailure, bench_for, with_failure
from mvsearch.search.packages import Packages
from mvsearch.spec.budget import parse_budgets
from tests.search.conftest import GOALS
from tests.search.fake_phone import FakePhone, climb, record


@pytest.fixture
def verify(store, tmp_path, monkeypatch):
    """Verifies a front with a phone; every test has a cache of its own."""
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))

    def run(trials, phone, goals=GOALS, bench=None, task=climb):
        executor = InProcessExecutor()
        return FrontVerifier(
            goals, store, executor, task, phone, 0, Packages(tmp_path / "coreml"),
            MeasurementFile(tmp_path / "measurements.jsonl"), bench or bench_for(executor, phone, 0), most=1,
        ).run(trials)  # fmt: skip

    return run


def latency(trial):
    return trial.evaluation.measurements["latency"]


def test_converted_members_are_measured_and_the_others_keep_their_predictions(trials, verify, tmp_path):
    phone = FakePhone()
    verified = verify(trials, phone)
    kinds = {t.evaluation.arch_id: latency(t).kind for t in verified.members}
    packaged = {p.stem for p in (tmp_path / "coreml").iterdir()}
    assert {a for a, kind in kinds.items() if kind == "measured"} == packaged & set(kinds)
    assert len(phone.measured) == len(set(phone.measured)) == len(packaged)
    assert {t.evaluation.rung for t in verified.members if latency(t).kind == "measured"} == {"measured"}
    winner = choose(verified.members, GOALS)
    assert latency(winner).kind == "measured"
    assert latency(winner).value == phone.truth(winner.evaluation.spec, 256)
    values = [latency(t).value for t in verified.members]
    assert values == sorted(values)
    assert verified.notes == ()


def test_every_record_is_kept_whole(trials, verify, tmp_path):
    phone = FakePhone()
    verify(trials, phone)
    lines = (tmp_path / "measurements.jsonl").read_text().splitlines()
    assert [json.loads(line)["arch_id"] for line in lines] == phone.measured
    assert {json.loads(line)["protocol"] for line in lines} == {"arithmetic"}
    assert all(json.loads(line)["samples_ms"] for line in lines)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_phone_that_is_slower_throughout_says_nothing_about_those_that_it_has_not_run(trials, verify, factor):
    phone = FakePhone(factor=factor, noise=0.0)
    verified = verify(trials, phone)
    assert [t.number for t in verified.members] == sorted(
        (t.number for t in front_of(trials, GOALS)), key=[t.number for t in verified.members].index
    )
    assert len(phone.measured) == min(NUM_CONVERTED, len(verified.members))


def test_it_ends_however_the_latencies_turn_out(trials, verify):
    phone = FakePhone(noise=0.9)
    verified = verify(trials, phone)
    assert len(phone.measured) == len(set(phone.measured)) <= len(trials)
    assert latency(choose(verified.members, GOALS)).kind == "measured"


def test_a_network_that_is_too_slow_when_measured_leaves_the_front(trials, verify):
    limit = sorted(t.evaluation.measurements["latency"].quantile(0.8) for t in trials)[150]
    goals = Goals((*GOALS.budgets, *parse_budgets([f"{limit:.3f}ms"])), 0.8, 256)
    within = [replace(t, feasible=goals.violation(t.evaluation) <= 0) for t in trials]
    phone = FakePhone(factor=1.5)
    verified = verify(within, phone, goals)
    assert verified.members
    for t in verified.members:
        if latency(t).kind == "measured":
            assert latency(t).value <= limit
    slow = [a for a in phone.measured if a not in {t.evaluation.arch_id for t in verified.members}]
    assert slow, "some that were predicted to keep the budget do not"


@pytest.mark.parametrize("kind", ["locked", "unplugged", "hot", "tool", "unsteady", "timeout", "unavailable"])
def test_a_measurement_that_fails_strikes_nothing_off(trials, verify, kind):
    verified = verify(trials, FakePhone(faults={"*": kind}))
    assert verified.struck == ()
    assert [t.number for t in verified.members] == [t.number for t in front_of(trials, GOALS)]
    flagged = [t for t in verified.members if f"measurement failed: {kind}" in latency(t).flags]
    assert len(flagged) == min(NUM_CONVERTED, len(verified.members))
    before = {t.number: latency(t) for t in trials}
    assert all(replace(latency(t), flags=()) == replace(before[t.number], flags=()) for t in verified.members)
    assert f"{len(flagged)} x {kind}" in verified.notes[0]
    assert f"the fake phone is {kind}" in verified.notes[0]


def test_what_failed_is_tried_again_by_the_next_run(trials, verify):
    verify(trials, FakePhone(faults={"*": "locked"}))
    phone = FakePhone()
    verified = verify(trials, phone)
    assert phone.measured
    assert not any("failed" in flag for t in verified.members for flag in latency(t).flags)


def test_a_network_that_the_runtime_refuses_is_struck_off_and_the_next_takes_its_place(trials, verify):
    doomed = choose(front_of(trials, GOALS), GOALS).evaluation.arch_id
    verified = verify(trials, FakePhone(faults={doomed: "load"}))
    assert [e.arch_id for e in verified.struck] == [doomed]
    assert verified.struck[0].failure.message == "`fakephone` does not run it: the fake phone is load"
    assert doomed not in {t.evaluation.arch_id for t in verified.members}
    assert latency(choose(verified.members, GOALS)).kind == "measured"


def test_what_was_measured_is_not_measured_again(trials, verify):
    first = verify(trials, FakePhone())
    broken = FakePhone(faults={"*": "load"})
    assert verify(trials, broken) == first


def test_a_record_that_arrived_before_a_kill_counts(trials, verify, store, tmp_path):
    member = front_of(trials, GOALS)[0]
    phone = FakePhone(faults={"*": "unplugged"})
    (tmp_path / "elsewhere").mkdir()
    artifact = phone.prepare(member.evaluation.spec, 256, tmp_path / "elsewhere")
    MeasurementFile(tmp_path / "measurements.jsonl").append(record(artifact, 1.25))
    verify(trials, phone)
    assert store.verified()[member.evaluation.arch_id].measurements["latency"].value == 1.25


def test_a_bench_that_answers_nothing_loses_nothing(trials, verify):
    class Vanished:
        def __init__(self):
            self.offered = []

        def offer(self, job):
            self.offered.append(job)

        def results(self):
            yield from ()

    bench = Vanished()
    verified = verify(trials, FakePhone(available=False), bench=bench)
    assert [t.number for t in verified.members] == [t.number for t in front_of(trials, GOALS)]
    assert len(bench.offered) == min(NUM_CONVERTED, len(verified.members))
    assert all(isinstance(j, Job) and j.package.is_dir() for j in bench.offered)
    assert f"{len(bench.offered)} x no answer" in verified.notes[0]


def test_nobody_measures_where_nobody_can(trials, verify):
    phone = FakePhone(available=False)
    assert bench_for(InProcessExecutor(), phone, 0) is None
    assert {latency(t).kind for t in verify(trials, phone).members} == {"predicted"}


def test_an_earlier_measurement_outlives_a_failure(trials):
    e = trials[0].evaluation
    measured = replace(e.measurements["latency"], kind="measured")
    e = replace(e, measurements={**e.measurements, "latency": measured})
    assert with_failure(e, MeasureFailure("locked", "it is"), "fakephone") == e


def test_half_a_line_spoils_no_other(tmp_path, trials):
    phone, file = FakePhone(), MeasurementFile(tmp_path / "m.jsonl")
    records = []
    for t in trials[:3]:
        (tmp_path / f"{t.number}").mkdir()
        records.append(record(phone.prepare(t.evaluation.spec, 256, tmp_path / f"{t.number}"), 1.0 + t.number))
    file.append(records[0])
    with file.path.open("a") as f:
        f.write('{"artifact": "killed in the mid')
    file.append(records[1])
    file.append(records[1])
    file.append(records[2])
    assert file.records() == records
    again = replace(records[1], value_ms=2.02, high_ms=2.1)
    file.append(again)
    assert file.newest(again.arch_id, 256, again.target_key) == again
    assert file.newest(again.arch_id, 224, again.target_key) is None
