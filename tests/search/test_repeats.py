"""Networks whose place is in doubt for noise are measured again, truly anew; nothing else is."""

import math
import random
import statistics
import threading
from collections import Counter
from dataclasses import replace

import pytest

from mvsearch.search.executor import InProcessExecutor
from mvsearch.search.final import FrontVerifier, choose, in_doubt, sureness
from mvsearch.search.measurements import MeasurementFile
from mvsearch.search.measuring import Job, bench_for
from mvsearch.search.packages import Packages
from mvsearch.search.queue import MeasureQueue
from mvsearch.search.queue_worker import QueueClient, measure_from_queue
from mvsearch.search.repeats import BETWEEN, MAX_MEASUREMENTS, between_sessions, combined
from mvsearch.targets import MeasurementCache
from tests.search.conftest import GOALS
from tests.search.fake_phone import FakePhone, climb, package, record


@pytest.fixture
def verify(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MVSEARCH_CACHE", str(tmp_path / "cache"))

    def run(trials, phone, **options):
        executor = InProcessExecutor()
        return FrontVerifier(
            GOALS, store, executor, climb, phone, 0, Packages(tmp_path / "coreml"),
            MeasurementFile(tmp_path / "measurements.jsonl"), bench_for(executor, phone, 0), **options,
        ).run(trials)  # fmt: skip

    return run


def noisy(**options):
    """A phone on which networks near each other are hard to tell apart."""
    return FakePhone(**{"noise": 0.02, "between": 0.02, **options})


@pytest.fixture
def artifact(tmp_path, trials):
    (tmp_path / "made").mkdir()
    return FakePhone().prepare(trials[0].evaluation.spec, 256, tmp_path / "made")


def test_who_is_in_doubt_is_measured_again_and_who_is_clear_is_not(trials, verify, store, tmp_path):
    once = noisy()
    first = verify(trials, once, most=1)
    doubtful = {e.arch_id for e in in_doubt(trials, GOALS, store)}
    clear = set(once.measured) - doubtful
    assert doubtful and clear
    phone = noisy()
    phone.measured = list(once.measured)
    verified = verify(trials, phone)
    counts = Counter(phone.measured)
    assert {a for a in doubtful if counts[a] > 1} == doubtful
    assert max(counts.values()) <= MAX_MEASUREMENTS
    again = {a for a, n in counts.items() if n > 1}
    assert len(clear - again) >= len(clear) / 2, "what a repeat moves may put others in doubt, but not most"
    records = MeasurementFile(tmp_path / "measurements.jsonl").records()
    assert Counter(r.arch_id for r in records) == counts, "every record is kept"
    assert any("were measured again" in note for note in verified.notes)
    assert first.notes == ()


def test_repeats_end_when_nobody_is_in_doubt_or_has_been_measured_often(trials, verify, store):
    phone = noisy()
    verify(trials, phone)
    counts = Counter(phone.measured)
    assert all(counts[e.arch_id] == MAX_MEASUREMENTS for e in in_doubt(trials, GOALS, store))


def test_a_phone_without_noise_leaves_little_in_doubt(trials, verify):
    phone = FakePhone(noise=0.3)
    verify(trials, phone)
    again = [a for a, n in Counter(phone.measured).items() if n > 1]
    assert len(again) < len(set(phone.measured)) / 2


def test_a_resumed_run_repeats_nothing(trials, verify):
    phone = noisy()
    first = verify(trials, phone)
    later = noisy()
    assert verify(trials, later).members == first.members
    assert later.measured == []


def test_a_record_of_a_repeat_that_arrived_before_a_kill_counts(trials, verify, store, tmp_path):
    phone = noisy()
    verify(trials, phone, most=1)
    file, key = MeasurementFile(tmp_path / "measurements.jsonl"), phone.spec.key
    arch_id, (first,) = next(iter(file.sessions(256, key).items()))
    file.append(replace(first, value_ms=first.value_ms * 1.02, high_ms=first.high_ms * 1.03))
    verify(trials, FakePhone(available=False))
    settled = store.verified()[arch_id].measurements["latency"].value
    assert settled == pytest.approx(first.value_ms * math.sqrt(1.02))


def test_a_repeat_is_a_measurement_and_not_the_cached_value(trials, verify, store):
    phone = noisy()
    verify(trials, phone)
    values = {}
    for r in MeasurementCache().records(phone.spec):
        values.setdefault(r.arch_id, set()).add(r.value_ms)
    repeated = [a for a, n in Counter(phone.measured).items() if n > 1]
    assert repeated
    for arch_id in repeated:
        assert len(values[arch_id]) == phone.measured.count(arch_id), "as many values as measurements"
        latency = store.verified()[arch_id].measurements["latency"]
        assert latency.value == pytest.approx(math.exp(statistics.median(map(math.log, values[arch_id]))))
        assert f"median of {len(values[arch_id])} sessions" in latency.basis


def test_a_repeat_that_fails_leaves_the_measurement(trials, verify, store):
    verify(trials, noisy(), most=1)
    before = store.verified()
    verified = verify(trials, noisy(faults={"*": "locked"}))
    assert verified.struck == ()
    assert {a: e.measurements["latency"].value for a, e in store.verified().items()} == {
        a: e.measurements["latency"].value for a, e in before.items()
    }
    assert any("repeats failed" in n and "the fake phone is locked" in n for n in verified.notes)
    assert not any("keep their predictions" in n for n in verified.notes)


def test_the_queue_gives_a_repeat_out_as_a_job_of_its_own_and_the_worker_measures_anew(trials, tmp_path):
    spec = trials[0].evaluation.spec
    job = Job(trials[0].evaluation, package(tmp_path / "a.mlpackage", spec, 256))
    phone, cache, got = noisy(), MeasurementCache(tmp_path / "cache"), []
    queue = MeasureQueue("127.0.0.1:0", phone, 256, token="t", lease_s=5.0)
    client = QueueClient(queue.url, "t", patience_s=5.0, sleep=lambda s: threading.Event().wait(0.01))
    worker = threading.Thread(target=measure_from_queue, args=(client, phone), kwargs={"cache": cache})
    try:
        queue.offer(job)
        worker.start()
        for repeat in (1, 2):
            while len(got) < repeat:
                got += [outcome.value_ms for _, outcome in queue.results()]
            queue.offer(replace(job, repeat=repeat))
        while len(got) < 3:
            got += [outcome.value_ms for _, outcome in queue.results()]
    finally:
        queue.end()
        worker.join(timeout=10)
        queue.close()
    assert len(set(got)) == 3 == len(phone.measured)


def test_one_session_is_less_sure_than_its_own_interval_and_repeats_are_surer(artifact):
    base = record(artifact, 2.0)
    again = [replace(base, value_ms=v, low_ms=v * 0.99, high_ms=v * 1.01) for v in (2.04, 1.98, 2.5)]
    one, two, three = combined([base]), combined([base, again[0]]), combined([base, *again[:2]])
    assert one.value == 2.0
    assert one.low < base.low_ms and one.high > base.high_ms
    assert two.value == pytest.approx(math.sqrt(2.0 * 2.04))
    assert three.value == pytest.approx(2.0)
    widths = [math.log(m.high / m.low) for m in (one, two, three)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] == pytest.approx(widths[0] / math.sqrt(2))
    assert (one.n, three.n) == (base.n, 3 * base.n)
    disturbed = combined([base, again[0], again[2]])
    assert disturbed.value == pytest.approx(2.04), "one disturbed session of three does not count"


def test_repeats_tell_the_noise_between_sessions(artifact):
    rng = random.Random(0)

    def taken(spread, times):
        values = [2.0 * math.exp(rng.gauss(0, spread)) for _ in range(times)]
        return [replace(record(artifact, v), low_ms=v * 0.999, high_ms=v * 1.001) for v in values]

    assert between_sessions({"a": taken(0.05, 1)}) == BETWEEN, "one session says nothing of it"
    steady = between_sessions({str(i): taken(0.001, 3) for i in range(40)})
    loud = between_sessions({str(i): taken(0.05, 3) for i in range(40)})
    assert steady < BETWEEN / 3
    assert loud == pytest.approx(0.05, rel=0.2)


def test_measurements_beside_another_timing_of_the_reference_are_not_mixed(artifact):
    old = replace(record(artifact, 4.0), conditions=(("reference_taken_at", "1"),))
    new = [replace(record(artifact, v), conditions=(("reference_taken_at", "2"),)) for v in (2.0, 2.0)]
    assert combined([old, *new]).value == pytest.approx(2.0)
    assert combined([old, new[0]]).value == 2.0


def test_a_measured_front_is_surer_than_a_predicted_one(trials, verify, store):
    before = sureness(trials, verify(trials, FakePhone(available=False)), GOALS, store)
    verified = verify(trials, noisy())
    after = sureness(trials, verified, GOALS, store)
    assert set(after.on_front) == {t.number for t in verified.members}
    assert all(0 <= p <= 1 for p in after.on_front.values())
    winner = choose(verified.members, GOALS)
    assert after.winner == winner.number
    assert after.runner_up and after.runner_up.arch_id != winner.evaluation.arch_id
    rest = [t for t in verified.members if t is not winner]
    assert after.runner_up.arch_id == choose(rest, GOALS).evaluation.arch_id
    mean = {k: statistics.fmean(s.on_front.values()) for k, s in (("before", before), ("after", after))}
    assert mean["after"] > mean["before"]
    said = after.of_winner()
    assert said["runner_up"] == after.runner_up.arch_id
    assert set(said) == {"probability_on_front", "runner_up", "probability_runner_up_better"}
