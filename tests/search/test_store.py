import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from mvsearch.errors import InputError
from mvsearch.search import store_schema
from mvsearch.search.store import Store
from mvsearch.search.trial_row import COLUMNS, checksum
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
        number,
        point,
        Evaluation(SPACE.decode(point), 256, measurements, failure=failure, seconds=0.5),
        not failure,
        "random",
        number // 2,
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


OLD_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE provenance (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, arch_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, feasible INTEGER NOT NULL,
  point TEXT NOT NULL, metrics TEXT NOT NULL, failure TEXT, seconds REAL NOT NULL);
CREATE TABLE generations (
  number INTEGER PRIMARY KEY, proposed INTEGER NOT NULL, over_budget INTEGER NOT NULL, duplicates INTEGER NOT NULL);
CREATE TABLE verified (arch_id TEXT PRIMARY KEY, evaluation TEXT NOT NULL);
INSERT INTO meta VALUES ('schema', '1');
"""
"""The tables of the first schema, as its version made them."""


def write_old_store(path, trials):
    """A store of schema 1 with these trials."""
    columns = "number, arch_id, origin, feasible, point, metrics, failure, seconds"
    new = Store(path.with_name("new.sqlite"), SPACE, 256)
    for t in trials:
        new.add(t)
    new.set_generation(0, 60, 5, 1)
    new.close()
    db = sqlite3.connect(path)
    db.executescript(f"""{OLD_TABLES}ATTACH '{path.with_name("new.sqlite")}' AS new;
        INSERT INTO provenance SELECT * FROM new.provenance;
        INSERT INTO generations SELECT * FROM new.generations;
        INSERT INTO trials SELECT {columns} FROM new.trials;""")
    db.close()


def test_a_store_of_the_second_schema_is_migrated_and_says_so(tmp_path):
    """It lacks only when its trials ended."""
    trials = [replace(trial(0), ended=1.5), replace(trial(49, Failure("oom", "too large")), generation=3)]
    with closing(Store(tmp_path / "t.sqlite", SPACE, 256)) as store:
        for t in trials:
            store.add(t)
    db = sqlite3.connect(tmp_path / "t.sqlite")
    db.create_function("checksum", -1, checksum, deterministic=True)
    columns = ", ".join(c for c in COLUMNS if c not in ("ended", "checksum"))
    db.executescript(f"""ALTER TABLE trials RENAME TO trials_3; {store_schema._TRIALS_2};
        INSERT INTO trials ({columns}, checksum) SELECT {columns}, checksum({columns}) FROM trials_3; DROP TABLE trials_3;
        UPDATE meta SET value = '2' WHERE key = 'schema';""")
    db.close()
    with closing(Store(tmp_path / "t.sqlite", SPACE, 256)) as store:
        assert len(store.notes) == 1
        assert "schema 2" in store.notes[0]
        assert store.trials() == trials
        assert [t.ended for t in store.trials()] == [None, None]
        assert store.last_ended() == 0


def test_when_a_trial_ended_is_kept_and_is_no_part_of_what_it_is(tmp_path):
    early, late = replace(trial(0), ended=0.25), replace(trial(1), ended=9.75)
    with closing(Store(tmp_path / "t.sqlite", SPACE, 256)) as store:
        store.add(early)
        store.add(late)
        assert [t.ended for t in store.trials()] == [0.25, 9.75]
        assert store.last_ended() == 9.75
    assert early == replace(early, ended=None)


def test_a_store_of_the_first_schema_is_migrated_and_says_so(tmp_path):
    trials = [trial(0), trial(49, Failure("oom", "too large")), trial(50), trial(120)]
    write_old_store(tmp_path / "t.sqlite", trials)
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    assert len(store.notes) == 1
    assert "schema 1" in store.notes[0]
    assert store.trials() == [replace(t, generation=g) for t, g in zip(trials, (0, 0, 1, 2), strict=True)]
    assert store.screened() == (60, 5, 1)
    store.add(trial(121))
    store.close()
    again = Store(tmp_path / "t.sqlite", SPACE, 256)
    assert again.notes == ()
    assert again.trials()[-1] == trial(121)


def test_two_processes_that_migrate_at_once(tmp_path, monkeypatch):
    write_old_store(tmp_path / "t.sqlite", [trial(0)])
    answers = iter([1])  # The other process is done between our first look and our transaction.
    look = store_schema._schema

    def stale(db, path):
        if (answer := next(answers, None)) is None:
            return look(db, path)
        Store(tmp_path / "t.sqlite", SPACE, 256).close()
        return answer

    monkeypatch.setattr(store_schema, "_schema", stale)
    store = Store(tmp_path / "t.sqlite", SPACE, 256)
    assert store.notes == ()
    assert store.trials() == [replace(trial(0), generation=0)]


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    write_old_store(tmp_path / "t.sqlite", [trial(0)])
    steps = [*store_schema._MIGRATIONS[1], "INSERT INTO nowhere VALUES (1)"]
    monkeypatch.setitem(store_schema._MIGRATIONS, 1, steps)
    with pytest.raises(InputError, match="nowhere"):
        Store(tmp_path / "t.sqlite", SPACE, 256)
    monkeypatch.undo()
    assert Store(tmp_path / "t.sqlite", SPACE, 256).trials() == [trial(0)]


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
