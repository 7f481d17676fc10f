"""The tables of a run's store, and how a store of an older schema becomes one of this schema."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from mvsearch.errors import InputError

STORE_SCHEMA_VERSION = 2
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE provenance (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, arch_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, feasible INTEGER NOT NULL,
  point TEXT NOT NULL, metrics TEXT NOT NULL, failure TEXT, seconds REAL NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE generations (
  number INTEGER PRIMARY KEY, proposed INTEGER NOT NULL, over_budget INTEGER NOT NULL, duplicates INTEGER NOT NULL);
CREATE TABLE verified (arch_id TEXT PRIMARY KEY, evaluation TEXT NOT NULL);
"""
_FROM_1_TO_2 = """
ALTER TABLE trials ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
UPDATE trials SET generation = number / 50;
"""
"""With schema 1 every generation was of 50 trials."""
_MIGRATIONS = {1: _FROM_1_TO_2}


def prepare_tables(db: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    """Make the tables of a new store, or bring an older one to this schema; in one transaction.

    Args:
        db: an open store, with no transaction begun.
        path: for messages.

    Returns:
        What was changed, in sentences; empty if nothing was.

    Raises:
        InputError: the schema is newer than this version, or none at all; nothing was changed.
    """
    # A reader of a finished run may not be allowed to write.
    found = _schema(db)
    if found == STORE_SCHEMA_VERSION:
        return ()
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _schema(db)  # Another process may have been faster.
        if found is None:
            statements = _TABLES
        elif found in _MIGRATIONS:
            statements = "".join(_MIGRATIONS[v] for v in range(found, STORE_SCHEMA_VERSION))
        elif found == STORE_SCHEMA_VERSION:
            statements = ""
        else:
            newer = isinstance(found, int) and found > STORE_SCHEMA_VERSION
            raise InputError(
                f"`{path}` has store schema `{found}`",
                f"this version reads schemas 1 to {STORE_SCHEMA_VERSION}; "
                + ("update mvsearch" if newer else "start a new run"),
            )
        for statement in statements.split(";"):
            db.execute(statement)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (json.dumps(STORE_SCHEMA_VERSION),))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if found is None or not statements:
        return ()
    return (f"`{path}` was of an older version (store schema {found}): migrated to schema {STORE_SCHEMA_VERSION}, all is kept",)


def _schema(db: sqlite3.Connection) -> object:
    """The schema that a store says it has; None for an empty file."""
    if not db.execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone():
        return None
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    try:
        return json.loads(row[0]) if row else ""
    except (ValueError, TypeError, RecursionError):
        return row[0]
