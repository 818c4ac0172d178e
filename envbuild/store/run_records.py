"""What is known of runs of steps beside their results: what each read of the tree before it, and did to it.

They are kept by statement, that is all of a step's key but the tree before it (plan/key.py), so that a build finds the
runs of a step on other trees. Losing one costs time only.
"""

from __future__ import annotations

import time
import zlib

from envbuild.record import Record
from envbuild.store.record_text import read_text, typed
from envbuild.text import json
from envbuild.tree.rebase import Touched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from envbuild.store.database import Database
    from envbuild.tree.entry import Digest

MAX_KEPT = 8
"""Runs that are kept of one statement, each on another tree."""
MAX_ROWS = 20_000
"""Runs that are kept in all."""
MAX_RECORD = 4 << 20
"""Bytes of one record as it is kept; of a step with more nothing is."""
MAX_TEXT = 64 << 20
_LISTS = ("unchanged", "entered", "stamped", "replaced")
_SHAPE = {**{name: [str] for name in _LISTS}, "aimed": int, "kept": bool, "clocked": bool}
_WHAT = "what is on record of a run of a step"


class RunRecord(Record):
    """One run of a step: the tree that it ran on and the one that it left, the digest of what it printed, and its time
    in seconds. `reads` is the form in bytes of what it read (trace/reads.py)."""

    parent: Digest
    result: Digest
    output: Digest
    seconds: float
    owners_kept: bool
    touched: Touched
    reads: bytes


class RunRecords:
    """The records of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, statement: str, record: RunRecord) -> None:
        """Keep a run; a later one on the same tree replaces it, and the oldest of the statement goes."""
        touched = zlib.compress(_dump(record.touched).encode("utf-8", "surrogateescape"), 1)
        if len(record.reads) + len(touched) > MAX_RECORD:
            return
        row = (
            statement,
            record.parent,
            record.result,
            record.output,
            record.seconds,
            record.owners_kept,
            touched,
            record.reads,
            time.time(),
        )
        database = self._database
        with database.transaction():
            database.write("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            oldest = "SELECT parent FROM runs WHERE statement = ? ORDER BY made DESC LIMIT -1 OFFSET ?"
            database.write(
                f"DELETE FROM runs WHERE statement = ? AND parent IN ({oldest})", (statement, statement, MAX_KEPT)
            )
            count = database.row("SELECT count(*) FROM runs")
            if count is not None and count[0] > MAX_ROWS:
                database.write(
                    "DELETE FROM runs WHERE made <= (SELECT made FROM runs ORDER BY made LIMIT 1 OFFSET ?)",
                    (MAX_ROWS // 10,),
                )

    def of(self, statement: str) -> list[RunRecord]:
        """Return the runs of a statement whose trees are kept, the last one first. Raises StoreDamaged."""
        rows = self._database.rows(
            "SELECT parent, result, output, seconds, owners_kept, touched, reads FROM runs WHERE statement = ?"
            " AND parent IN (SELECT digest FROM trees) AND result IN (SELECT digest FROM trees) ORDER BY made DESC",
            (statement,),
        )
        return [_record(typed(row, (str, str, str, float, int, bytes, bytes), _WHAT)) for row in rows]

    def distrust(self, command: str, reason: str) -> None:
        """Note that what is on record of a command's runs does not hold."""
        self._database.write("INSERT OR REPLACE INTO distrusted VALUES (?, ?, ?)", (command, reason, time.time()))

    def distrusted(self, command: str) -> str:
        """Return why nothing on record of a command's runs counts, "" if it does."""
        row = self._database.row("SELECT reason FROM distrusted WHERE command = ?", (command,))
        return "" if row is None else str(row[0])


def _record(row: Sequence[Any]) -> RunRecord:
    parent, result, output, seconds, owners_kept, touched, reads = row
    return RunRecord(parent, result, output, seconds, bool(owners_kept), _load(touched), reads)


def _dump(touched: Touched) -> str:
    lists = {name: [path.decode("utf-8", "surrogateescape") for path in getattr(touched, name)] for name in _LISTS}
    rest = {"aimed": touched.aimed, "kept": touched.kept, "clocked": touched.clocked}
    return json.dumps({**lists, **rest}, separators=(",", ":"))


def _load(data: bytes) -> Touched:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT).decode("utf-8", "surrogateescape")
    except zlib.error:
        text = ""
    plain = read_text(text, _SHAPE, _WHAT)
    unchanged, entered, stamped, replaced = (
        tuple(path.encode("utf-8", "surrogateescape") for path in plain[name]) for name in _LISTS
    )
    return Touched(unchanged, entered, stamped, replaced, plain["aimed"], plain["kept"], plain["clocked"])
