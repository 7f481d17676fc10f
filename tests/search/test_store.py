import random
import sqlite3

import pytest

from mvsearch.errors import InputError
from mvsearch.search.store import Store
from mvsearch.spec.record import Evaluation, Failure, Measurement, Trial
from mvsearch.spec.space_file import load_space

SPACE = load_space("mobilevit")


def trial(number, failure=None):
    point = SPACE.random_point(random.Random(number))
    latency = Measurement(
        "latency",
        2.0 + number,
        "ms",
        "predicted",
        1.0,
        4.0 + number,
        0.9,
        "log",
        "basis",
        "iphone12",
        "p",
        64,
        (("a", "1"),),
        ("f",),
    )
    measurements = {} if failure else {"latency": latency, "params": Measurement("params", 10**6 + number)}
    return Trial(
        number, point, Evaluation(SPACE.decode(point), 256, measurements, failure=failure, seconds=0.5), not failure, "random"
    )


def test_a_trial_comes_back_as_it_was(tmp_path):
    trials = [trial(0), trial(1), trial(2, Failure("oom", "too large"))]
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    for t in trials:
        store.add(t)
    assert store.trials() == trials
    store.close()
    assert Store(tmp_path / "t.sqlite", SPACE, 256).trials() == trials


def test_a_trial_is_there_before_the_writer_closes(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    store.add(trial(0))
    assert Store(tmp_path / "t.sqlite", SPACE, 256).trials() == [trial(0)]


def test_written_once(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    store.add(trial(0))
    with pytest.raises(sqlite3.IntegrityError):
        store.add(trial(0))


def test_counts_of_a_generation_done_again_are_not_added_twice(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    store.set_generation(0, 60, 5, 1)
    store.set_generation(1, 70, 10, 2)
    store.set_generation(1, 70, 10, 2)
    assert store.screened() == (130, 15, 3)


def test_higher_rungs(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    evaluation = trial(3).evaluation
    store.set_verified(evaluation)
    assert store.verified() == {evaluation.arch_id: evaluation}


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "t.sqlite"
    path.write_text("not a database, but long enough to have a header of one" * 10)
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a run's store"):
        Store(path, SPACE, 256)
    assert path.read_bytes() == before


def test_another_schema_is_refused(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    store.set_meta("schema", 99)
    store.close()
    with pytest.raises(InputError, match="store schema `99`"):
        Store(tmp_path / "t.sqlite", SPACE, 256)


def test_closing_while_somebody_reads(tmp_path):
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    store.add(trial(0))
    reader = sqlite3.connect(tmp_path / "t.sqlite")
    cursor = reader.execute("SELECT * FROM trials")
    store.close()
    assert len(cursor.fetchall()) == 1
    assert Store(tmp_path / "t.sqlite", SPACE, 256).trials() == [trial(0)]
