"""Saves what can be read of a damaged database into a new one; the old one is kept aside.

What is lost is only knowledge: a step that is not on record runs again, and finds its files in the pool.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

from envbuild.store.database import FILE, Database, lock_store

_FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm")


def salvage(path: str) -> int:
    """Make the database of the store at `path` anew from its readable rows; return how many there were.

    Waits until nobody else uses the store.
    """
    with lock_store(path, wait=True):
        aside = f"{path}/damaged/{os.urandom(4).hex()}-database"
        os.makedirs(aside)
        for name in _FILES:
            if os.path.exists(f"{path}/{name}"):
                os.rename(f"{path}/{name}", f"{aside}/{name}")
        database = Database(path, create=True)
        try:
            return _copy(f"{aside}/{FILE}", database)
        finally:
            database.close()


def _copy(old: str, database: Database) -> int:
    saved = 0
    try:
        # What is in the log beside it is read along, so it has to be opened for writing.
        source = sqlite3.connect(old, isolation_level=None)
    except sqlite3.Error:
        return 0
    try:
        tables = database.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables:
            columns = _columns(source, database, table)
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            for row in _rows(source, table, columns):
                try:
                    saved += max(0, database.write(insert, row))
                except sqlite3.Error:
                    continue  # a row that breaks a rule of its table was damaged, too
    finally:
        source.close()
    return saved


def _columns(source: sqlite3.Connection, database: Database, table: str) -> list[str]:
    """Return the columns that the table has in both databases."""
    try:
        there = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error:
        return []
    return [row[1] for row in database.rows(f"PRAGMA table_info({table})") if row[1] in there]


def _rows(source: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Return the rows from the front up to the first page that can't be read, then those from the back."""
    if not columns:
        return
    order = ", ".join(
        row[1]
        for row in sorted(source.execute(f"PRAGMA table_info({table})").fetchall(), key=lambda row: row[5])
        if row[5]
    )
    for direction in ("ASC", "DESC"):
        by = ", ".join(f"{name} {direction}" for name in order.split(", "))
        try:
            yield from source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {by}")
            return
        except sqlite3.Error:
            continue
