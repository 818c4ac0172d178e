"""What the store remembers beside trees: results of steps, small derived data, and digests of context files."""

from __future__ import annotations

import time

from envbuild.record import Record
from envbuild.store import publish
from envbuild.store.database import Database
from envbuild.tree.entry import Digest


class StepRecord(Record):
    """The result of a step: its tree, the digest of all that it printed, and how long it took in seconds.

    `owners_kept` is False where it ran with a single id, so that its files all belong to root whatever it asked for.
    """

    tree: Digest
    output: Digest
    seconds: float
    owners_kept: bool = True


class Steps:
    """Results of steps by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> StepRecord | None:
        """The result for this key, if its tree is still kept."""
        row = self._database.row(
            "SELECT tree, output, seconds, owners_kept FROM steps WHERE key = ? AND tree IN (SELECT digest FROM trees)",
            (key,),
        )
        return None if row is None else StepRecord(row[0], row[1], row[2], bool(row[3]))

    def put(self, key: str, record: StepRecord, text: str) -> None:
        """Records a result; a later one for the same key replaces it."""
        publish.at(publish.STEP)
        self._database.write(
            "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, record.tree, record.output, record.seconds, record.owners_kept, text, time.time()),
        )


class Memo:
    """Small data that follows from other data, such as a parsed recipe. Losing it costs time only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, kind: str, key: str) -> bytes | None:
        row = self._database.row("SELECT value FROM memo WHERE kind = ? AND key = ?", (kind, key))
        return None if row is None else bytes(row[0])

    def put(self, kind: str, key: str, value: bytes) -> None:
        if not self._database.read_only:
            self._database.write("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (kind, key, value))


class Stats:
    """The stat cache: what was known of the files of a folder when they were hashed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, directory: bytes) -> bytes | None:
        row = self._database.row("SELECT rows FROM stats WHERE directory = ?", (directory,))
        return None if row is None else bytes(row[0])

    def put(self, directory: bytes, rows: bytes) -> None:
        if not self._database.read_only:
            self._database.write("INSERT OR REPLACE INTO stats VALUES (?, ?)", (directory, rows))
