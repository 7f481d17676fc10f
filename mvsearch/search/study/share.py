"""A finished search as a study in a database that Optuna reads: for `optuna-dashboard`, and for anybody's own analysis.

Optuna adds a trial of forty parameters to a database in about 70 ms, and a search makes thousands. So Optuna makes the
tables and the study, and the trials are written into these tables at once, values as Optuna's own functions encode them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, MetaData, Table, create_engine, func, inspect, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mvsearch.errors import InputError, first_line
from mvsearch.search.study.sampler import distributions
from mvsearch.spec.space import Point, SearchSpace

RUN = "mvsearch:run"
"""User attribute of a study: which run it is of."""
_ROWS = 20_000
"""Written at a time."""


@dataclass(frozen=True, slots=True)
class SharedTrial:
    """A trial as the study shows it.

    Attributes:
        point: in the search space.
        values: objectives, in the order of the study's; None if the trial failed.
        constraint: at most 0 where every budget is kept; None without any.
        attributes: what else there is to say of it: numbers and short texts.
        ended: when.
    """

    point: Point
    values: tuple[float, ...] | None
    constraint: float | None
    ended: datetime
    attributes: Mapping[str, Any] = field(default_factory=dict)


def share_study(
    url: str,
    name: str,
    run: str,
    space: SearchSpace,
    objectives: Mapping[str, Literal["maximize", "minimize"]],
    trials: Sequence[SharedTrial],
) -> int:
    """Write trials into a database; those that it holds already are left as they are.

    Args:
        url: of the database, as SQLAlchemy writes it: `sqlite:///study.db`.
        name: of the study.
        run: what tells this run from any other.
        space: that the points are of.
        objectives: name of each, with `maximize` or `minimize`.
        trials: all of the run, in order.

    Returns:
        How many were written now.

    Raises:
        InputError: the URL is none, the database cannot be reached or written, or its study of this name is another's.
    """
    check_database(url)
    storage = RDBStorage(url)
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=[*objectives.values()], load_if_exists=True)
        known = study.user_attrs.get(RUN)
        alike = [d.name.lower() for d in study.directions] == [*objectives.values()]
        if not alike or known not in (None, run) or (known is None and study.get_trials(deepcopy=False)):
            raise InputError(
                f"`{url}` holds another study `{name}`", "give another database, or another name for the run's folder"
            )
        if known is None:
            study.set_user_attr(RUN, run)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna calls it experimental.
                study.set_metric_names(list(objectives))
        before = len(study.get_trials(deepcopy=False))
        new = trials[before:]
        with storage.engine.begin() as connection:
            _insert(connection, study._study_id, before, [_frozen(t, space) for t in new])
        return len(new)
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise InputError(f"`{url}` cannot be written: {first_line(error)}", "give another database") from None
    finally:
        storage.remove_session()
        storage.engine.dispose()


def check_database(url: str) -> None:
    """See that there is a database that is Optuna's, or empty; nothing is written into it.

    Raises:
        InputError: there is none, or another's.
    """
    try:
        engine = create_engine(url)
        try:
            tables = set(inspect(engine).get_table_names())
        finally:
            engine.dispose()
    except ArgumentError:
        raise InputError(f"`{url}` is not the URL of a database", "for example `sqlite:///study.db`") from None
    except ImportError as error:
        raise InputError(f"`{url}` needs a package that is not installed: {error}", "`sqlite:///study.db` needs none") from None
    except SQLAlchemyError as error:
        raise InputError(f"`{url}` cannot be opened: {first_line(error)}", "for example `sqlite:///study.db`") from None
    if tables and "studies" not in tables:
        raise InputError(f"`{url}` is somebody else's database", "give a new file, or a database of Optuna's")


def _frozen(t: SharedTrial, space: SearchSpace) -> FrozenTrial:
    trial = create_trial(
        state=TrialState.FAIL if t.values is None else TrialState.COMPLETE,
        values=None if t.values is None else list(t.values),
        params=dict(t.point),
        distributions=distributions(space),
        user_attrs=dict(t.attributes),
        constraints=None if t.constraint is None else {"budgets": t.constraint},
    )
    trial.datetime_start = trial.datetime_complete = t.ended
    return trial


def _insert(connection: Connection, study_id: int, first: int, trials: Sequence[FrozenTrial]) -> None:
    """Rows of new trials, whose numbers begin with `first`."""
    if not trials:
        return
    meta = MetaData()
    meta.reflect(
        connection, only=["trials", "trial_values", "trial_params", "trial_user_attributes", "trial_system_attributes"]
    )
    table = meta.tables
    last = connection.execute(select(func.max(table["trials"].c.trial_id))).scalar() or 0
    ids = range(last + 1, last + 1 + len(trials))
    encoded: dict[str, str] = {}

    def params() -> Iterator[dict[str, Any]]:
        for i, t in zip(ids, trials, strict=True):
            for key, value in t.params.items():
                distribution = t.distributions[key]
                if key not in encoded:
                    encoded[key] = distribution_to_json(distribution)
                internal = distribution.to_internal_repr(value)
                yield {"trial_id": i, "param_name": key, "param_value": internal, "distribution_json": encoded[key]}

    _write(connection, table["trials"], (
        {"trial_id": i, "number": n, "study_id": study_id, "state": t.state.name,
         "datetime_start": _utc(t.datetime_start), "datetime_complete": _utc(t.datetime_complete)}
        for i, n, t in zip(ids, count(first), trials, strict=False)
    ))  # fmt: skip
    _write(connection, table["trial_values"], (
        {"trial_id": i, "objective": k, "value": v, "value_type": "FINITE"}
        for i, t in zip(ids, trials, strict=True) for k, v in enumerate(t.values or ())
    ))  # fmt: skip
    _write(connection, table["trial_params"], params())
    for kind in ("user", "system"):
        _write(connection, table[f"trial_{kind}_attributes"], (
            {"trial_id": i, "key": key, "value_json": json.dumps(value)}
            for i, t in zip(ids, trials, strict=True) for key, value in getattr(t, f"{kind}_attrs").items()
        ))  # fmt: skip


def _write(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    waiting: list[dict[str, Any]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == _ROWS:
            connection.execute(table.insert(), waiting)
            waiting = []
    if waiting:
        connection.execute(table.insert(), waiting)


def _utc(local: datetime | None) -> datetime | None:
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)
