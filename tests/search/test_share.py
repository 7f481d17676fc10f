"""A search written as a study of Optuna's: what Optuna reads is what was found."""

import sqlite3
from datetime import datetime, timedelta

import optuna
import pytest

from mvsearch.errors import InputError
from mvsearch.search.study import SharedTrial, check_database, share_study
from mvsearch.spec.space_file import load_space

SPACE = load_space("mobilevit")
OBJECTIVES = {"top-1": "maximize", "latency": "minimize"}
TIME = datetime(2026, 3, 29, 1, 30)


def some_trials(count):
    points = list(SPACE.published_points().values())
    return [
        SharedTrial(
            points[i % len(points)],
            None if i % 5 == 4 else (70.0 + i, 1.0 + 0.1 * i),
            None if i % 5 == 4 else -0.1 + 0.1 * (i % 3),
            TIME + timedelta(seconds=i),
            {"arch_id": f"{i:012x}", "role": "candidate", "params": 10**6 + i},
        )
        for i in range(count)
    ]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def share(url, trials, run="r", name="a run"):
    return share_study(url, name, run, SPACE, OBJECTIVES, trials)


def test_optuna_reads_what_was_written(url):
    trials = some_trials(12)
    assert share(url, trials) == 12
    study = optuna.load_study(study_name="a run", storage=url)
    assert study.metric_names == list(OBJECTIVES)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [t.number for t in study.trials] == list(range(12))
    for found, t in zip(study.trials, trials, strict=True):
        assert found.params == dict(t.point)
        assert found.values == (None if t.values is None else list(t.values))
        assert found.state.name == ("FAIL" if t.values is None else "COMPLETE")
        assert found.user_attrs == t.attributes
        assert found.datetime_complete == t.ended
    # Of those that keep every budget nobody is more accurate and faster than another.
    kept = [t.number for t in study.trials if t.values and trials[t.number].constraint <= 0]
    assert sorted(t.number for t in study.best_trials) == kept


def test_it_is_as_if_optuna_had_written_it(url, tmp_path):
    share(url, some_trials(6))
    own = optuna.create_study(storage=f"sqlite:///{tmp_path / 'own.db'}", directions=["maximize", "minimize"])
    ours = optuna.load_study(study_name="a run", storage=url)
    own.add_trials(ours.trials)
    for a, b in zip(own.trials, ours.trials, strict=True):
        assert (a.params, a.distributions, a.values, a.state) == (b.params, b.distributions, b.values, b.state)
        assert (a.user_attrs, a.system_attrs, a.datetime_complete) == (b.user_attrs, b.system_attrs, b.datetime_complete)


def test_only_what_is_new_is_written(url):
    trials = some_trials(12)
    assert share(url, trials[:7]) == 7
    assert share(url, trials) == 5
    assert share(url, trials) == 0
    study = optuna.load_study(study_name="a run", storage=url)
    assert [t.user_attrs["arch_id"] for t in study.trials] == [t.attributes["arch_id"] for t in trials]
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=1)
    assert len(study.trials) == 13


def test_another_study_of_that_name_is_left_alone(url):
    optuna.create_study(storage=url, study_name="mine", directions=["maximize", "minimize"]).enqueue_trial({})
    with pytest.raises(InputError, match="another study `mine`"):
        share(url, some_trials(3), name="mine")
    share(url, some_trials(3))
    with pytest.raises(InputError, match="another study `a run`"):
        share(url, some_trials(3), run="another")
    assert len(optuna.load_study(study_name="a run", storage=url).trials) == 3
    optuna.create_study(storage=url, study_name="single")
    with pytest.raises(InputError, match="another study `single`"):
        share(url, some_trials(3), name="single")


def test_what_is_no_database_of_optunas_is_refused_and_left_alone(tmp_path):
    for bad in ("study.db", "sqlite:///no/such/folder/study.db", "nonsense://x/y", "mysql+nosuch://h/d"):
        with pytest.raises(InputError) as raised:
            check_database(bad)
        assert f"`{bad}`" in raised.value.message
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    text = tmp_path / "text.db"
    text.write_text("not a database " * 100)
    for path in (other, text):
        before = path.read_bytes()
        with pytest.raises(InputError):
            share(f"sqlite:///{path}", some_trials(1))
        assert path.read_bytes() == before
