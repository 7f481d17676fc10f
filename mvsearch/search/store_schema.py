"""The tables of a run's store, and how a store of an older schema becomes one of this schema."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mvsearch.errors import InputError
from mvsearch.files import parse_json
from mvsearch.search.trial_row import checksum
from mvsearch.spec.plain import shown

STORE_SCHEMA_VERSION = 3
_COMMON = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE provenance (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    """CREATE TABLE generations (
  number INTEGER PRIMARY KEY, proposed INTEGER NOT NULL, over_budget INTEGER NOT NULL, duplicates INTEGER NOT NULL)""",
    "CREATE TABLE verified (arch_id TEXT PRIMARY KEY, evaluation TEXT NOT NULL)",
)
_TRIALS_1 = """CREATE TABLE trials (
  number INTEGER PRIMARY KEY, arch_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, feasible INTEGER NOT NULL,
  point TEXT NOT NULL, metrics TEXT NOT NULL, failure TEXT, seconds REAL NOT NULL)"""
_TRIALS_2 = """CREATE TABLE trials (
  number INTEGER PRIMARY KEY, arch_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, feasible INTEGER NOT NULL,
  point TEXT NOT NULL, metrics TEXT NOT NULL, failure TEXT, seconds REAL NOT NULL,
  generation INTEGER NOT NULL, checksum INTEGER NOT NULL)"""
_TRIALS_3 = """CREATE TABLE trials (
  number INTEGER PRIMARY KEY, arch_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, feasible INTEGER NOT NULL,
  point TEXT NOT NULL, metrics TEXT NOT NULL, failure TEXT, seconds REAL NOT NULL,
  generation INTEGER NOT NULL, ended REAL, checksum INTEGER NOT NULL)"""
_TABLES = {1: {*_COMMON, _TRIALS_1}, 2: {*_COMMON, _TRIALS_2}, 3: {*_COMMON, _TRIALS_3}}
_COLUMNS_1 = "number, arch_id, origin, feasible, point, metrics, failure, seconds"
_COLUMNS_2 = f"{_COLUMNS_1}, generation"
_MIGRATIONS: dict[int, Sequence[str]] = {
    # With schema 1 every generation was of 50 trials.
    1: (
        "ALTER TABLE trials RENAME TO trials_1",
        _TRIALS_2,
        f"""INSERT INTO trials ({_COLUMNS_2}, checksum)
            SELECT {_COLUMNS_1}, number / 50, checksum({_COLUMNS_1}, number / 50) FROM trials_1 ORDER BY number""",
        "DROP TABLE trials_1",
    ),
    # With schema 2 nobody knew when a trial had ended.
    2: (
        "ALTER TABLE trials RENAME TO trials_2",
        _TRIALS_3,
        f"""INSERT INTO trials ({_COLUMNS_2}, ended, checksum)
            SELECT {_COLUMNS_2}, NULL, checksum({_COLUMNS_2}, NULL) FROM trials_2 ORDER BY number""",
        "DROP TABLE trials_2",
    ),
}


def prepare_tables(db: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    """Make the tables of a new store, or bring an older one to this schema; in one transaction.

    Args:
        db: an open store, with no transaction begun.
        path: for messages.

    Returns:
        What was changed, in sentences; empty if nothing was.

    Raises:
        InputError: the schema is newer than this version, or none at all, or the file holds more than a store's tables;
            nothing was changed.
        sqlite3.DatabaseError: no database, damaged, or it cannot be written.
    """
    # Looked at first without a transaction: most stores need nothing.
    if _schema(db, path) == STORE_SCHEMA_VERSION:
        return ()
    db.create_function("checksum", -1, checksum, deterministic=True)
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _schema(db, path)  # Another process may have been faster.
        for statement in _steps(found):
            db.execute(statement)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (json.dumps(STORE_SCHEMA_VERSION),))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if found in (0, STORE_SCHEMA_VERSION):
        return ()
    return (f"`{path}` was of an older version (store schema {found}): migrated to schema {STORE_SCHEMA_VERSION}, all is kept",)


def _steps(found: int) -> Sequence[str]:
    """What makes a store of schema `found` one of this schema; 0 is an empty file."""
    if found == 0:
        return sorted(_TABLES[STORE_SCHEMA_VERSION])
    return [statement for version in range(found, STORE_SCHEMA_VERSION) for statement in _MIGRATIONS[version]]


def _schema(db: sqlite3.Connection, path: Path) -> int:
    """The schema of a store; 0 for an empty file.

    A file may hold triggers and views, which SQLite would run; a store is its own tables and nothing else.
    """
    made = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if not made:
        return 0
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() if _COMMON[0] in made else None
    if row is None:
        raise InputError(f"`{path}` is not a run's store", "give another `--out`")
    try:
        stated = parse_json(row[0])
    except (ValueError, TypeError):
        stated = row[0]
    if type(stated) is not int or stated not in _TABLES:
        newer = type(stated) is int and stated > STORE_SCHEMA_VERSION
        raise InputError(
            f"`{path}` has store schema `{shown(stated)}`",
            f"this version reads schemas 1 to {STORE_SCHEMA_VERSION}; " + ("update mvsearch" if newer else "start a new run"),
        )
    if made != _TABLES[stated]:
        raise InputError(
            f"`{path}` does not hold the tables of a run's store, or more than these", "put back a copy, or start a new run"
        )
    return stated
