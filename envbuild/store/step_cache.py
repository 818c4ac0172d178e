"""What the store remembers beside trees: results of steps, small derived data, and digests of context files."""

from __future__ import annotations

import time

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.store import failpoints
from envbuild.store.database import Database
from envbuild.store.record_text import typed
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


MAX_OUTPUT = 100 << 20
"""Bytes that are kept of what one step prints, unless another limit is set."""


@fields
class ContentChanged(WorkFailed):
    """A file was changed by somebody while it was being copied into the store."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} changed while it was read", "build again when nothing writes to it"


class StepRecord(Record):
    """The result of a step: its tree, the digest of all that it printed, and how long it took in seconds.

    `owners_kept` is False where it ran with a single id, so that its files all belong to root whatever it asked for.
    """

    tree: Digest
    output: Digest
    seconds: float
    owners_kept: bool = True


class Source(Record):
    """Where a step stood when it ran, and the parts of its key as text (plan/key_parts.py): to explain later runs.

    `recipe` is the path of the recipe, `stage` its name or number, `number` the step's place in the stage from 0.
    """

    recipe: str
    stage: str
    number: int
    parts: str


class Steps:
    """Results of steps by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> StepRecord | None:
        """Return the result for this key, if its tree is still kept."""
        row = self._database.row(
            "SELECT tree, output, seconds, owners_kept FROM steps WHERE key = ? AND tree IN (SELECT digest FROM trees)",
            (key,),
        )
        if row is None:
            return None
        tree, output, seconds, owners_kept = typed(row, (str, str, float, int), "the result of a step on record")
        return StepRecord(tree, output, seconds, bool(owners_kept))

    def put(self, key: str, record: StepRecord, text: str, source: Source) -> None:
        """Record a result; a later one for the same key replaces it."""
        failpoints.at(failpoints.STEP)
        now = time.time()
        with self._database.transaction():
            self._database.write(
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, record.tree, record.output, record.seconds, record.owners_kept, text, now, now),
            )
            self._database.write(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?)",
                (source.recipe, source.stage, text, source.number, key, source.parts, now),
            )

    def put_parts(self, records: Mapping[str, StepRecord]) -> None:
        """Record trees that the results of steps are put together from; nothing explains a step by them."""
        now = time.time()
        self._database.write_many(
            "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, '', ?, ?)",
            [
                (key, record.tree, record.output, record.seconds, record.owners_kept, now, now)
                for key, record in records.items()
            ],
        )

    def parts(self) -> list[tuple[str, Digest]]:
        """Return the keys and trees of all such parts."""
        return [(key, tree) for key, tree in self._database.rows("SELECT key, tree FROM steps WHERE text = ''")]

    def has_run(self, text: str) -> bool:
        """Return whether a step with this text has ever run, in whatever recipe."""
        return self._database.row("SELECT 1 FROM sources WHERE text = ? LIMIT 1", (text,)) is not None

    def longest(self, text: str) -> float:
        """Return how many seconds a step with this text took at most, in whatever recipe; 0 if it never ran."""
        row = self._database.row(
            "SELECT max(seconds) FROM steps WHERE key IN (SELECT key FROM sources WHERE text = ?)", (text,)
        )
        return 0.0 if row is None or row[0] is None else float(row[0])

    def touch(self, keys: Collection[str]) -> None:
        """Say that these results were used just now."""
        self._database.write_many("UPDATE steps SET used = ? WHERE key = ?", [(time.time(), key) for key in keys])

    def nearest(self, text: str, source: Source, texts: Collection[str]) -> str | None:
        """Return the parts of the earlier result that is most like this step, None if nothing is like it.

        That is the last one with the same text in the same stage, else the one that stood in its place there and
        whose text is none of `texts` (those of the stage now: it was not moved but changed), else the last one
        with the same text anywhere.
        """
        here = (source.recipe, source.stage)
        order = "ORDER BY made DESC LIMIT 1"
        query = f"SELECT parts FROM sources WHERE text = ? AND recipe = ? AND stage = ? {order}"
        earlier = self._database.row(query, (text, *here))
        if earlier is None:
            query = f"SELECT parts, text FROM sources WHERE recipe = ? AND stage = ? AND number = ? {order}"
            row = self._database.row(query, (*here, source.number))
            earlier = row if row is not None and row[1] not in texts else None
        if earlier is None:
            earlier = self._database.row(f"SELECT parts FROM sources WHERE text = ? {order}", (text,))
        return None if earlier is None else earlier[0]


STAGES = "stages"
"""The kind of the memo's rows that say, by a tree, which stages of installations on it are kept."""


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

    def all(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all keys of a kind with their values."""
        return [
            (key, bytes(value))
            for key, value in self._database.rows("SELECT key, value FROM memo WHERE kind = ?", (kind,))
        ]

    def remove(self, kind: str, key: str) -> None:
        """Forget one."""
        if not self._database.read_only:
            self._database.write("DELETE FROM memo WHERE kind = ? AND key = ?", (kind, key))


class Stats:
    """The stat cache: what was known of the files of a directory when they were hashed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, directory: bytes) -> bytes | None:
        row = self._database.row("SELECT rows FROM stats WHERE directory = ?", (directory,))
        return None if row is None else bytes(row[0])

    def put(self, directory: bytes, rows: bytes) -> None:
        if not self._database.read_only:
            self._database.write("INSERT OR REPLACE INTO stats VALUES (?, ?)", (directory, rows))
